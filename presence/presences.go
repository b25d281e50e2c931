package presence

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
)

// Presences reads a room with the time at which each presence was last seen or, in
// grace, will leave. That takes a second round trip to Redis.
func (r *Reader) Presences(ctx context.Context, room string) ([]Presence, error) {
	s, graced, err := r.snapshot(ctx, room)
	if err != nil || len(s.Presences) == 0 {
		return s.Presences, err
	}
	shard := r.store.Shard(room)
	pipe := r.store.Client().Pipeline()
	byNode := make(map[string][]int)
	for i, p := range s.Presences {
		node, _, _ := groups.SplitChannel(p.Channel)
		byNode[node] = append(byNode[node], i)
	}
	scores := make(map[string]*redis.FloatSliceCmd, len(byNode))
	for node, at := range byNode {
		shorts := make([]string, len(at))
		for j, i := range at {
			_, shorts[j], _ = groups.SplitChannel(s.Presences[i].Channel)
		}
		scores[node] = pipe.ZMScore(ctx, r.store.Presences(shard, node), shorts...)
	}
	var deadlines *redis.FloatSliceCmd
	if len(graced) > 0 {
		deadlines = r.store.Deadlines(ctx, pipe, room, graced)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, opError("presences", room, "", r.failed(err))
	}
	for node, at := range byNode {
		for j, i := range at {
			if ms := scores[node].Val()[j]; ms > 0 {
				s.Presences[i].LastSeen = time.UnixMilli(int64(ms))
			}
		}
	}
	for j, channel := range graced {
		i, _ := slices.BinarySearchFunc(s.Presences, channel, func(p Presence, channel string) int { return strings.Compare(p.Channel, channel) })
		if ms := deadlines.Val()[j]; ms > 0 {
			s.Presences[i].LeavesAt = time.UnixMilli(int64(ms))
		}
	}
	return s.Presences, nil
}
