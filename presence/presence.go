package presence

import (
	"cmp"
	"time"
)

// Member says who is behind a channel. The zero Member is anonymous.
type Member struct {
	// User names the user; empty means anonymous. At most 255 bytes of UTF-8.
	User string
	// Key is the name that the presence counts under instead of User. All connections
	// with the same key are one user to Counts, Users, UsersCame and UsersWent, and to
	// a grace. Set it to tell a user's devices apart, or to recognise an anonymous
	// visitor who comes back. Defaults to User. At most 255 bytes of UTF-8.
	Key string
	// Exclusive makes the newest channel of a user, or key, replace the one before: a
	// room has at most one channel per user among those added so. Redis decides this in
	// the step that adds. The other channel leaves in the same step, with the reason
	// Replaced, and its node calls OnEvict, which may close it. The user neither comes
	// nor goes. A room takes one such addition of a node at a time, so with many users
	// give each one a room for it. Adding a channel that is present with another
	// Exclusive changes it over, as to another user. If an addition fails, the previous
	// channel may have left all the same.
	Exclusive bool
	// Info is the application's own data, up to Options.MaxInfo bytes.
	Info []byte
}

// Presence is one channel in one room.
type Presence struct {
	Room     string
	Channel  string
	User     string // empty if anonymous
	Key      string // empty if it is the same as User
	Info     []byte
	JoinedAt time.Time // by Redis's clock
	LastSeen time.Time // by Redis's clock; zero if a call does not read it, and in grace
	LeavesAt time.Time // end of the grace, by Redis's clock; zero if not in grace, or if a call does not read it
	// Unopened means that there is an info that is withheld: the keys of this process
	// do not open it, or it is in clear although there are keys.
	Unopened bool
}

// identity returns what the presence counts as; empty if anonymous.
func (p *Presence) identity() string { return cmp.Or(p.Key, p.User) }

// Revision numbers the changes of a room. It rises with every change, by one or more,
// and is close to the time of the change in microseconds. So it also rises when a room
// is pruned and made again.
type Revision int64

// Counts are the numbers of a room at a revision.
type Counts struct {
	Presences int // channels in the room
	Users     int // distinct users, or keys, among them
	Anonymous int // channels with neither
	Revision  Revision
	// Healing means that data was lost a moment ago, and that nodes may not all have
	// put back what they hold: the true numbers may be higher.
	Healing bool
}
