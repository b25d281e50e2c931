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
	Users    []string // or keys, whose last channel is among them, sorted
	Left     int      // presences that would stay
}

// Stale returns what a sweep would remove, by room, and changes nothing: what Presences
// would remove if age is 0, otherwise what PresencesOlderThan would, or will once no
// outage makes them wait. It reads in many steps, so it may show part of what happens
// meanwhile. If shards are away, it returns what it finds in the others, with a
// *presence.PartialError.
func (p *Pruner) Stale(ctx context.Context, age time.Duration) ([]StaleRoom, error) {
	if age != 0 {
		if err := checkAge(age); err != nil {
			return nil, err
		}
	}
	going := make(leavers)
	away, err := p.eachShard(ctx, func(shard int) error { return p.leaving(ctx, shard, age, going) })
	if err != nil {
		return nil, failed("stale presences", err)
	}
	var stale []StaleRoom
	for _, room := range slices.Sorted(maps.Keys(going)) {
		r, err := p.staleRoom(ctx, room, going[room])
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

// leavers are the channels that would leave each room, and whether they are in grace.
type leavers map[string]map[string]bool

func (l leavers) add(room, channel string, graced bool) {
	if l[room] == nil {
		l[room] = make(map[string]bool)
	}
	l[room][channel] = graced
}

// leaving adds the channels that a sweep would find in a shard.
func (p *Pruner) leaving(ctx context.Context, shard int, age time.Duration, going leavers) error {
	rows, now, err := p.store.NodeRows(ctx, shard)
	if err != nil {
		return err
	}
	for _, row := range rows {
		channels := p.store.AllIndexed(ctx, shard, row.Node)
		if !row.Lapsed(now) {
			channels = p.store.AllStale(ctx, shard, row.Node, now.Add(-maxAge(age, row)))
		}
		for s, err := range channels {
			if err != nil {
				return err
			}
			for _, room := range s.Rooms {
				going.add(room, luascripts.JoinChannel(row.Node, s.Short), false)
			}
		}
	}
	for g, err := range p.store.AllDue(ctx, shard, now.Add(time.Millisecond)) { // up to now
		if err != nil {
			return err
		}
		going.add(g.Room, g.Channel, true)
	}
	return nil
}

// staleRoom returns what a room loses, and what is left of it.
func (p *Pruner) staleRoom(ctx context.Context, room string, leaving map[string]bool) (StaleRoom, error) {
	r, client := StaleRoom{Room: room}, p.store.Client()
	going := make(map[string]int) // channels of each user or key
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(leaving)), luascripts.MaxSweep) {
		records, err := client.HMGet(ctx, p.store.Room(room), chunk...).Result()
		if err != nil {
			return r, err
		}
		for i, channel := range chunk {
			text, ok := records[i].(string)
			if !ok || luascripts.InGrace(text) != leaving[channel] {
				continue // it has left, or is back
			}
			record, err := luascripts.DecodeRecord(text)
			if err != nil {
				return r, err
			}
			r.Channels = append(r.Channels, channel)
			if identity := record.Identity(); identity != "" {
				going[identity]++
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

// EmptyRooms returns the rooms that Rooms would delete, sorted, and changes nothing.
// Away shards are handled as by Stale.
func (p *Pruner) EmptyRooms(ctx context.Context) ([]string, error) {
	var rooms []string
	away, err := p.eachShard(ctx, func(shard int) error {
		now, err := p.store.Now(ctx, shard)
		if err != nil {
			return err
		}
		// Up to now, so that it ends even if rooms empty faster than it reads.
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
