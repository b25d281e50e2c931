package prune

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rollcall-go/rollcall/luascripts"
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
// in many steps, so that what happens meanwhile may show in part. Where shards are
// away, it returns what it would of the others, with a *presence.PartialError.
func (p *Pruner) Stale(ctx context.Context, age time.Duration) ([]StaleRoom, error) {
	if age != 0 {
		if err := checkAge(age); err != nil {
			return nil, err
		}
	}
	channels := make(map[string][]string)
	away, err := p.eachShard(ctx, func(shard int) error { return p.staleChannels(ctx, shard, age, channels) })
	if err != nil {
		return nil, failed("stale presences", err)
	}
	var stale []StaleRoom
	for _, room := range slices.Sorted(maps.Keys(channels)) {
		slices.Sort(channels[room])
		r, err := p.staleRoom(ctx, room, slices.Compact(channels[room]))
		if err != nil {
			away[p.store.Shard(room)] = fmt.Errorf("room %q: %w", room, err)
			continue
		}
		if len(r.Channels) > 0 {
			stale = append(stale, r)
		}
	}
	return stale, failed("stale presences", away.Err())
}

// eachShard calls f with the shards that are there, and returns those that are not, or
// for which f fails.
func (p *Pruner) eachShard(ctx context.Context, f func(shard int) error) (luascripts.Away, error) {
	away, err := p.store.Survey(ctx, p.known)
	if err != nil {
		return nil, err
	}
	for shard := range p.store.Shards() {
		if away[shard] == nil {
			if err := f(shard); err != nil {
				away[shard] = err
			}
		}
	}
	return away, nil
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
// nothing. Where shards are away it does as Stale.
func (p *Pruner) EmptyRooms(ctx context.Context) ([]string, error) {
	var rooms []string
	away, err := p.eachShard(ctx, func(shard int) error {
		now, err := p.store.Now(ctx, shard)
		if err != nil {
			return err
		}
		// Up to now, so that it ends where rooms empty faster than it reads.
		for room, err := range p.store.AllEmptyRooms(ctx, shard, now.Add(time.Millisecond)) {
			if err != nil {
				return err
			}
			rooms = append(rooms, room)
		}
		return nil
	})
	if err != nil {
		return nil, failed("empty rooms", err)
	}
	slices.Sort(rooms)
	return slices.Compact(rooms), failed("empty rooms", away.Err())
}
