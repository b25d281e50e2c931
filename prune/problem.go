package prune

import (
	"fmt"
	"strings"
)

// Kind names the kind of a Problem.
type Kind string

// The kinds of problems.
const (
	// Of a shard as a whole.
	UnknownKey     Kind = "unknown key"     // under the prefix, but not one of rollcall's
	WrongType      Kind = "wrong type"      // one of rollcall's keys, with a value of another type
	MetaIncomplete Kind = "meta incomplete" // the schema, the number of shards or the epoch is missing

	// Of a room.
	HeaderUnreadable Kind = "header unreadable"
	RecordUnreadable Kind = "record unreadable"
	CountsDiffer     Kind = "counts differ"       // the counts in the header differ from the records
	UsersDiffer      Kind = "users differ"        // the hash of users differs from the records
	RoomUnregistered Kind = "room unregistered"   // not in the registry of rooms
	RoomMissing      Kind = "room missing"        // in the registry, but there is no such room
	EmptyUnlisted    Kind = "empty room unlisted" // without presences, and no sweep will delete it
	EmptyWrong       Kind = "not an empty room"   // listed as empty, but is not
	UsersStray       Kind = "users without room"
	SeenForever      Kind = "last seen without end" // what it remembers of users who went does not expire

	// Of a channel.
	IndexUnreadable Kind = "index unreadable"
	IndexStray      Kind = "index without record" // its node still holds it, or has lost it
	NotIndexed      Kind = "record without index" // nothing would remove it
	NotSeen         Kind = "never seen"           // no touch would reach it, and no sweep
	SeenStray       Kind = "seen without index"
	GraceUnreadable Kind = "grace unreadable"
	GraceUnlisted   Kind = "grace without end" // its record is in grace, but has no deadline
	GraceStray      Kind = "grace without record"
	GraceOverdue    Kind = "grace overdue"    // it ended long ago, and the presence was not removed
	GraceIndexed    Kind = "grace with index" // it has left its node, which still has it
	ClaimUnreadable Kind = "claim unreadable"
	ClaimStray      Kind = "claim without record"    // its channel is not in the room as an exclusive one of the identity
	Unclaimed       Kind = "exclusive without claim" // a newer channel would not take its place

	// Of a node.
	NodeUnlisted Kind = "node unlisted" // it has data, but no lease
	NodeOverdue  Kind = "node overdue"  // its lease expired long ago, and what it held was not removed
	NodeUnknown  Kind = "node unknown"  // there is a record of it, but nothing else
)

// Problem is something in Redis that must not be: no script wrote it, or a sweep should
// have removed it.
type Problem struct {
	Kind    Kind
	Shard   int
	Room    string // if it is about one
	Node    string
	Channel string // its full name
	Key     string // of Redis
	Member  string // of a key, if it is not a channel; of a claim, the user or key
	What    string // what is wrong, in words; names are quoted
	// Mended means that Repair has mended it. Otherwise Why may say why not.
	Mended bool
	Why    error
}

// String returns the problem in one line. Names that may hold anything are quoted.
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

// identity tells problems apart.
type identity struct {
	kind                             Kind
	shard                            int
	room, node, channel, key, member string
}

func (p Problem) identity() identity {
	return identity{p.Kind, p.Shard, p.Room, p.Node, p.Channel, p.Key, p.Member}
}
