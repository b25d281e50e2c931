package luascripts

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrMismatch means that the data was written by another version of rollcall or with
// another number of shards.
var ErrMismatch = errors.New("rollcall: configuration does not fit the data in Redis")

// ErrNodeTaken means that a living process already has the node id.
var ErrNodeTaken = errors.New("rollcall: node id is taken")

// Registration describes a node.
type Registration struct {
	Node   string
	Token  string // of the process: distinguishes two that claim the same id
	Lease  time.Duration
	MaxAge time.Duration
	// Remember is how long users who went are remembered; 0 leaves that to the other
	// nodes.
	Remember time.Duration
}

// hold returns how long nobody is swept after a time in which no node reached Redis:
// until each has signed its lease and written its touches. A node stuck with a replaced
// master finds the successor after most of a lease, plus the client's time to ask for
// it, which a short lease does not shorten.
func (r Registration) hold() int64 {
	const (
		asking  = time.Second
		flushes = 5 // twice the longest flush interval, a tenth of max age
	)
	return max(r.Lease+asking, r.MaxAge/flushes).Milliseconds()
}

// remember is how the scripts are told of Remember.
func (r Registration) remember() string {
	if r.Remember <= 0 {
		return ""
	}
	return strconv.FormatInt(r.Remember.Milliseconds(), 10)
}

// Incarnation is one registration of a node in a shard.
type Incarnation struct {
	ID    string
	Epoch string // of the data: new whenever some was lost
}

// Register begins an incarnation of a node in a shard. known is the epoch that the node
// knows. lost means that writes since then are missing, which makes a new epoch.
func (s *Store) Register(ctx context.Context, shard int, r Registration, known string, lost bool) (Incarnation, error) {
	keys := []string{s.Meta(shard), s.Nodes(shard), s.Node(shard, r.Node)}
	reply, err := s.run(ctx, s.scripts.register, keys, []any{
		r.Node, r.Token, SchemaVersion, s.Shards(), r.Lease.Milliseconds(), r.MaxAge.Milliseconds(), r.hold(),
		known, lost, r.remember(),
	}).StringSlice()
	if err == nil {
		s.learnRemember(reply[2])
		return Incarnation{ID: reply[0], Epoch: reply[1]}, nil
	}
	switch word, value, _ := strings.Cut(err.Error(), " "); word {
	case "SCHEMA":
		return Incarnation{}, schemaMismatch(value)
	case "SHARDS":
		return Incarnation{}, s.shardsMismatch(value)
	case "TAKEN":
		return Incarnation{}, fmt.Errorf("%w: %q", ErrNodeTaken, r.Node)
	}
	return Incarnation{}, err
}

// Renew signs the lease of a node in a shard. It returns the epoch of the data, and
// whether a subscriber connection heard the node's pulse. number is that of the node's
// last batch that is known to be written.
func (s *Store) Renew(ctx context.Context, shard int, r Registration, incarnation string, number int64) (epoch string, heard bool, err error) {
	keys := []string{s.Node(shard, r.Node), s.Nodes(shard), s.Meta(shard), s.Pulse(shard, r.Node), s.Presences(shard, r.Node)}
	reply, err := s.run(ctx, s.scripts.renew, keys, []any{
		r.Node, incarnation, number, r.Lease.Milliseconds(), r.hold(), s.publish, r.remember(),
	}).Slice()
	if err != nil {
		return "", false, typed(err)
	}
	epoch, _ = reply[0].(string)
	n, _ := reply[1].(int64)
	return epoch, n > 0, nil
}

// Retire forgets a node that has nothing left. The node itself gives its incarnation;
// others give none, and are refused while it has a lease.
func (s *Store) Retire(ctx context.Context, shard int, node, incarnation string) (bool, error) {
	keys := []string{s.Node(shard, node), s.Presences(shard, node), s.Index(shard, node), s.Nodes(shard), s.Meta(shard)}
	return s.run(ctx, s.scripts.retire, keys, []any{node, incarnation}).Bool()
}

// Touch records that the channels were seen now, and returns those without a presence.
// It takes at most MaxTouch channels.
func (s *Store) Touch(ctx context.Context, shard int, node string, shorts []string) (missing []string, err error) {
	if len(shorts) == 0 {
		return nil, nil
	}
	args := make([]any, len(shorts))
	for i, short := range shorts {
		args[i] = short
	}
	return s.run(ctx, s.scripts.touch, []string{s.Presences(shard, node)}, args).StringSlice()
}

// MaxTouch is how many channels one Touch takes: Lua unpacks no more at once.
const MaxTouch = 1000

// NodeRow is what Redis knows of a node in one shard.
type NodeRow struct {
	Node     string
	LeasedAt time.Time
	Lease    time.Duration
	MaxAge   time.Duration
	Channels int
}

// Lapsed reports whether the node's lease has expired by a time of Redis, or was signed
// further ahead than it lasts, before the clock went back.
func (r NodeRow) Lapsed(now time.Time) bool { return r.lapsedFor(now, 0) }

func (r NodeRow) lapsedFor(now time.Time, d time.Duration) bool {
	return now.Sub(r.LeasedAt).Abs() > r.Lease+d
}

// Now returns the time of Redis.
func (s *Store) Now(ctx context.Context, shard int) (time.Time, error) {
	ms, err := s.run(ctx, s.scripts.clock, []string{s.Meta(shard)}, nil).Int64()
	return time.UnixMilli(ms), err
}

// Alive tells whether a node has a lease in a shard that has not lapsed.
func (s *Store) Alive(ctx context.Context, shard int, node string) (bool, error) {
	now, err := s.Now(ctx, shard)
	if err != nil {
		return false, err
	}
	signed, err := s.client.ZScore(ctx, s.Nodes(shard), node).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	lease, err := s.client.HGet(ctx, s.Node(shard, node), "lease").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, err
	}
	row := NodeRow{Node: node, LeasedAt: time.UnixMilli(int64(signed)), Lease: milliseconds(lease)}
	return !row.Lapsed(now), nil
}

// NodeRows returns the nodes of a shard, and Redis's time.
func (s *Store) NodeRows(ctx context.Context, shard int) (rows []NodeRow, now time.Time, err error) {
	if now, err = s.Now(ctx, shard); err != nil {
		return nil, now, err
	}
	leases, err := s.client.ZRangeWithScores(ctx, s.Nodes(shard), 0, -1).Result()
	if err != nil || len(leases) == 0 {
		return nil, now, err
	}
	pipe := s.client.Pipeline()
	fields := make([]*redis.SliceCmd, len(leases))
	counts := make([]*redis.IntCmd, len(leases))
	for i, z := range leases {
		node, _ := z.Member.(string)
		fields[i] = pipe.HMGet(ctx, s.Node(shard, node), "lease", "age")
		counts[i] = pipe.HLen(ctx, s.Index(shard, node))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, now, err
	}
	rows = make([]NodeRow, len(leases))
	for i, z := range leases {
		node, _ := z.Member.(string)
		rows[i] = NodeRow{Node: node, LeasedAt: time.UnixMilli(int64(z.Score)), Channels: int(counts[i].Val())}
		rows[i].Lease, rows[i].MaxAge = milliseconds(fields[i].Val()[0]), milliseconds(fields[i].Val()[1])
	}
	return rows, now, nil
}

func milliseconds(v any) time.Duration {
	text, _ := v.(string)
	n, _ := strconv.ParseInt(text, 10, 64) // a row without it counts as 0
	return time.Duration(n) * time.Millisecond
}
