package luascripts

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Graced is a presence that left with a grace.
type Graced struct {
	Room    string
	Channel string
}

// Due returns up to MaxSweep presences whose grace has ended by a time.
func (s *Store) Due(ctx context.Context, shard int, now time.Time) ([]Graced, error) {
	members, err := s.client.ZRangeByScore(ctx, s.Grace(shard), &redis.ZRangeBy{
		Min: "-inf", Max: strconv.FormatInt(now.UnixMilli(), 10), Count: MaxSweep,
	}).Result()
	return gracedOf(members), err
}

// AllGraced returns a page of the presences in grace from a cursor on, and the next
// cursor, 0 at the end.
func (s *Store) AllGraced(ctx context.Context, shard int, cursor uint64) ([]Graced, uint64, error) {
	page, next, err := s.client.ZScan(ctx, s.Grace(shard), cursor, "", MaxSweep).Result()
	var members []string
	for i := 0; i < len(page); i += 2 {
		members = append(members, page[i]) // its score follows
	}
	return gracedOf(members), next, err
}

// Deadlines asks in a pipeline when the graces of a room's channels end, in ms of
// Redis's time: 0 for a channel that is not in grace.
func (s *Store) Deadlines(ctx context.Context, pipe redis.Pipeliner, room string, channels []string) *redis.FloatSliceCmd {
	members := make([]string, len(channels))
	for i, channel := range channels {
		members[i] = sized(room) + channel
	}
	return pipe.ZMScore(ctx, s.Grace(s.Shard(room)), members...)
}

// Record reads the record of a channel in a room.
func (s *Store) Record(ctx context.Context, room, channel string) (r Record, found bool, err error) {
	text, err := s.client.HGet(ctx, s.Room(room), channel).Result()
	if errors.Is(err, redis.Nil) {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, err
	}
	r, err = DecodeRecord(text)
	return r, err == nil, err
}

// gracedOf decodes members of the sorted set: the length of the room's name, that name,
// and the channel.
func gracedOf(members []string) []Graced {
	var graced []Graced
	for _, m := range members {
		if room, channel, ok := cutName(m); ok {
			graced = append(graced, Graced{Room: room, Channel: channel})
		}
	}
	return graced
}

// Ungrace removes those of the given presences whose grace has ended, with the reasons
// that they left with. With a reason, it removes all of them, with that reason. It
// takes as many steps as they need, and returns the published events, even with an
// error: ErrHeld while sweeps are held.
func (s *Store) Ungrace(ctx context.Context, shard int, graced []Graced, reason byte) ([]RoomEvent, error) {
	var events []RoomEvent
	for len(graced) > 0 {
		fit, err := s.light(ctx, graced)
		if err != nil {
			return events, err
		}
		some, err := s.ungrace(ctx, shard, graced[:fit], reason)
		events = append(events, some...)
		if err != nil {
			return events, err
		}
		graced = graced[fit:]
	}
	return events, nil
}

func (s *Store) ungrace(ctx context.Context, shard int, graced []Graced, reason byte) ([]RoomEvent, error) {
	remember := s.remember.Load()
	why := ""
	if reason != 0 {
		why = string([]byte{reason})
	}
	keys := []string{s.Grace(shard), s.Rooms(shard), s.Empty(shard), s.Meta(shard), s.Exclusive(shard), s.Nodes(shard)}
	args := []any{why, s.publish, remember}
	var rooms []string
	channels := make(map[string][]any)
	for _, g := range graced {
		if channels[g.Room] == nil {
			rooms = append(rooms, g.Room)
		}
		channels[g.Room] = append(channels[g.Room], g.Channel)
	}
	for _, room := range rooms {
		keys = s.roomKeys(keys, room, remember)
		args = append(args, sized(room), len(channels[room]))
		args = append(args, channels[room]...)
	}
	raw, err := s.run(ctx, s.scripts.ungrace, keys, args).StringSlice()
	if err != nil {
		return nil, typed(err)
	}
	return roomEvents(rooms, raw)
}
