package luascripts

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// maxRead is how many bytes of records, including infos, one sweep reads: about two
// milliseconds of Redis.
const maxRead = 1 << 20

// sizes returns the lengths of the records of some presences of one shard.
func (s *Store) sizes(ctx context.Context, of []Graced) ([]int64, error) {
	if len(of) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	cmds := make([]*redis.IntCmd, len(of))
	for i, p := range of {
		cmds[i] = pipe.HStrLen(ctx, s.Room(p.Room), p.Channel)
	}
	var answer redis.Error
	if _, err := pipe.Exec(ctx); err != nil && !errors.As(err, &answer) { // the sweep finds what is wrong
		return nil, err
	}
	sizes := make([]int64, len(of))
	for i, cmd := range cmds {
		sizes[i] = cmd.Val()
	}
	return sizes, nil
}

// light returns how many of some records one sweep may read: at least one, if there is
// any.
func light(sizes []int64) int {
	total := int64(0)
	for i, size := range sizes {
		if total += size; i > 0 && total > maxRead {
			return i
		}
	}
	return len(sizes)
}

// lightStale returns as many channels as one Prune may take, by the size of their
// records. Of a first channel with too many, it returns a part.
func (s *Store) lightStale(ctx context.Context, node string, stale []Stale) ([]Stale, error) {
	var all []Graced
	for _, st := range stale {
		for _, room := range st.Rooms {
			all = append(all, Graced{Room: room, Channel: JoinChannel(node, st.Short)})
		}
	}
	sizes, err := s.sizes(ctx, all)
	if err != nil {
		return nil, err
	}
	fit := light(sizes)
	for i, st := range stale {
		if fit < len(st.Rooms) {
			if i > 0 {
				return stale[:i], nil
			}
			stale[0].Rooms = st.Rooms[:fit]
			return stale[:1], nil
		}
		fit -= len(st.Rooms)
	}
	return stale, nil
}
