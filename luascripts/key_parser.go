package luascripts

import "strings"

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
		shards[k.heads[shard]] = shard
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

// KeyPattern is that of SCAN for all keys under the prefix.
func (k Keys) KeyPattern() string { return literal(k.prefix) + ":{*" }
