package presence

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Health is the state of a node's connection to Redis.
type Health struct {
	State  State
	Since  time.Time // start of the outage, the first if there are several; zero while the node is ready
	Cause  error     // of that outage
	Shards []int     // the shards that are away, in order; a single Redis is shard 0
}

func (h Health) String() string {
	if h.Cause == nil {
		return string(h.State)
	}
	shards := strings.ReplaceAll(strings.Trim(fmt.Sprint(h.Shards), "[]"), " ", ", ")
	return fmt.Sprintf("%s since %s, shards %s: %v", h.State, h.Since.Format(time.RFC3339), shards, h.Cause)
}

// MarshalJSON implements json.Marshaler, for a health endpoint.
func (h Health) MarshalJSON() ([]byte, error) {
	out := struct {
		State  State     `json:"state"`
		Since  time.Time `json:"since,omitzero"`
		Cause  string    `json:"cause,omitempty"`
		Shards []int     `json:"shards,omitempty"`
	}{State: h.State, Since: h.Since, Shards: h.Shards}
	if h.Cause != nil {
		out.Cause = h.Cause.Error()
	}
	return json.Marshal(out)
}

// State is the summary of a Health.
type State string

// The states.
const (
	Ready    State = "ready"
	Degraded State = "degraded" // Redis, or a shard of it, does not serve this node
	Closed   State = "closed"
)

// Health returns the state of this node's connection to Redis, from memory: what the
// last write or renewal of its lease showed, which is at most a third of the lease old.
func (t *Tracker) Health() Health {
	if t.ledger.closed() {
		return Health{State: Closed}
	}
	h := Health{State: Ready}
	for _, w := range t.writers {
		o := w.away.Load()
		if o == nil {
			continue
		}
		if h.State == Ready || o.since.Before(h.Since) {
			h.State, h.Since, h.Cause = Degraded, o.since, unavailable(o.cause)
		}
		h.Shards = append(h.Shards, w.shard)
	}
	return h
}
