package luascripts

import "strings"

// Key is a parsed key name.
type Key struct {
	Shard int
	Kind  string // the part before the name: "room", "node", "rooms", ...
	Name  string // of the room or the node; empty if a shard has only one such key
	Type  string // the type that the key must have, as TYPE names it
}

// keyTypes are the types of keys by kind. Kinds that end with a colon have a name.
var keyTypes = map[string]string{
	"room:": "hash", "users:": "hash", "seen:": "zset",
	"node:": "hash", "presences:": "zset", "index:": "hash",
	"rooms": "set", "empty": "zset", "grace": "zset", "exclusive": "hash", "nodes": "zset",
	"sweep": "hash", "meta": "hash",
}

// Parser returns a function that parses a key. It returns false for a key that is not
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

// KeyPattern returns the SCAN pattern of all keys under the prefix.
func (k Keys) KeyPattern() string { return literal(k.prefix) + ":{*" }
