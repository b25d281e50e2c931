package prune

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
)

// StaleRoom is a room from which a sweep would remove presences.
type StaleRoom struct {
	Room     string
	Channels []string // whose presences would be removed, sorted
	Users    []string // whose last channel is among them, sorted
	Left     int      // presences that would stay
}

// Stale returns what a sweep would remove, by room, and changes nothing: what
// Presences would where age is 0, else what PresencesOlderThan would. It reads
// in many steps, so that what happens meanwhile may show in part.
func (p *Pruner) Stale(ctx context.Context, age time.Duration) ([]StaleRoom, error) {
	if age != 0 {
		if err := checkAge(age); err != nil {
			return nil, err
		}
	}
	channels := make(map[string][]string)
	for shard := range p.store.Shards() {
		if err := p.staleChannels(ctx, shard, age, channels); err != nil {
			return nil, fmt.Errorf("rollcall: stale presences: %w: %w", presence.ErrUnavailable, err)
		}
	}
	var stale []StaleRoom
	for _, room := range slices.Sorted(maps.Keys(channels)) {
		slices.Sort(channels[room])
		r, err := p.staleRoom(ctx, room, slices.Compact(channels[room]))
		if err != nil {
			return nil, fmt.Errorf("rollcall: stale presences of room %q: %w: %w", room, presence.ErrUnavailable, err)
		}
		if len(r.Channels) > 0 {
			stale = append(stale, r)
		}
	}
	return stale, nil
}

// staleChannels adds the stale channels of a shard to those of each room.
func (p *Pruner) staleChannels(ctx context.Context, shard int, age time.Duration, rooms map[string][]string) error {
	rows, now, err := p.store.NodeRows(ctx, shard)
	if err != nil {
		return err
	}
	for _, row := range rows {
		for s, err := range p.store.AllStale(ctx, shard, row.Node, now.Add(-maxAge(age, row))) {
			if err != nil {
				return err
			}
			for _, room := range s.Rooms {
				rooms[room] = append(rooms[room], row.Node+"!"+s.Short)
			}
		}
	}
	return nil
}

// staleRoom tells what is left of a room without the given channels.
func (p *Pruner) staleRoom(ctx context.Context, room string, channels []string) (StaleRoom, error) {
	r, client := StaleRoom{Room: room}, p.store.Client()
	going := make(map[string]int) // channels of each user
	for chunk := range slices.Chunk(channels, luascripts.MaxSweep) {
		records, err := client.HMGet(ctx, p.store.Room(room), chunk...).Result()
		if err != nil {
			return r, err
		}
		for i, channel := range chunk {
			text, ok := records[i].(string)
			if !ok {
				continue // it has left
			}
			record, err := luascripts.DecodeRecord(text)
			if err != nil {
				return r, err
			}
			r.Channels = append(r.Channels, channel)
			if record.User != "" {
				going[record.User]++
			}
		}
	}
	for users := range slices.Chunk(slices.Sorted(maps.Keys(going)), luascripts.MaxSweep) {
		present, err := client.HMGet(ctx, p.store.RoomUsers(room), users...).Result()
		if err != nil {
			return r, err
		}
		for i, user := range users {
			if text, _ := present[i].(string); text == fmt.Sprint(going[user]) {
				r.Users = append(r.Users, user)
			}
		}
	}
	fields, err := client.HLen(ctx, p.store.Room(room)).Result()
	r.Left = max(0, int(fields)-1-len(r.Channels)) // one field is the header
	return r, err
}

// EmptyRooms returns the rooms that Rooms would delete, sorted, and changes
// nothing.
func (p *Pruner) EmptyRooms(ctx context.Context) ([]string, error) {
	var rooms []string
	for shard := range p.store.Shards() {
		now, err := p.store.Now(ctx, shard)
		if err != nil {
			return nil, fmt.Errorf("rollcall: empty rooms: %w: %w", presence.ErrUnavailable, err)
		}
		// Up to now, so that it ends where rooms empty faster than it reads.
		for room, err := range p.store.AllEmptyRooms(ctx, shard, now.Add(time.Millisecond)) {
			if err != nil {
				return nil, fmt.Errorf("rollcall: empty rooms: %w: %w", presence.ErrUnavailable, err)
			}
			rooms = append(rooms, room)
		}
	}
	slices.Sort(rooms)
	return slices.Compact(rooms), nil
}
