package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

// viewInterval is the minimum time between two diffs of a client.
const viewInterval = 100 * time.Millisecond

// roomSnapshot is the payload of "snapshot", roomDiff that of "diff".
type roomSnapshot struct {
	ChannelName string            `json:"channel_name"`
	You         string            `json:"you"`
	Revision    presence.Revision `json:"revision"`
	Counts      roomCounts        `json:"counts"`
	Users       []string          `json:"users"`
	Presences   []roomPresence    `json:"presences"`
}

type roomDiff struct {
	ChannelName string            `json:"channel_name"`
	Revision    presence.Revision `json:"revision"`
	Counts      roomCounts        `json:"counts"`
	Added       []roomPresence    `json:"added"`
	Updated     []roomPresence    `json:"updated"`
	Removed     []roomDeparture   `json:"removed"`
	UsersCame   []string          `json:"users_came"`
	UsersWent   []string          `json:"users_went"`
	Resync      bool              `json:"resync"`
}

type roomCounts struct {
	Presences int `json:"presences"`
	Users     int `json:"users"`
	Anonymous int `json:"anonymous"`
}

type roomPresence struct {
	Channel  string          `json:"channel"`
	User     *string         `json:"user"` // null if anonymous
	JoinedAt time.Time       `json:"joined_at"`
	Info     json.RawMessage `json:"info"` // null if it is not JSON
}

type roomDeparture struct {
	roomPresence
	Reason presence.Reason `json:"reason"`
}

// visitorInfo is the info of this program's presences.
type visitorInfo struct {
	Node   int  `json:"node"`
	Typing bool `json:"typing,omitempty"`
}

// feed writes a room's snapshot and then its diffs, until ctx or the watcher ends or a
// write fails. While one is being written the watcher merges what happens, so a slow
// client holds up nobody and nothing piles up for it.
func feed(ctx context.Context, w *presence.Watcher, you string, write func(typ string, payload any) error) error {
	if err := write("snapshot", snapshotFrom(w.Start(), you)); err != nil {
		return err
	}
	for {
		d, err := w.Next(ctx)
		if err != nil {
			return err
		}
		if err := write("diff", diffFrom(d)); err != nil {
			return err
		}
	}
}

func snapshotFrom(s presence.Snapshot, you string) roomSnapshot {
	return roomSnapshot{
		ChannelName: s.Room,
		You:         you,
		Revision:    s.Counts.Revision,
		Counts:      countsFrom(s.Counts),
		Users:       some(s.Users()),
		Presences:   presencesFrom(s.Presences),
	}
}

func diffFrom(d presence.Diff) roomDiff {
	removed := make([]roomDeparture, len(d.Removed))
	for i, gone := range d.Removed {
		removed[i] = roomDeparture{presenceFrom(gone.Presence), gone.Reason}
	}
	return roomDiff{
		ChannelName: d.Room,
		Revision:    d.Counts.Revision,
		Counts:      countsFrom(d.Counts),
		Added:       presencesFrom(d.Added),
		Updated:     presencesFrom(d.Updated),
		Removed:     removed,
		UsersCame:   some(d.UsersCame),
		UsersWent:   some(d.UsersWent),
		Resync:      d.Resync,
	}
}

func countsFrom(c presence.Counts) roomCounts {
	return roomCounts{Presences: c.Presences, Users: c.Users, Anonymous: c.Anonymous}
}

func presencesFrom(list []presence.Presence) []roomPresence {
	presences := make([]roomPresence, len(list))
	for i, p := range list {
		presences[i] = presenceFrom(p)
	}
	return presences
}

func presenceFrom(p presence.Presence) roomPresence {
	from := roomPresence{Channel: p.Channel, JoinedAt: p.JoinedAt.UTC()}
	if p.User != "" {
		from.User = &p.User
	}
	if json.Valid(p.Info) {
		from.Info = p.Info
	}
	return from
}

// some returns names, but never null in JSON.
func some(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}
