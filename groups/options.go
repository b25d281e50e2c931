package groups

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/internal/seal"
	"github.com/rollcall-go/rollcall/luascripts"
)

// Overflow says what happens to a message for a channel whose mailbox is full.
type Overflow int

const (
	// DropNewest drops the message. It is the default.
	DropNewest Overflow = iota
	// DropOldest drops the message that has waited longest.
	DropOldest
	// CloseChannel closes the channel with ErrChannelFull.
	CloseChannel
)

// Options of a Layer. The zero value of each field is its default.
type Options struct {
	// Prefix begins every key and topic in Redis. Layers with different
	// prefixes do not know of each other. Defaults to "presence".
	Prefix string

	// Shards is the number of self-contained parts of the data, which a cluster spreads
	// over its masters: a power of two up to 1,024. It is recorded in Redis at the
	// first start, and a node with another number is refused. A node has one batch of
	// writes in flight per shard: on a single Redis, 2 shards let a very busy node
	// write while it waits. Defaults to 16 on a cluster, else to 1.
	Shards int

	// NodeID names this process in the fleet: up to 64 letters, digits, "-", "_" and
	// ".". It must be new at every start, because channels are named after it and one
	// of an earlier process may still be in a room. Defaults to 16 random characters.
	NodeID string

	// Capacity is the number of messages that a mailbox holds. Defaults to 100.
	Capacity int

	// Overflow says what happens when a mailbox is full. Defaults to DropNewest.
	Overflow Overflow

	// MaxPayload is the maximum size of a payload in bytes. Defaults to 64 KiB.
	MaxPayload int

	// Linger is how long the node stays subscribed to a group after its last channel
	// has left. Defaults to 5 s.
	Linger time.Duration

	// Keys encrypt messages on the bus and the infos of presences with AES-GCM: the
	// first key seals, every key opens. A key is 16, 24 or 32 random bytes. All
	// processes of a fleet need the keys; docs/encryption.md says how to replace one. A
	// node with keys drops messages in clear, and one without drops sealed ones. The
	// names of rooms, channels and users, and counts, are not encrypted. Defaults to no
	// keys: no encryption.
	Keys [][]byte

	// Logger receives at most one line per second of each kind, including the
	// Tracker's; docs/observability.md lists the levels. Defaults to none.
	Logger *zap.Logger

	sealer *seal.Sealer // made of Keys
}

// DefaultPrefix is the prefix if Options.Prefix is empty.
const DefaultPrefix = "presence"

const (
	defaultCapacity   = 100
	defaultMaxPayload = 64 << 10
	defaultLinger     = 5 * time.Second
	keepAlive         = 5 * time.Second
	maxNodeID         = 64
)

func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.NodeID == "" {
		c.NodeID = strings.ToLower(rand.Text()[:16])
	}
	if c.Capacity == 0 {
		c.Capacity = defaultCapacity
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = defaultMaxPayload
	}
	if c.Linger == 0 {
		c.Linger = defaultLinger
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if err := c.validate(); err != nil {
		return c, err
	}
	var err error
	c.sealer, err = seal.New(c.Keys)
	c.Keys = nil // the sealer has them, and they must not be printed
	return c, err
}

func (o *Options) validate() error {
	invalid := func(field string, value any, reason string) error {
		return &InvalidError{Field: field, Value: fmt.Sprint(value), Reason: reason}
	}
	wrong := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r))
	}
	switch {
	case strings.ContainsAny(o.Prefix, "{}"):
		return invalid("Prefix", o.Prefix, "braces are not allowed")
	case len(o.NodeID) > maxNodeID:
		return invalid("NodeID", o.NodeID, fmt.Sprintf("%d bytes, more than %d", len(o.NodeID), maxNodeID))
	case strings.ContainsFunc(o.NodeID, wrong):
		return invalid("NodeID", o.NodeID, "only letters, digits, '-', '_' and '.' are allowed")
	case o.Capacity < 0:
		return invalid("Capacity", o.Capacity, "negative")
	case o.Overflow < DropNewest || o.Overflow > CloseChannel:
		return invalid("Overflow", int(o.Overflow), "no such policy")
	case o.MaxPayload < 0:
		return invalid("MaxPayload", o.MaxPayload, "negative")
	case o.Linger < 0:
		return invalid("Linger", o.Linger, "negative")
	}
	if o.Shards == 0 {
		return nil
	}
	return luascripts.CheckShards(o.Shards)
}

// InvalidError tells which argument or option was refused, before any call to Redis.
type InvalidError = luascripts.InvalidError
