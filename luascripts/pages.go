package luascripts

import (
	"context"
	"iter"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// AllStale iterates over the channels of a node that were last seen before a time, with
// all of their rooms. Unlike Stale it goes on to the next page although nobody prunes
// this one. A channel that is seen meanwhile may or may not appear.
func (s *Store) AllStale(ctx context.Context, shard int, node string, before time.Time) iter.Seq2[Stale, error] {
	return func(yield func(Stale, error) bool) {
		for shorts, err := range s.pages(ctx, s.Presences(shard, node), before) {
			var entries []any
			if err == nil {
				entries, err = s.client.HMGet(ctx, s.Index(shard, node), shorts...).Result()
			}
			if err != nil {
				yield(Stale{}, err)
				return
			}
			for i, short := range shorts {
				entry, _ := entries[i].(string)
				if !yield(Stale{Short: short, Rooms: indexRooms(entry)}, nil) {
					return
				}
			}
		}
	}
}

// AllEmptyRooms iterates over the rooms of a shard that have been without presences
// since before a time. Unlike EmptyRooms it goes on to the next page.
func (s *Store) AllEmptyRooms(ctx context.Context, shard int, before time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for rooms, err := range s.pages(ctx, s.Empty(shard), before) {
			if err != nil {
				yield("", err)
				return
			}
			for _, room := range rooms {
				if !yield(room, nil) {
					return
				}
			}
		}
	}
}

// AllDue iterates over the presences whose grace ends before a time. Unlike Due it goes
// on to the next page.
func (s *Store) AllDue(ctx context.Context, shard int, before time.Time) iter.Seq2[Graced, error] {
	return func(yield func(Graced, error) bool) {
		for members, err := range s.pages(ctx, s.Grace(shard), before) {
			if err != nil {
				yield(Graced{}, err)
				return
			}
			for _, graced := range gracedOf(members) {
				if !yield(graced, nil) {
					return
				}
			}
		}
	}
}

// pages reads a sorted set whose scores are times, up to one of them, in steps.
//
// A page begins at the last score of the page before, less the members already read: by
// rank alone, a member would be skipped for each one that leaves the set meanwhile.
// Times only move forward, out of the range, so the iteration ends.
func (s *Store) pages(ctx context.Context, key string, before time.Time) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		from, read := "-inf", int64(0)
		for {
			page, err := s.client.ZRangeByScoreWithScores(ctx, key, &redis.ZRangeBy{
				Min: from, Max: "(" + strconv.FormatInt(before.UnixMilli(), 10), Offset: read, Count: MaxSweep,
			}).Result()
			if err != nil {
				yield(nil, err)
				return
			}
			if len(page) == 0 {
				return
			}
			last := page[len(page)-1].Score
			if text := strconv.FormatFloat(last, 'f', -1, 64); text != from {
				from, read = text, 0
			}
			members := make([]string, len(page))
			for i, z := range page {
				members[i], _ = z.Member.(string)
				if z.Score == last {
					read++
				}
			}
			if !yield(members, nil) {
				return
			}
		}
	}
}

// Field is a field of a hash, and its value.
type Field struct{ Name, Value string }

// Fields iterates over a hash, in pages of about a size. A field that comes or goes
// meanwhile may or may not appear, and one may appear twice.
func (s *Store) Fields(ctx context.Context, key string, page int64) iter.Seq2[Field, error] {
	return func(yield func(Field, error) bool) {
		it := s.client.HScan(ctx, key, 0, "", page).Iterator()
		for it.Next(ctx) {
			f := Field{Name: it.Val()}
			if !it.Next(ctx) {
				break
			}
			f.Value = it.Val()
			if !yield(f, nil) {
				return
			}
		}
		if err := it.Err(); err != nil {
			yield(Field{}, err)
		}
	}
}
