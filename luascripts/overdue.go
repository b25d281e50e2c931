package luascripts

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// Overdue returns those of the given nodes whose lease has lapsed, or whose
// sweeps were held last, longer ago than a limit, and whom a sweep should have
// removed since. While no node signs at all there are none: it may be that nobody
// reached Redis.
func (s *Store) Overdue(ctx context.Context, shard int, nodes []string, limit time.Duration) ([]NodeRow, error) {
	now, err := s.Now(ctx, shard) // before what it is compared with
	if err != nil || len(nodes) == 0 {
		return nil, err
	}
	pipe := s.client.TxPipeline()
	meta := pipe.HMGet(ctx, s.Meta(shard), "leased", "lease", "hold", "held")
	signed := make([]*redis.FloatCmd, len(nodes))
	leases := make([]*redis.StringCmd, len(nodes))
	for i, node := range nodes {
		signed[i] = pipe.ZScore(ctx, s.Nodes(shard), node)
		leases[i] = pipe.HGet(ctx, s.Node(shard, node), "lease")
	}
	if err := exec(ctx, pipe); err != nil {
		return nil, err
	}
	m := append(meta.Val(), nil, nil, nil, nil)
	leased, held := milliseconds(m[0]), milliseconds(m[3])
	if leased > 0 && leased != held && now.Sub(time.UnixMilli(leased.Milliseconds())) > milliseconds(m[1])*2/3 {
		return nil, nil
	}
	swept := time.UnixMilli(milliseconds(m[2]).Milliseconds()) // since when nothing holds sweeps
	var overdue []NodeRow
	for i, node := range nodes {
		if signed[i].Err() != nil {
			continue
		}
		row := NodeRow{Node: node, LeasedAt: time.UnixMilli(int64(signed[i].Val())), Lease: adoptedLease}
		for _, lease := range []any{m[1], leases[i].Val()} { // its own, if there is its row
			if lease := milliseconds(lease); lease > 0 {
				row.Lease = lease
			}
		}
		if row.Lapsed(now.Add(-limit)) && now.Sub(swept) > limit {
			overdue = append(overdue, row)
		}
	}
	return overdue, nil
}
