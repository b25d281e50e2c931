package presence

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/rollcall-go/rollcall/luascripts"
)

// Reason says why a presence departed.
type Reason byte

// The reasons.
const (
	Left           Reason = 'l' // removed by the application on its own node
	RemovedByOther Reason = 'o' // removed by the application on another node
	Disconnected   Reason = 'd' // its connection ended
	TimedOut       Reason = 't' // not touched for longer than its max age, or its peer stopped answering
	Pruned         Reason = 'p' // pruned by hand, with an age of the caller's
	Switched       Reason = 's' // its channel has another user now
	Drained        Reason = 'x' // its node was closed
	NodeLost       Reason = 'n' // its node gave no sign of life for longer than its lease
	Kicked         Reason = 'k' // it was removed by Kick
	Replaced       Reason = 'r' // a newer channel of its user has its place, see Member.Exclusive
	Unknown        Reason = '?' // a view has missed why
)

// reasonNames are how the reasons read.
var reasonNames = map[Reason]string{
	Left: "left", RemovedByOther: "removed by another node", Disconnected: "disconnected",
	TimedOut: "timed out", Pruned: "pruned", Switched: "switched user", Drained: "drained",
	NodeLost: "node lost", Kicked: "kicked", Replaced: "replaced", Unknown: "unknown",
}

func (r Reason) String() string { return cmp.Or(reasonNames[r], reasonNames[Unknown]) }

// MarshalText implements encoding.TextMarshaler, so that a reason reads as its
// String in JSON.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler: it reads what MarshalText
// writes.
func (r *Reason) UnmarshalText(text []byte) error {
	for reason, name := range reasonNames {
		if name == string(text) {
			*r = reason
			return nil
		}
	}
	return fmt.Errorf("rollcall: unknown reason %q", text)
}

// Departure is a presence that is no more. Its Info is nil in a Change; a Diff has
// it.
type Departure struct {
	Presence
	Reason Reason
}

// Change is what one step did to one room. A channel that changed its user is
// in Removed, as the old one, and in Added.
type Change struct {
	Room    string
	Counts  Counts // after it; its Revision is the change's
	Added   []Presence
	Removed []Departure
	Updated []Presence
	// UsersCame and UsersWent are the users, or keys, whose first channel came, or
	// whose last channel went.
	UsersCame []string
	UsersWent []string
	// Bulk marks a change by a prune, or one that stands for several.
	Bulk bool
	// Restored marks that this node has put back what Redis had lost: nobody has
	// come, so that UsersCame is empty, and Counts.Healing is true.
	Restored bool
}

// Eviction tells that a channel of this node was removed from a room: pruned, or
// replaced by another.
type Eviction struct {
	Channel string
	Room    string
	Reason  Reason
}

func countsOf(h luascripts.Header) (c Counts) {
	c.set(h)
	return c
}

func (c *Counts) set(h luascripts.Header) {
	c.Presences, c.Users, c.Anonymous, c.Revision = h.Presences, h.Users, h.Anonymous, Revision(h.Revision)
}

// note puts what an event did to one presence into a change.
func (r *Reader) note(c *Change, it luascripts.Item) {
	p := r.presenceOf(c.Room, it.Channel, it.Record)
	switch it.Kind {
	case luascripts.Added:
		c.Added = append(c.Added, p)
	case luascripts.Removed:
		c.Removed = append(c.Removed, Departure{Presence: p, Reason: Reason(it.Reason)})
	case luascripts.Updated:
		c.Updated = append(c.Updated, p)
	}
}

// bulkChange returns an event as one change.
func (r *Reader) bulkChange(e luascripts.RoomEvent) Change {
	c := Change{Room: e.Room, Counts: countsOf(e.Header), UsersCame: e.Came, UsersWent: e.Went, Bulk: true}
	for _, it := range e.Items {
		r.note(&c, it)
	}
	return c
}

// singleChanges returns an event as a change for each presence, in order. A user
// who came or went is told with the first presence of that user.
func (r *Reader) singleChanges(e luascripts.RoomEvent) []Change {
	var changes []Change
	came, went := slices.Clone(e.Came), slices.Clone(e.Went)
	for i, it := range e.Items {
		switched := i > 0 && it.Kind == luascripts.Added && e.Items[i-1].Channel == it.Channel
		if !switched {
			changes = append(changes, Change{Room: e.Room, Counts: countsOf(e.Header)})
		}
		c := &changes[len(changes)-1]
		r.note(c, it)
		user := it.Record.Identity()
		if it.Kind == luascripts.Added && cut(&came, user) {
			c.UsersCame = append(c.UsersCame, user)
		}
		if it.Kind == luascripts.Removed && cut(&went, user) {
			c.UsersWent = append(c.UsersWent, user)
		}
	}
	return changes
}

func cut(users *[]string, user string) bool {
	i := slices.Index(*users, user)
	if i < 0 {
		return false
	}
	*users = slices.Delete(*users, i, i+1)
	return true
}
