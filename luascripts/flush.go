package luascripts

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/hashslot"
)

// Flush deletes everything under the prefix, and nothing under a longer one, a thousand
// keys at a time. It is for tests of applications that share a Redis: living nodes add again
// what they hold.
func (s *Store) Flush(ctx context.Context) error {
	return s.onMasters(ctx, func(ctx context.Context, master redis.Cmdable) error {
		return s.flush(ctx, master)
	})
}

func (s *Store) flush(ctx context.Context, master redis.Cmdable) error {
	pattern := literal(s.prefix) + ":{*}:*" // whatever the number of shards was
	var cursor uint64
	for {
		keys, next, err := master.Scan(ctx, cursor, pattern, 1000).Result()
		if err != nil {
			return err
		}
		pipe := s.client.Pipeline() // which follows a slot that moves
		bySlot := make(map[int][]string)
		for _, key := range keys {
			bySlot[hashslot.Of(key)] = append(bySlot[hashslot.Of(key)], key)
		}
		for _, keys := range bySlot {
			pipe.Unlink(ctx, keys...)
		}
		if len(keys) > 0 {
			if _, err := pipe.Exec(ctx); err != nil {
				return err
			}
		}
		if next == 0 {
			return nil
		}
		cursor = next
	}
}

// literal quotes the special characters of SCAN's patterns.
func literal(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}
