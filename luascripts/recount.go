package luascripts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// ErrBusyRoom means that a room was not mended because it changes faster than it can be
// read.
var ErrBusyRoom = errors.New("rollcall: the room changes too fast to be counted")

// errChanged means that a room has changed since it was counted.
var errChanged = errors.New("rollcall: the room has changed")

// RepairRooms mends those of the given rooms whose headers disagree with the sizes of
// their hashes, and returns the published events. If all is well it costs three cheap
// commands per room, in one round trip.
//
// A recount is a change that names nobody. If records may have been lost, it gives the
// room a new birth, so that views ask the nodes for the members that they miss.
func (s *Store) RepairRooms(ctx context.Context, rooms ...string) ([]RoomEvent, error) {
	sketches, err := s.sketch(ctx, rooms...)
	if err != nil {
		return nil, err
	}
	var events []RoomEvent
	for i, room := range rooms {
		h, err := DecodeHeader(sketches[i].header.Val())
		fields, users := int(sketches[i].fields.Val()), int(sketches[i].users.Val())
		if fields == 0 || err == nil && h.Presences == fields-1 && h.Users == users {
			continue // if it only changed between these three, Recount finds it right
		}
		e, err := s.Recount(ctx, room)
		events = append(events, e...)
		if err != nil {
			return events, err
		}
	}
	return events, nil
}

// Recount counts a room's records, and mends its header and users if they differ. It
// removes fields that are not records. It returns the published events.
func (s *Store) Recount(ctx context.Context, room string) ([]RoomEvent, error) {
	const attempts = 10
	var events []RoomEvent
	for failed := 0; ; {
		e, err := s.recount(ctx, room)
		switch {
		case errors.Is(err, errChanged) || errors.Is(err, errGap):
			if failed++; failed == attempts {
				return events, fmt.Errorf("%w: %w", ErrBusyRoom, err)
			}
		case e == nil || err != nil:
			return events, err
		default:
			events = append(events, *e) // there may be more junk than one call takes
		}
	}
}

// recount returns nil if there is nothing to mend.
func (s *Store) recount(ctx context.Context, room string) (*RoomEvent, error) {
	shard := s.Shard(room)
	c, err := s.readRoom(ctx, shard, room)
	if c != nil {
		defer c.close()
	}
	if err != nil {
		return nil, err
	}
	wrong := c.miscounted()
	if c.sub != nil {
		if wrong, err = c.confirm(ctx, shard); err != nil {
			return nil, err
		}
	}
	if c.audit(wrong).sound() {
		return nil, nil
	}
	junk := slices.Collect(maps.Keys(c.junk))
	return c.mend(ctx, shard, slices.Collect(maps.Keys(wrong)), junk[:min(len(junk), MaxSweep)])
}

// readRoom takes the census of a room, in one step if the room is small.
func (s *Store) readRoom(ctx context.Context, shard int, room string) (*census, error) {
	sketches, err := s.sketch(ctx, room)
	if err != nil {
		return nil, err
	}
	if sketches[0].size() > wholeRoom {
		c := s.newCensus(room)
		return c, c.readLarge(ctx)
	}
	censuses, err := s.readSmall(ctx, shard, []string{room})
	if err != nil {
		return nil, err
	}
	return censuses[0], nil
}

// mend writes what the census found, MaxSweep users at a time.
func (c *census) mend(ctx context.Context, shard int, users, junk []string) (*RoomEvent, error) {
	for chased := 0; ; {
		some := users[:min(len(users), MaxSweep)]
		last := len(some) == len(users)
		raw, err := c.send(ctx, shard, some, junk, last)
		if errors.Is(err, errChanged) && c.sub != nil && chased < maxChase {
			chased++
			err = c.advance(ctx)
		} else if err == nil {
			users = users[len(some):]
		}
		switch {
		case err != nil:
			return nil, err
		case last && raw != "":
			e, err := DecodeEvent(raw)
			return &RoomEvent{Room: c.room, Event: e}, err
		}
	}
}

// send writes some users and, with the last of them, the header.
func (c *census) send(ctx context.Context, shard int, users, junk []string, last bool) (string, error) {
	s := c.store
	revision, birth, anonymous := int64(0), "", ""
	if c.sound {
		revision = c.head.Revision
	}
	if c.sound && len(junk) == 0 && c.head.Presences == len(c.members) {
		birth = strconv.FormatInt(c.head.Birth, 10) // no record was lost
	}
	if last {
		anonymous = strconv.Itoa(c.anonymous())
	}
	args := []any{c.room, c.text, revision, birth, s.publish, anonymous, len(junk)}
	for _, field := range junk {
		args = append(args, field)
	}
	for _, user := range users {
		args = append(args, user, c.due(user))
	}
	keys := []string{s.Room(c.room), s.RoomUsers(c.room), s.Rooms(shard), s.Empty(shard)}
	raw, err := s.run(ctx, s.scripts.recount, keys, args).Text()
	if redis.HasErrorPrefix(err, "CHANGED") {
		return "", errChanged
	}
	return raw, err
}
