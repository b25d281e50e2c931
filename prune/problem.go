package prune

import (
	"fmt"
	"strings"
)

// Kind is what a Problem is, in words.
type Kind string

// The kinds of problems.
const (
	// Of a shard as a whole.
	UnknownKey     Kind = "unknown key"     // under the prefix, and none of rollcall's
	WrongType      Kind = "wrong type"      // a key of rollcall's that holds something else
	MetaIncomplete Kind = "meta incomplete" // the schema, the number of shards or the epoch is not there

	// Of a room.
	HeaderUnreadable Kind = "header unreadable"
	RecordUnreadable Kind = "record unreadable"
	CountsDiffer     Kind = "counts differ"       // the header has other numbers than there are records
	UsersDiffer      Kind = "users differ"        // the hash of users says otherwise than the records
	RoomUnregistered Kind = "room unregistered"   // it is not in the registry of rooms
	RoomMissing      Kind = "room missing"        // it is in the registry, and there is none
	EmptyUnlisted    Kind = "empty room unlisted" // nobody is there, and no sweep will delete it
	EmptyWrong       Kind = "not an empty room"   // it is listed as one
	UsersStray       Kind = "users without room"
	SeenForever      Kind = "last seen without end" // what it remembers of users who went does not expire

	// Of a channel.
	IndexUnreadable Kind = "index unreadable"
	IndexStray      Kind = "index without record" // its node holds it still, or has lost it
	NotIndexed      Kind = "record without index" // nobody would remove it
	NotSeen         Kind = "never seen"           // no touch would reach it, and no sweep
	SeenStray       Kind = "seen without index"
	GraceUnreadable Kind = "grace unreadable"
	GraceUnlisted   Kind = "grace without end" // its record is in grace, and has no deadline
	GraceStray      Kind = "grace without record"
	GraceOverdue    Kind = "grace overdue"    // it has ended long ago, and nobody has removed who was in it
	GraceIndexed    Kind = "grace with index" // it has left its node, which has it still
	ClaimUnreadable Kind = "claim unreadable"
	ClaimStray      Kind = "claim without record"    // of who is in a room as the only channel of an identity
	Unclaimed       Kind = "exclusive without claim" // a newer one would not take its place

	// Of a node.
	NodeUnlisted Kind = "node unlisted" // something of it is there, and no lease
	NodeOverdue  Kind = "node overdue"  // its lease has lapsed long ago, and nobody has removed what it held
	NodeUnknown  Kind = "node unknown"  // there is a record of it, and nothing else
)

// Problem is something in Redis that must not be: it says what no script has
// written, or what a sweep should have removed.
type Problem struct {
	Kind    Kind
	Shard   int
	Room    string // where it is about one
	Node    string
	Channel string // its whole name
	Key     string // of Redis
	Member  string // of a key, where it is no channel; of a claim the user or key
	What    string // is wrong, in words; names are quoted
	// Mended tells that Repair has put it right. Why tells why not.
	Mended bool
	Why    error
}

// String is the problem in a line. What names may hold is quoted.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(string(p.Kind))
	for _, part := range []struct{ word, name string }{{"room", p.Room}, {"channel", p.Channel}, {"node", p.Node}, {"key", p.Key}, {"member", p.Member}} {
		if part.name != "" {
			fmt.Fprintf(&b, ", %s %q", part.word, part.name)
		}
	}
	if p.What != "" {
		b.WriteString(": " + p.What)
	}
	return b.String()
}

// identity is what tells two problems apart.
type identity struct {
	kind                             Kind
	shard                            int
	room, node, channel, key, member string
}

func (p Problem) identity() identity {
	return identity{p.Kind, p.Shard, p.Room, p.Node, p.Channel, p.Key, p.Member}
}
