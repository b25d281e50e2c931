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

// ErrMismatch tells that the data was written by another version of rollcall or
// with another number of shards.
var ErrMismatch = errors.New("rollcall: configuration does not fit the data in Redis")

// ErrNodeTaken tells that a living process has the node id already.
var ErrNodeTaken = errors.New("rollcall: node id is taken")

// Registration is what a node says of itself.
type Registration struct {
	Node   string
	Token  string // of the process: tells two that claim one id apart
	Lease  time.Duration
	MaxAge time.Duration
}

// Register begins an incarnation of a node in a shard.
func (s *Store) Register(ctx context.Context, shard int, r Registration) (incarnation string, err error) {
	keys := []string{s.Meta(shard), s.Nodes(shard), s.Node(shard, r.Node)}
	incarnation, err = s.run(ctx, s.scripts.register, keys, []any{
		r.Node, r.Token, SchemaVersion, s.Shards(), r.Lease.Milliseconds(), r.MaxAge.Milliseconds(),
	}).Text()
	if err == nil {
		return incarnation, nil
	}
	switch word, value, _ := strings.Cut(err.Error(), " "); word {
	case "SCHEMA":
		return "", schemaMismatch(value)
	case "SHARDS":
		return "", s.shardsMismatch(value)
	case "TAKEN":
		return "", fmt.Errorf("%w: %q", ErrNodeTaken, r.Node)
	}
	return "", err
}

// Renew signs the lease of a node in a shard.
func (s *Store) Renew(ctx context.Context, shard int, node, incarnation string) error {
	keys := []string{s.Node(shard, node), s.Nodes(shard)}
	if err := s.run(ctx, s.scripts.renew, keys, []any{node, incarnation}).Err(); err != nil {
		return typed(err)
	}
	return nil
}

// Retire forgets a node of which nothing is left. The node itself gives its
// incarnation; others give none, and are refused while it has a lease.
func (s *Store) Retire(ctx context.Context, shard int, node, incarnation string) (bool, error) {
	keys := []string{s.Node(shard, node), s.Presences(shard, node), s.Index(shard, node), s.Nodes(shard)}
	return s.run(ctx, s.scripts.retire, keys, []any{node, incarnation}).Bool()
}

// Touch records that the channels were seen now, and returns those that have no
// presence. At most MaxTouch channels.
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

// NodeRows returns the nodes of a shard, and Redis's time.
func (s *Store) NodeRows(ctx context.Context, shard int) (rows []NodeRow, now time.Time, err error) {
	pipe := s.client.Pipeline()
	leases := pipe.ZRangeWithScores(ctx, s.Nodes(shard), 0, -1)
	clock := pipe.Time(ctx)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, time.Time{}, err
	}
	pipe = s.client.Pipeline()
	fields := make([]*redis.SliceCmd, len(leases.Val()))
	counts := make([]*redis.IntCmd, len(leases.Val()))
	for i, z := range leases.Val() {
		node, _ := z.Member.(string)
		fields[i] = pipe.HMGet(ctx, s.Node(shard, node), "lease", "age")
		counts[i] = pipe.ZCard(ctx, s.Presences(shard, node))
	}
	if len(fields) > 0 {
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, time.Time{}, err
		}
	}
	for i, z := range leases.Val() {
		node, _ := z.Member.(string)
		row := NodeRow{Node: node, LeasedAt: time.UnixMilli(int64(z.Score)), Channels: int(counts[i].Val())}
		row.Lease, row.MaxAge = milliseconds(fields[i].Val()[0]), milliseconds(fields[i].Val()[1])
		rows = append(rows, row)
	}
	return rows, clock.Val(), nil
}

func milliseconds(v any) time.Duration {
	text, _ := v.(string)
	n, _ := strconv.ParseInt(text, 10, 64) // a row without it counts as 0
	return time.Duration(n) * time.Millisecond
}
