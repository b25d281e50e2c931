package luascripts

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// Keys builds the names of all keys and topics: "<prefix>:{<shard>}:<what>".
// The first pair of braces decides the slot on a cluster, so the names of rooms
// may hold any bytes.
type Keys struct {
	prefix string
	shards int
}

// NewKeys returns the keys under a prefix, spread over a number of shards.
func NewKeys(prefix string, shards int) (Keys, error) {
	if prefix == "" || strings.ContainsAny(prefix, "{}") {
		return Keys{}, fmt.Errorf("rollcall: prefix %q is empty or holds a brace", prefix)
	}
	if shards < 1 || shards > 1024 || shards&(shards-1) != 0 {
		return Keys{}, fmt.Errorf("rollcall: %d shards, must be a power of two up to 1024", shards)
	}
	return Keys{prefix: prefix, shards: shards}, nil
}

// Shards is the number of self-contained parts of the keyspace.
func (k Keys) Shards() int { return k.shards }

// Shard is the part that a room, a group or a node's own topic belongs to.
func (k Keys) Shard(name string) int {
	h := fnv.New32a()
	h.Write([]byte(name)) // never fails
	return int(h.Sum32() & uint32(k.shards-1))
}

func (k Keys) in(shard int, what string) string {
	return k.prefix + ":{" + strconv.Itoa(shard) + "}:" + what
}

// Room is the hash of a room and the topic of the group of that name.
func (k Keys) Room(room string) string { return k.in(k.Shard(room), "room:"+room) }

// RoomUsers is the hash of the users of a room.
func (k Keys) RoomUsers(room string) string { return k.in(k.Shard(room), "users:"+room) }

// Inbox is the topic on which a node hears what is sent to its channels.
func (k Keys) Inbox(node string) string { return k.in(k.Shard(node), "inbox:"+node) }

// RoomSeen is the sorted set of the users who left a room, by when they did.
func (k Keys) RoomSeen(room string) string { return k.in(k.Shard(room), "seen:"+room) }

// Pulse is the topic on which a node finds out whether a shard reaches it.
func (k Keys) Pulse(shard int, node string) string { return k.in(shard, "pulse:"+node) }

// Rooms is the set of the names of the rooms.
func (k Keys) Rooms(shard int) string { return k.in(shard, "rooms") }

// Empty is the sorted set of the rooms without presences, by when they became so.
func (k Keys) Empty(shard int) string { return k.in(shard, "empty") }

// Grace is the sorted set of the presences that left with a grace, by deadline.
func (k Keys) Grace(shard int) string { return k.in(shard, "grace") }

// Nodes is the sorted set of the nodes, by their last lease.
func (k Keys) Nodes(shard int) string { return k.in(shard, "nodes") }

// Sweep is the hash of who has the turn to sweep a shard.
func (k Keys) Sweep(shard int) string { return k.in(shard, "sweep") }

// Meta is the hash of the schema's version and the number of shards.
func (k Keys) Meta(shard int) string { return k.in(shard, "meta") }

// Node is the hash with a node's incarnation and its last batch.
func (k Keys) Node(shard int, node string) string { return k.in(shard, "node:"+node) }

// Presences is the sorted set of a node's channels, by when they were last seen.
func (k Keys) Presences(shard int, node string) string { return k.in(shard, "presences:"+node) }

// Index is the hash of the rooms of each of a node's channels.
func (k Keys) Index(shard int, node string) string { return k.in(shard, "index:"+node) }
