package luascripts

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// registered is what the registries are asked about a room.
type registered struct {
	rooms *redis.BoolCmd
	empty *redis.FloatCmd
}

func (s *Store) askRegistries(ctx context.Context, pipe redis.Pipeliner, shard int, room string) *registered {
	return &registered{
		rooms: pipe.SIsMember(ctx, s.Rooms(shard), room),
		empty: pipe.ZScore(ctx, s.Empty(shard), room),
	}
}

func (r *registered) answer() (rooms, empty bool) { return r.rooms.Val(), r.empty.Err() == nil }

// Unfounded returns those of some names that the registry of rooms has although there
// is no such room, and those that the registry of empty ones has.
func (s *Store) Unfounded(ctx context.Context, shard int, names []string) (rooms, empty []string, err error) {
	pipe := s.client.TxPipeline()
	listed := make([]*registered, len(names))
	exists := make([]*redis.IntCmd, len(names))
	for i, name := range names {
		listed[i] = s.askRegistries(ctx, pipe, shard, name)
		exists[i] = pipe.Exists(ctx, s.roomIn(shard, name))
	}
	if err := exec(ctx, pipe); err != nil {
		return nil, nil, err
	}
	for i, name := range names {
		inRooms, inEmpty := listed[i].answer()
		if exists[i].Val() == 0 && inRooms {
			rooms = append(rooms, name)
		}
		if exists[i].Val() == 0 && inEmpty {
			empty = append(empty, name)
		}
	}
	return rooms, empty, nil
}

// StrayUsers returns those rooms that have users but do not exist.
func (s *Store) StrayUsers(ctx context.Context, rooms []string) ([]string, error) {
	pipe := s.client.TxPipeline()
	exists := make([][2]*redis.IntCmd, len(rooms))
	for i, room := range rooms {
		exists[i] = [2]*redis.IntCmd{pipe.Exists(ctx, s.Room(room)), pipe.Exists(ctx, s.RoomUsers(room))}
	}
	if err := exec(ctx, pipe); err != nil {
		return nil, err
	}
	var stray []string
	for i, room := range rooms {
		if exists[i][0].Val() == 0 && exists[i][1].Val() > 0 {
			stray = append(stray, room)
		}
	}
	return stray, nil
}
