package main

import (
	"context"
	"errors"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

const leaving = 5 * time.Second

// eventRow is one thing that happened to a room, with its numbers then.
type eventRow struct {
	At        time.Time `json:"at"`
	Event     string    `json:"event"` // "here", "joined", "left", "updated" or "resync"
	User      string    `json:"user,omitempty"`
	Channel   string    `json:"channel,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Presences int       `json:"presences"`
	Users     int       `json:"users"`
}

func (e eventRow) cells() []any {
	if e.Channel == "" {
		return []any{moment(e.At), e.Event, "", "", e.Presences, e.Users}
	}
	return []any{moment(e.At), e.Event, quoted(e.User), quoted(e.Channel), e.Presences, e.Users, e.Reason}
}

// watch prints who is in a room, and then who comes and goes, until interrupted.
func (c *ctl) watch(ctx context.Context) (err error) {
	layer, err := groups.New(ctx, c.client, &groups.Options{Prefix: c.prefix, Shards: c.reader.Store().Shards()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.leave(ctx, layer.Close)) }()
	opts, err := c.asTheFleet(ctx)
	if err != nil {
		return err
	}
	tracker, err := presence.New(ctx, layer, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.leave(ctx, tracker.Close)) }()
	w, err := tracker.Watch(ctx, c.room, nil)
	if err != nil {
		return err
	}
	defer w.Close()

	start := w.Start()
	c.out.head("AT", "EVENT", "USER", "CHANNEL", "PRESENCES", "USERS", "REASON")
	for _, p := range start.Presences {
		c.event("here", p, "", start.Counts)
	}
	for {
		if err := c.out.flush(); err != nil {
			return err
		}
		d, err := w.Next(ctx)
		if ctx.Err() != nil {
			return nil // interrupted, or its time is up
		}
		if err != nil {
			return err
		}
		c.diff(d)
	}
}

// asTheFleet are the longest lease and max age of the nodes. Who signs last tells for
// how long all are held after an outage, and a watcher must not make that shorter.
// Nodes that seem dead count: it may be that nobody could sign until now.
func (c *ctl) asTheFleet(ctx context.Context) (*presence.Options, error) {
	store, opts := c.reader.Store(), &presence.Options{}
	away, err := store.Survey(ctx, nil)
	if err != nil {
		return nil, err
	}
	for shard := range store.Shards() {
		if away[shard] != nil {
			continue
		}
		rows, _, err := store.NodeRows(ctx, shard)
		if err != nil {
			continue // it went away since; the others tell
		}
		for _, row := range rows {
			opts.Lease, opts.MaxAge = max(opts.Lease, row.Lease), max(opts.MaxAge, row.MaxAge)
		}
	}
	return opts, nil
}

func (c *ctl) diff(d presence.Diff) {
	if d.Resync {
		c.event("resync", presence.Presence{}, "", d.Counts)
	}
	for _, p := range d.Added {
		c.event("joined", p, "", d.Counts)
	}
	for _, p := range d.Updated {
		c.event("updated", p, "", d.Counts)
	}
	for _, p := range d.Removed {
		c.event("left", p.Presence, p.Reason.String(), d.Counts)
	}
}

func (c *ctl) event(what string, p presence.Presence, reason string, counts presence.Counts) {
	c.out.row(eventRow{time.Now(), what, p.User, p.Channel, reason, counts.Presences, counts.Users})
}

// leave takes the node out of the fleet, even after ctx has ended.
func (c *ctl) leave(ctx context.Context, end func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaving)
	defer cancel()
	return end(ctx)
}
