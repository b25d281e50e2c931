package luascripts

import (
	"context"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Flush deletes all that is under the prefix, and nothing that is under a longer
// one, a thousand keys at a time. It is for tests: nodes that are alive add again
// what they hold.
func (s *Store) Flush(ctx context.Context) error {
	for shard := range s.shards {
		pattern := literal(s.prefix) + ":{" + strconv.Itoa(shard) + "}:*"
		err := s.onMasters(ctx, func(ctx context.Context, master redis.Cmdable) error {
			return s.flush(ctx, master, pattern)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) flush(ctx context.Context, master redis.Cmdable, pattern string) error {
	var cursor uint64
	for {
		keys, next, err := master.Scan(ctx, cursor, pattern, 1000).Result()
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			if err := s.client.Unlink(ctx, keys...).Err(); err != nil { // of one shard, so of one slot
				return err
			}
		}
		if next == 0 {
			return nil
		}
		cursor = next
	}
}

func (s *Store) onMasters(ctx context.Context, f func(context.Context, redis.Cmdable) error) error {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return f(ctx, s.client)
	}
	return cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return f(ctx, master) })
}

// literal quotes what SCAN's patterns give a meaning to.
func literal(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}
