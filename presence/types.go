package presence

import "time"

// Member says who stands behind a channel. The zero Member is anonymous.
type Member struct {
	// User names the user; empty means anonymous. At most 255 bytes of UTF-8.
	User string
	// Info is the application's own, up to Options.MaxInfo bytes.
	Info []byte
}

// Presence is one channel in one room.
type Presence struct {
	Room     string
	Channel  string
	User     string // empty: anonymous
	Info     []byte
	JoinedAt time.Time // by Redis's clock
	LastSeen time.Time // by Redis's clock; zero where a call does not read it
	// Unopened tells that there is an info, which is withheld, as the keys of
	// this process do not open it or it is in clear where there are keys.
	Unopened bool
}

// Revision numbers the changes of a room. It rises with every change, by one
// or more, and is close to the time of the change in microseconds, so that it
// rises over a room that was pruned and made again, too.
type Revision int64

// Counts are the numbers of a room at a revision.
type Counts struct {
	Presences int // channels in the room
	Users     int // distinct users among them
	Anonymous int // channels without a user
	Revision  Revision
}
