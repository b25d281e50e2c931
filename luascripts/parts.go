package luascripts

import (
	"context"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Key is the name of a key, taken apart.
type Key struct {
	Shard int
	Kind  string // what stands before the name: "room", "node", "rooms", ...
	Name  string // of the room or the node, empty where there is one such key in a shard
	Type  string // what the key must be, as TYPE says it
}

// keyTypes are the types of all kinds of keys, by their kind. Those whose kind
// ends with a colon have a name.
var keyTypes = map[string]string{
	"room:": "hash", "users:": "hash", "seen:": "zset",
	"node:": "hash", "presences:": "zset", "index:": "hash",
	"rooms": "set", "empty": "zset", "grace": "zset", "exclusive": "hash", "nodes": "zset",
	"sweep": "hash", "meta": "hash",
}

// Parser returns what takes a key apart. It tells false of a key that is none of
// rollcall's.
func (k Keys) Parser() func(key string) (Key, bool) {
	shards := make(map[string]int, k.Shards())
	for shard := range k.Shards() {
		shards[k.head(shard)] = shard
	}
	return func(key string) (Key, bool) {
		head := key[:strings.Index(key, "}:")+len("}:")]
		shard, ours := shards[head]
		kind, name, named := strings.Cut(strings.TrimPrefix(key, head), ":")
		if named {
			kind += ":"
		}
		typ, known := keyTypes[kind]
		if !ours || !known || named && name == "" {
			return Key{}, false
		}
		ofRoom := kind == "room:" || kind == "users:" || kind == "seen:"
		if ofRoom && (len(name) > MaxName || k.Shard(name) != shard) {
			return Key{}, false
		}
		return Key{Shard: shard, Kind: strings.TrimSuffix(kind, ":"), Name: name, Type: typ}, true
	}
}

// head is what all keys of a shard begin with.
func (k Keys) head(shard int) string { return strings.TrimSuffix(k.Rooms(shard), "rooms") }

// roomIn, usersIn and seenIn are Room, RoomUsers and RoomSeen for names that may be in
// a shard where they do not belong: a script could not be given the keys of two shards.
func (k Keys) roomIn(shard int, room string) string  { return k.head(shard) + "room:" + room }
func (k Keys) usersIn(shard int, room string) string { return k.head(shard) + "users:" + room }
func (k Keys) seenIn(shard int, room string) string  { return k.head(shard) + "seen:" + room }

// KeyPattern is that of SCAN for all keys under the prefix.
func (k Keys) KeyPattern() string { return literal(k.prefix) + ":{*" }

// Masters returns the servers that have a part of the data.
func (s *Store) Masters(ctx context.Context) ([]redis.Cmdable, error) {
	var mu sync.Mutex
	var masters []redis.Cmdable
	err := s.onMasters(ctx, func(_ context.Context, master redis.Cmdable) error {
		mu.Lock()
		defer mu.Unlock()
		masters = append(masters, master)
		return nil
	})
	return masters, err
}
