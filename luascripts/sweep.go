package luascripts

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// MaxSweep is how many presences one Prune takes, so that it holds Redis for about a
// millisecond.
const MaxSweep = 200

// maxTurn is how long a sweeper that died delays the others.
const maxTurn = 5 * time.Second

// ErrHeld means that nobody is swept for now: for a while no node could reach Redis,
// and each must first sign its lease and write its touches.
var ErrHeld = errors.New("rollcall: sweeps are on hold")

// TakeTurn takes the turn to sweep a shard, or prolongs it for the sweeper that has it.
// It returns false if another has it.
func (s *Store) TakeTurn(ctx context.Context, shard int, token string) (bool, error) {
	keys := []string{s.Sweep(shard), s.Meta(shard), s.Nodes(shard), s.Whole(shard)}
	mine, err := s.run(ctx, s.scripts.turn, keys, []any{token, maxTurn.Milliseconds()}).Bool()
	if err != nil {
		return false, typed(err)
	}
	return mine, nil
}

// EndTurn gives the turn back.
func (s *Store) EndTurn(ctx context.Context, shard int, token string) error {
	keys := []string{s.Sweep(shard), s.Meta(shard), s.Nodes(shard)}
	return s.run(ctx, s.scripts.turn, keys, []any{token, 0}).Err()
}

// Stale is a channel of a node that is to be removed, and its rooms.
type Stale struct {
	Short string
	Rooms []string
}

// Stale returns channels of a node that were last seen before a time, up to MaxSweep
// presences, with at least one channel if there is any.
func (s *Store) Stale(ctx context.Context, shard int, node string, before time.Time) ([]Stale, error) {
	shorts, err := s.client.ZRangeByScore(ctx, s.Presences(shard, node), olderThan(before, MaxSweep)).Result()
	if err != nil || len(shorts) == 0 {
		return nil, err
	}
	entries, err := s.client.HMGet(ctx, s.Index(shard, node), shorts...).Result()
	if err != nil {
		return nil, err
	}
	return s.firstStale(ctx, node, shorts, entries)
}

// olderThan returns the range of up to n members that were last seen before a time.
func olderThan(before time.Time, n int64) *redis.ZRangeBy {
	return &redis.ZRangeBy{Min: "-inf", Max: "(" + strconv.FormatInt(before.UnixMilli(), 10), Count: n}
}

