package presence

import (
	"cmp"
	"time"
)

// Member says who stands behind a channel. The zero Member is anonymous.
type Member struct {
	// User names the user; empty means anonymous. At most 255 bytes of UTF-8.
	User string
	// Key is the name that the presence counts under in place of User: all
	// connections of one key are one user to Counts, Users, UsersCame and
	// UsersWent, and to a grace. Set it to tell a user's devices apart, or to
	// recognise an anonymous visitor who comes back. Defaults to User. At most
	// 255 bytes of UTF-8.
	Key string
	// Exclusive has the newest channel of a user, or key, take the place of the one
	// before: of those that were added so, a room has one of each user. Redis decides
	// it in the step that adds; the other channel leaves in the same step, with the
	// reason Replaced, and its node calls OnEvict, which may close it. The user
	// neither comes nor goes. One room takes one such addition of a node at a time, so
	// give each user a room for it where there are many. A channel that is there and is
	// added with another Exclusive changes over, as to another user. Where an addition
	// fails, the one before may have left all the same.
	Exclusive bool
	// Info is the application's own, up to Options.MaxInfo bytes.
	Info []byte
}

// Presence is one channel in one room.
type Presence struct {
	Room     string
	Channel  string
	User     string // empty: anonymous
	Key      string // empty where it is the user
	Info     []byte
	JoinedAt time.Time // by Redis's clock
	LastSeen time.Time // by Redis's clock; zero where a call does not read it, and in grace
	LeavesAt time.Time // in grace: when that ends, by Redis's clock; zero where a call does not read it
	// Unopened tells that there is an info, which is withheld, as the keys of
	// this process do not open it or it is in clear where there are keys.
	Unopened bool
}

// identity is what the presence counts as, empty if anonymous.
func (p *Presence) identity() string { return cmp.Or(p.Key, p.User) }

// Revision numbers the changes of a room. It rises with every change, by one
// or more, and is close to the time of the change in microseconds, so that it
// rises over a room that was pruned and made again, too.
type Revision int64

// Counts are the numbers of a room at a revision.
type Counts struct {
	Presences int // channels in the room
	Users     int // distinct users among them, or keys
	Anonymous int // channels with neither
	Revision  Revision
	// Healing tells that data was lost a moment ago, and that not all nodes may
	// have added again yet what they hold: there may be more than is shown.
	Healing bool
}
