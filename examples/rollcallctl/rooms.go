package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

const (
	atOnce   = 500  // rooms whose counts are read in one round trip
	maxWhole = 2000 // a room with more presences is not read in one step

	shownInfo = 60 // bytes, in a table
)

type roomRow struct {
	Room      string `json:"room"`
	Presences int    `json:"presences"`
	Users     int    `json:"users"`
	Anonymous int    `json:"anonymous"`
}

func (r roomRow) cells() []any { return []any{quoted(r.Room), r.Presences, r.Users, r.Anonymous} }

// rooms prints the rooms of all shards that answer, even with an error.
func (c *ctl) rooms(ctx context.Context) error {
	names := make(map[string]struct{})
	var failed error
	for room, err := range c.reader.Rooms(ctx) {
		if err != nil {
			failed = err
			break
		}
		names[room] = struct{}{}
	}
	return cmp.Or(failed, c.counts(ctx, slices.Sorted(maps.Keys(names))))
}

// counts prints the counts of rooms, except those whose shards have gone away since.
func (c *ctl) counts(ctx context.Context, names []string) error {
	var failed error
	c.out.head("ROOM", "PRESENCES", "USERS", "ANONYMOUS")
	for chunk := range slices.Chunk(names, atOnce) {
		counts, err := c.reader.CountsOf(ctx, chunk...)
		away := new(presence.PartialError)
		if err != nil && !errors.As(err, &away) {
			return err
		}
		failed = cmp.Or(failed, err)
		for i, room := range chunk {
			if !slices.Contains(away.Shards, c.reader.Store().Shard(room)) {
				c.out.row(roomRow{room, counts[i].Presences, counts[i].Users, counts[i].Anonymous})
			}
		}
	}
	return failed
}

type memberRow struct {
	User     string    `json:"user"`
	Key      string    `json:"key,omitempty"`
	Channel  string    `json:"channel"`
	JoinedAt time.Time `json:"joined_at"`
	LastSeen time.Time `json:"last_seen,omitzero"`
	LeavesAt time.Time `json:"leaves_at,omitzero"` // in grace
	Info     []byte    `json:"info,omitempty"`     // base64
	Unopened bool      `json:"unopened,omitempty"`
}

func newMemberRow(p presence.Presence) memberRow {
	return memberRow{p.User, p.Key, p.Channel, p.JoinedAt, p.LastSeen, p.LeavesAt, p.Info, p.Unopened}
}

func (m memberRow) cells() []any {
	info := quoted(string(m.Info[:min(len(m.Info), shownInfo)]))
	switch {
	case m.Unopened:
		info = "encrypted"
	case len(m.Info) == 0:
		info = ""
	}
	seen := moment(m.LastSeen)
	if !m.LeavesAt.IsZero() {
		seen = "in grace until " + moment(m.LeavesAt)
	}
	return []any{quoted(m.User), quoted(m.Channel), moment(m.JoinedAt), seen, info}
}

// members prints who is in a room. For a large one, that is not the state at one
// moment, and LastSeen and LeavesAt are not read.
func (c *ctl) members(ctx context.Context) error {
	counts, err := c.reader.Counts(ctx, c.room)
	if err != nil {
		return err
	}
	if counts.Presences == 0 {
		n, err := c.client.Exists(ctx, c.reader.Store().Room(c.room)).Result()
		if err == nil && n == 0 {
			err = fmt.Errorf("there is no room %q", c.room)
		}
		if err != nil {
			return err
		}
	}
	c.out.head("USER", "CHANNEL", "JOINED", "LAST SEEN", "INFO")
	if counts.Presences > maxWhole {
		for p, err := range c.reader.All(ctx, c.room) {
			if err != nil {
				return err
			}
			c.out.row(newMemberRow(p))
		}
		return nil
	}
	members, err := c.reader.Presences(ctx, c.room)
	for _, p := range members {
		c.out.row(newMemberRow(p))
	}
	return err
}
