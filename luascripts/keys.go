package luascripts

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// Keys builds the names of all keys and topics: "<prefix>:{<tag of the shard>}:<what>".
// The first pair of braces decides the slot on a cluster, so the names of rooms
// may hold any bytes.
type Keys struct {
	prefix string
	heads  []string // of each shard, what all its keys begin with
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

// CheckShards returns an *InvalidError if there can be no such number of shards.
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

// Prefix is what all keys begin with.
func (k Keys) Prefix() string { return k.prefix }

// Shards is the number of self-contained parts of the keyspace.
func (k Keys) Shards() int { return len(k.heads) }

// Shard is the part that a room, a group or a node's own topic belongs to.
func (k Keys) Shard(name string) int {
	h := fnv.New32a()
	h.Write([]byte(name)) // never fails
	return int(h.Sum32() & uint32(len(k.heads)-1))
}

func (k Keys) in(shard int, what, name string) string { return k.heads[shard] + what + name }

// Room is the hash of a room and the topic of the group of that name.
func (k Keys) Room(room string) string { return k.roomIn(k.Shard(room), room) }

// RoomUsers is the hash of the users of a room.
func (k Keys) RoomUsers(room string) string { return k.usersIn(k.Shard(room), room) }

// Inbox is the topic on which a node hears what is sent to its channels.
func (k Keys) Inbox(node string) string { return k.in(k.Shard(node), "inbox:", node) }

// Pulse is the topic of a node in a shard on which nothing is said: who publishes
// there learns whether the server has the node's subscription.
func (k Keys) Pulse(shard int, node string) string { return k.in(shard, "pulse:", node) }

// RoomSeen is the sorted set of the users who left a room, by when they did.
func (k Keys) RoomSeen(room string) string { return k.seenIn(k.Shard(room), room) }

// roomIn, usersIn and seenIn are Room, RoomUsers and RoomSeen for names that may be in
// a shard where they do not belong: a script could not be given the keys of two shards.
func (k Keys) roomIn(shard int, room string) string  { return k.in(shard, "room:", room) }
func (k Keys) usersIn(shard int, room string) string { return k.in(shard, "users:", room) }
func (k Keys) seenIn(shard int, room string) string  { return k.in(shard, "seen:", room) }

// Rooms is the set of the names of the rooms.
func (k Keys) Rooms(shard int) string { return k.in(shard, "rooms", "") }

// Empty is the sorted set of the rooms without presences, by when they became so.
func (k Keys) Empty(shard int) string { return k.in(shard, "empty", "") }

// Grace is the sorted set of the presences that left with a grace, by deadline.
func (k Keys) Grace(shard int) string { return k.in(shard, "grace", "") }

// Exclusive is the hash of which channel is there as the only one of an identity in
// a room.
func (k Keys) Exclusive(shard int) string { return k.in(shard, "exclusive", "") }

// Nodes is the sorted set of the nodes, by their last lease.
func (k Keys) Nodes(shard int) string { return k.in(shard, "nodes", "") }

// Sweep is the hash of who has the turn to sweep a shard.
func (k Keys) Sweep(shard int) string { return k.in(shard, "sweep", "") }

// Whole is a name under which there is never anything. A script that has it among
// its keys is refused while the slot is on its way to another master, even if all
// its other keys are still together.
func (k Keys) Whole(shard int) string { return k.in(shard, "whole", "") }

// Meta is the hash of what is known of the shard as a whole: the schema's version, the
// number of shards, the epoch, the last lease, and what holds up sweeps.
func (k Keys) Meta(shard int) string { return k.in(shard, "meta", "") }

// Node is the hash with a node's incarnation and its last batch.
func (k Keys) Node(shard int, node string) string { return k.in(shard, "node:", node) }

// Presences is the sorted set of a node's channels, by when they were last seen.
func (k Keys) Presences(shard int, node string) string { return k.in(shard, "presences:", node) }

// Index is the hash of the rooms of each of a node's channels.
func (k Keys) Index(shard int, node string) string { return k.in(shard, "index:", node) }
