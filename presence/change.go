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
	RemovedByOther Reason = 'o' // removed by the application from another node
	Disconnected   Reason = 'd' // its connection ended
	TimedOut       Reason = 't' // not touched for longer than its max age, or its peer stopped answering
	Pruned         Reason = 'p' // pruned by hand, with the caller's max age
	Switched       Reason = 's' // its channel now has another user
	Drained        Reason = 'x' // its node was closed
	NodeLost       Reason = 'n' // its node gave no sign of life for longer than its lease
	Kicked         Reason = 'k' // removed by Kick
	Replaced       Reason = 'r' // a newer channel of its user took its place, see Member.Exclusive
	Unknown        Reason = '?' // a view missed the reason
)

// reasonNames are the texts of the reasons.
var reasonNames = map[Reason]string{
	Left: "left", RemovedByOther: "removed by another node", Disconnected: "disconnected",
	TimedOut: "timed out", Pruned: "pruned", Switched: "switched user", Drained: "drained",
	NodeLost: "node lost", Kicked: "kicked", Replaced: "replaced", Unknown: "unknown",
}

func (r Reason) String() string { return cmp.Or(reasonNames[r], reasonNames[Unknown]) }

// MarshalText implements encoding.TextMarshaler, so that a reason appears in JSON as
// its String.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It reads what MarshalText writes.
func (r *Reason) UnmarshalText(text []byte) error {
	for reason, name := range reasonNames {
		if name == string(text) {
			*r = reason
			return nil
		}
	}
	return fmt.Errorf("rollcall: unknown reason %q", text)
}

// Departure is a presence that has ended. Its Info is nil in a Change, and present in a
// Diff.
type Departure struct {
	Presence
	Reason Reason
}

// Change is what one step did to one room. A channel that changed its user is in
// Removed as the old user and in Added as the new one.
type Change struct {
	Room    string
	Counts  Counts // after the change; Revision is the change's own
	Added   []Presence
	Removed []Departure
	Updated []Presence
	// UsersCame and UsersWent are the users, or keys, whose first channel came or whose
	// last channel went.
	UsersCame []string
	UsersWent []string
	// Bulk marks a change made by a prune, or one that stands for several changes.
	Bulk bool
	// Restored means that this node put back what Redis had lost. Nobody came, so
	// UsersCame is empty and Counts.Healing is true.
	Restored bool
}

// Eviction says that a channel of this node was removed from a room: pruned, or
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

// note adds an event's effect on one presence to a change.
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

// bulkChange returns an event as a single change.
func (r *Reader) bulkChange(e luascripts.RoomEvent) Change {
	c := Change{Room: e.Room, Counts: countsOf(e.Header), UsersCame: e.Came, UsersWent: e.Went, Bulk: true}
	for _, it := range e.Items {
		r.note(&c, it)
	}
	return c
}

// Report returns the changes that a prune made, one for each room. A Tracker also calls
// its change handler with them.
func (r *Reader) Report(events []luascripts.RoomEvent) []Change {
	var changes []Change
	at := make(map[string]int)
	for _, e := range events {
		c := r.bulkChange(e)
		i, ok := at[e.Room]
		if !ok {
			at[e.Room] = len(changes)
			changes = append(changes, c)
			continue
		}
		m := &changes[i]
		m.Counts = c.Counts
		m.Removed = append(m.Removed, c.Removed...)
		m.UsersWent = append(m.UsersWent, c.UsersWent...)
	}
	return changes
}

// singleChanges returns an event as one change for each presence, in order. A user who
// came or went is listed with that user's first presence.
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
