package luascripts

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// Overdue returns those of the given nodes that a sweep should have removed by now:
// their lease expired, and sweeps were last held, longer ago than a limit. While no
// node signs at all it returns none, as perhaps nobody reached Redis.
func (s *Store) Overdue(ctx context.Context, shard int, nodes []string, limit time.Duration) ([]NodeRow, error) {
	now, err := s.Now(ctx, shard) // before what it is compared with
	if err != nil || len(nodes) == 0 {
		return nil, err
	}
	pipe := s.client.TxPipeline()
	holds := s.askHolds(ctx, pipe, shard)
	signed := make([]*redis.FloatCmd, len(nodes))
	leases := make([]*redis.StringCmd, len(nodes))
	for i, node := range nodes {
		signed[i] = pipe.ZScore(ctx, s.Nodes(shard), node)
		leases[i] = pipe.HGet(ctx, s.Node(shard, node), "lease")
	}
	if err := exec(ctx, pipe); err != nil {
		return nil, err
	}
	if !holds.over(now, limit) {
		return nil, nil
	}
	var overdue []NodeRow
	for i, node := range nodes {
		if signed[i].Err() != nil {
			continue
		}
		row := NodeRow{Node: node, LeasedAt: time.UnixMilli(int64(signed[i].Val())), Lease: adoptedLease}
		for _, lease := range []any{holds.field(1), leases[i].Val()} { // its own, if it has a row
			if lease := milliseconds(lease); lease > 0 {
				row.Lease = lease
			}
		}
		if row.lapsedFor(now, limit) {
			overdue = append(overdue, row)
		}
	}
	return overdue, nil
}

// OverdueSince returns the time before which a grace must have ended for sweeps to have
// removed the presence by now, with the limit of Overdue. It is the zero time if a hold
// may have prevented the sweeps.
func (s *Store) OverdueSince(ctx context.Context, shard int, limit time.Duration) (time.Time, error) {
	now, err := s.Now(ctx, shard)
	if err != nil {
		return time.Time{}, err
	}
	pipe := s.client.TxPipeline()
	holds := s.askHolds(ctx, pipe, shard)
	if err := exec(ctx, pipe); err != nil || !holds.over(now, limit) {
		return time.Time{}, err
	}
	return now.Add(-limit), nil
}

// holds is what a shard's meta says about holds, read in a pipeline.
type holds struct{ *redis.SliceCmd }

func (s *Store) askHolds(ctx context.Context, pipe redis.Pipeliner, shard int) holds {
	return holds{pipe.HMGet(ctx, s.Meta(shard), "leased", "lease", "hold", "held")}
}

func (h holds) field(i int) any {
	if i < len(h.Val()) {
		return h.Val()[i]
	}
	return nil // it is not a hash
}

// over reports whether sweeps have not been held for longer than a limit, and are not
// about to be.
func (h holds) over(now time.Time, limit time.Duration) bool {
	leased, held := milliseconds(h.field(0)), milliseconds(h.field(3))
	if leased > 0 && leased != held && now.Sub(time.UnixMilli(leased.Milliseconds())).Abs() > milliseconds(h.field(1))*2/3 {
		return false
	}
	return now.Sub(time.UnixMilli(milliseconds(h.field(2)).Milliseconds())) > limit
}
