package presence

import (
	"context"
	"fmt"
	"time"

	"github.com/rollcall-go/rollcall/groups"
)

// Options of a Tracker. The zero value of each field is its default.
type Options struct {
	// MaxAge is how long a presence lives without a touch. Defaults to 60 s; at least 1
	// s.
	MaxAge time.Duration

	// FlushInterval is how often touches are written. The recorded last-seen times lag
	// by up to that much. At most a tenth of MaxAge. Defaults to a twelfth of MaxAge.
	FlushInterval time.Duration

	// Lease is how long the node counts as alive after its last sign of life. It gives
	// three in that time. Defaults to 10 s; at least 300 ms.
	Lease time.Duration

	// MaxInfo is the maximum size of a Member.Info in bytes. Defaults to 4 KiB.
	MaxInfo int

	// RememberUsers is how long a room remembers when each user was last in it, see
	// LastSeen: at most the last 10,000 users who went. It is a setting of the whole
	// fleet: the last node with a nonzero value sets it, and 0 leaves it as it is.
	// Defaults to 0: nothing is remembered.
	RememberUsers time.Duration

	// OnChange is called after each change that this node made: once for each presence
	// added, removed or updated, and, for a prune, once for each room, with Bulk set.
	// Calls for one room come one at a time and in order; rooms do not wait for each
	// other, and no write waits for the handler. If more than 128 calls for one room
	// are waiting, the rest become one bulk change. A panic is logged and counted. Calls
	// for a prune, a repair or a kick of presences in grace may be late. That of a prune
	// comes once its sweep of a shard has ended: a change that this node has made in the
	// room meanwhile is told before it, and the prune's Counts.Revision is then the
	// lower one. To keep what is newest, compare revisions.
	OnChange func(ctx context.Context, t *Tracker, c Change)

	// OnEvict is called when a channel of this node was removed from a room by a prune,
	// for its age, or was Replaced, see Member.Exclusive. The channel has left the
	// group of that room; a later touch adds it again, unless it was replaced. The
	// application may close its connection. Presences removed with NodeLost, because
	// the whole node was taken for dead, are added again without a call.
	OnEvict func(ctx context.Context, t *Tracker, e Eviction)
}

// DefaultMaxAge is the max age if Options.MaxAge is zero.
const DefaultMaxAge = 60 * time.Second

const (
	defaultLease   = 10 * time.Second
	defaultMaxInfo = 4 << 10
)

func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.MaxAge == 0 {
		c.MaxAge = DefaultMaxAge
	}
	if c.FlushInterval == 0 {
		c.FlushInterval = c.MaxAge / 12
	}
	if c.Lease == 0 {
		c.Lease = defaultLease
	}
	if c.MaxInfo == 0 {
		c.MaxInfo = defaultMaxInfo
	}
	invalid := func(field string, value any, reason string) error {
		return &InvalidError{Field: field, Value: fmt.Sprint(value), Reason: reason}
	}
	switch {
	case c.MaxAge < time.Second:
		return c, invalid("MaxAge", c.MaxAge, "less than a second")
	case c.FlushInterval < 0 || c.FlushInterval*10 > c.MaxAge:
		return c, invalid("FlushInterval", c.FlushInterval, "must be positive and at most a tenth of MaxAge")
	case c.Lease < 300*time.Millisecond:
		return c, invalid("Lease", c.Lease, "less than 300 ms")
	case c.RememberUsers < 0:
		return c, invalid("RememberUsers", c.RememberUsers, "negative")
	case c.MaxInfo < 0:
		return c, invalid("MaxInfo", c.MaxInfo, "negative")
	}
	return c, nil
}

// InvalidError tells which argument or option was refused, before any call to Redis.
type InvalidError = groups.InvalidError