// AnyStale reports for each node whether it has a channel that was last seen before a
// time, in one round trip.
func (s *Store) AnyStale(ctx context.Context, shard int, before map[string]time.Time) (map[string]bool, error) {
	pipe := s.client.Pipeline()
	oldest := make(map[string]*redis.StringSliceCmd, len(before))
	for node, at := range before {
		oldest[node] = pipe.ZRangeByScore(ctx, s.Presences(shard, node), olderThan(at, 1))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	stale := make(map[string]bool, len(before))
	for node, cmd := range oldest {
		stale[node] = len(cmd.Val()) > 0
	}
	return stale, nil
}

// Orphans returns channels of a node, whenever they were seen, up to MaxSweep
// presences, with at least one channel if there is any.
func (s *Store) Orphans(ctx context.Context, shard int, node string) ([]Stale, error) {
	var shorts []string
	var entries []any
	seen := make(map[string]bool) // a page may have a field once more
	for f, err := range s.Fields(ctx, s.Index(shard, node), MaxSweep) {
		if err != nil {
			return nil, err
		}
		if !seen[f.Name] {
			seen[f.Name] = true
			shorts, entries = append(shorts, f.Name), append(entries, f.Value)
		}
		if len(shorts) == MaxSweep {
			break
		}
	}
	return s.firstStale(ctx, node, shorts, entries)
}

// firstStale returns as many channels as one Prune may take, by the number and the size
// of their records. Of a first channel with too many, it returns a part.
func (s *Store) firstStale(ctx context.Context, node string, shorts []string, entries []any) ([]Stale, error) {
	var stale []Stale
	var presences []Graced
	for i := 0; i < len(shorts) && len(presences) <= MaxSweep; i++ {
		entry, _ := entries[i].(string)
		stale = append(stale, Stale{Short: shorts[i], Rooms: indexRooms(entry)})
		for _, room := range stale[i].Rooms {
			presences = append(presences, Graced{Room: room, Channel: JoinChannel(node, shorts[i])})
		}
	}
	fit, err := s.light(ctx, presences)
	if err != nil {
		return nil, err
	}
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

// indexRooms decodes an entry of the index: each room as its length and its name.
func indexRooms(entry string) []string {
	var rooms []string
	for entry != "" {
		end := 1 + int(entry[0])
		if end > len(entry) {
			break
		}
		rooms = append(rooms, entry[1:end])
		entry = entry[end:]
	}
	return rooms
}

// Sweep says which presences Prune may remove.
type Sweep struct {
	Shard  int
	Node   string
	MaxAge time.Duration // 0: any age, if the node's lease has expired
	Reason byte
	Stale  []Stale
}

// Prune removes those of the given presences that are still stale. It returns ErrHeld
// while sweeps are held.
func (s *Store) Prune(ctx context.Context, w Sweep) ([]RoomEvent, error) {
	if len(w.Stale) == 0 {
		return nil, nil
	}
	keys := []string{
		s.Node(w.Shard, w.Node), s.Presences(w.Shard, w.Node), s.Index(w.Shard, w.Node),
		s.Rooms(w.Shard), s.Empty(w.Shard), s.Grace(w.Shard), s.Nodes(w.Shard), s.Meta(w.Shard), s.Exclusive(w.Shard),
	}
	age := ""
	if w.MaxAge > 0 {
		age = strconv.FormatInt(w.MaxAge.Milliseconds(), 10)
	}
	remember := s.remember.Load()
	args := []any{w.Node, age, string([]byte{w.Reason}), s.publish, remember, len(w.Stale)}
	var rooms []string
	positions := make(map[string][]any)
	for i, stale := range w.Stale {
		args = append(args, stale.Short)
		for _, room := range stale.Rooms {
			if positions[room] == nil {
				rooms = append(rooms, room)
			}
			positions[room] = append(positions[room], i+1)
		}
	}
	for _, room := range rooms {
		keys = s.roomKeys(keys, room, remember)
		args = append(args, sized(room), len(positions[room]))
		args = append(args, positions[room]...)
	}
	raw, err := s.run(ctx, s.scripts.prune, keys, args).StringSlice()
	if err != nil {
		return nil, typed(err)
	}
	return roomEvents(rooms, raw)
}

// roomEvents decodes what a sweep published, at most one event for each room.
func roomEvents(rooms, raw []string) ([]RoomEvent, error) {
	var events []RoomEvent
	for i, text := range raw {
		if text == "" {
			continue
		}
		e, err := DecodeEvent(text)
		if err != nil {
			return events, err
		}
		events = append(events, RoomEvent{Room: rooms[i], Event: e})
	}
	return events, nil
}

// EmptyRooms returns up to MaxSweep rooms without presences.
func (s *Store) EmptyRooms(ctx context.Context, shard int) ([]string, error) {
	return s.client.ZRange(ctx, s.Empty(shard), 0, MaxSweep-1).Result()
}

// PruneRooms deletes those of the given rooms of a shard that are still without
// presences, and returns their names.
func (s *Store) PruneRooms(ctx context.Context, shard int, rooms []string) ([]string, error) {
	if len(rooms) == 0 {
		return nil, nil
	}
	keys := []string{s.Rooms(shard), s.Empty(shard)}
	args := make([]any, len(rooms))
	for i, room := range rooms {
		keys = append(keys, s.Room(room), s.RoomUsers(room))
		args[i] = room
	}
	return s.run(ctx, s.scripts.noRooms, keys, args).StringSlice()
}

// AllIndexed iterates over the channels of a node with all of their rooms in a shard. A
// channel that comes or goes meanwhile may or may not appear.
func (s *Store) AllIndexed(ctx context.Context, shard int, node string) iter.Seq2[Stale, error] {
	return func(yield func(Stale, error) bool) {
		for f, err := range s.Fields(ctx, s.Index(shard, node), MaxSweep) {
			if !yield(Stale{Short: f.Name, Rooms: indexRooms(f.Value)}, err) {
				return
			}
		}
	}
}
