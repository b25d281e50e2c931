package luascripts

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// Keys builds the names of all keys and topics: "<prefix>:{<tag of the shard>}:<what>".
// The first pair of braces decides the slot on a cluster, so names of rooms may hold
// any bytes.
type Keys struct {
	prefix string
	heads  []string // by shard: what its keys begin with
}

// MaxShards is the greatest number of shards.
const MaxShards = 1024

// NewKeys returns the keys under a prefix, spread over a number of shards.
func NewKeys(prefix string, shards int) (Keys, error) {
	if prefix == "" || strings.ContainsAny(prefix, "{}") {
		return Keys{}, fmt.Errorf("rollcall: prefix %q is empty or holds a brace", prefix)
	}
	if err := CheckShards(shards); err != nil {
		return Keys{}, err
	}
	k := Keys{prefix: prefix, heads: make([]string, shards)}
	for shard, tag := range hashTags(shards) {
		k.heads[shard] = prefix + ":{" + tag + "}:"
	}
	return k, nil
}

// CheckShards returns an *InvalidError if the number of shards is not allowed.
func CheckShards(shards int) error {
	if shards < 1 || shards > MaxShards || shards&(shards-1) != 0 {
		return &InvalidError{
			Field:  "Shards",
			Value:  strconv.Itoa(shards),
			Reason: fmt.Sprintf("must be a power of two up to %d", MaxShards),
		}
	}
	return nil
}

// Prefix returns what all keys begin with.
func (k Keys) Prefix() string { return k.prefix }

// Shards returns the number of self-contained parts of the keyspace.
func (k Keys) Shards() int { return len(k.heads) }

// Shard returns the part that a room, a group or a node's own topic belongs to.
func (k Keys) Shard(name string) int {
	h := fnv.New32a()
	h.Write([]byte(name)) // never fails
	return int(h.Sum32() & uint32(len(k.heads)-1))
}

func (k Keys) in(shard int, what, name string) string { return k.heads[shard] + what + name }

// Room returns the hash of a room, which is also the topic of the group of that name.
func (k Keys) Room(room string) string { return k.roomIn(k.Shard(room), room) }

// RoomUsers returns the hash of the users of a room.
func (k Keys) RoomUsers(room string) string { return k.usersIn(k.Shard(room), room) }

// Inbox returns the topic on which a node receives what is sent to its channels.
func (k Keys) Inbox(node string) string { return k.in(k.Shard(node), "inbox:", node) }

// Pulse returns the topic of a node in a shard on which nothing is ever said. A script
// that publishes there learns whether the server has the node's subscription.
func (k Keys) Pulse(shard int, node string) string { return k.in(shard, "pulse:", node) }

// RoomSeen returns the sorted set of the users who left a room, by when they did.
func (k Keys) RoomSeen(room string) string { return k.seenIn(k.Shard(room), room) }

// roomIn, usersIn and seenIn are Room, RoomUsers and RoomSeen for names that may be in
// a shard where they do not belong: a script cannot be given the keys of two shards.
func (k Keys) roomIn(shard int, room string) string  { return k.in(shard, "room:", room) }
func (k Keys) usersIn(shard int, room string) string { return k.in(shard, "users:", room) }
func (k Keys) seenIn(shard int, room string) string  { return k.in(shard, "seen:", room) }

// Rooms returns the set of the names of the rooms.
func (k Keys) Rooms(shard int) string { return k.in(shard, "rooms", "") }

// Empty returns the sorted set of the rooms without presences, by when they became so.
func (k Keys) Empty(shard int) string { return k.in(shard, "empty", "") }

// Grace returns the sorted set of the presences that left with a grace, by deadline.
func (k Keys) Grace(shard int) string { return k.in(shard, "grace", "") }

// Exclusive returns the hash of the exclusive channel of each identity in a room.
func (k Keys) Exclusive(shard int) string { return k.in(shard, "exclusive", "") }

// Nodes returns the sorted set of the nodes, by when they last signed their lease.
func (k Keys) Nodes(shard int) string { return k.in(shard, "nodes", "") }

// Sweep returns the hash of whose turn it is to sweep a shard.
func (k Keys) Sweep(shard int) string { return k.in(shard, "sweep", "") }

// Whole returns a name under which there is never anything. A script that has it among
// its keys is refused while the slot is moving to another master, even if all its other
// keys are still together.
func (k Keys) Whole(shard int) string { return k.in(shard, "whole", "") }

// Meta returns the hash of what concerns the shard as a whole: the schema's version,
// the number of shards, the epoch, the last lease, and what holds sweeps.
func (k Keys) Meta(shard int) string { return k.in(shard, "meta", "") }

// Node returns the hash with a node's incarnation and its last batch.
func (k Keys) Node(shard int, node string) string { return k.in(shard, "node:", node) }

// Presences returns the sorted set of a node's channels, by when they were last seen.
func (k Keys) Presences(shard int, node string) string { return k.in(shard, "presences:", node) }

// Index returns the hash of the rooms of each of a node's channels.
func (k Keys) Index(shard int, node string) string { return k.in(shard, "index:", node) }
