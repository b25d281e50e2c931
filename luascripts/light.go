package luascripts

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// maxRead is how many bytes of records, including infos, one sweep reads: about two
// milliseconds of Redis.
const maxRead = 1 << 20

// light returns how many of some presences of one shard a sweep may take at once, by
// their number and the size of their records: at least one, if there is any.
func (s *Store) light(ctx context.Context, of []Graced) (int, error) {
	if len(of) == 0 {
		return 0, nil
	}
	pipe := s.client.Pipeline()
	sizes := make([]*redis.IntCmd, min(len(of), MaxSweep))
	for i := range sizes {
		sizes[i] = pipe.HStrLen(ctx, s.Room(of[i].Room), of[i].Channel)
	}
	var answer redis.Error
	if _, err := pipe.Exec(ctx); err != nil && !errors.As(err, &answer) { // the sweep finds what is wrong
		return 0, err
	}
	total := int64(0)
	for i, size := range sizes {
		if total += size.Val(); i > 0 && total > maxRead {
			return i, nil
		}
	}
	return len(sizes), nil
}
