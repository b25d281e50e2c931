package presence

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/luascripts"
)

// kickHeld removes what the node of a channel holds.
func (t *Tracker) kickHeld(ctx context.Context, k Kick) (n int, err error) {
	if t.isElsewhere(k.Channel) {
		err = t.layer.Ask(ctx, k.Channel, opKick, k, &n)
		return n, err
	}
	return t.kickOne(ctx, k.Channel, k)
}

// kickLocal removes a user's channels on this node, even once ctx has ended: what is left
// is then done in the background.
func (t *Tracker) kickLocal(ctx context.Context, k Kick) (int, error) {
	theirs := slices.DeleteFunc(t.ledger.all(), func(e *entry) bool { return len(kicked(e, k)) == 0 })
	var total atomic.Int64
	err := concurrently(context.WithoutCancel(ctx), theirs, func(e *entry) error {
		n, err := t.kickOne(ctx, e.channel, k)
		total.Add(int64(n))
		return err
	})
	return int(total.Load()), err
}

// kickOne removes a channel of this node, in the background if it is busy for too long.
func (t *Tracker) kickOne(ctx context.Context, channel string, k Kick) (int, error) {
	e, err := t.lockOwn(ctx, channel)
	switch {
	case err != nil:
		t.spawn(func() { _, _ = t.kickOne(t.ctx, channel, k) }) // what cannot be written is carried on
	case e != nil:
		defer t.ledger.unlock(e)
		return t.kickEntry(ctx, e, k)
	case k.Channel != "":
		t.closeKicked(channel, k)
	}
	return 0, err
}

// means reports whether a record matches the User and Key of a kick.
func (k Kick) means(r luascripts.Record) bool {
	return (k.User == "" || k.User == r.User) && (k.Key == "" || k.Key == r.Identity())
}

// kicked returns the rooms from which a kick removes a channel. They include those it
// was pruned from, as its next touch would bring it back, and those it is about to
// leave, maybe with a grace that is not written yet. While the channel is not locked,
// they also include the one to which it is being added.
func kicked(e *entry, k Kick) []string {
	var rooms []string
	note := func(room string, r luascripts.Record) {
		if (k.Room == "" || k.Room == room) && k.means(r) {
			rooms = append(rooms, room)
		}
	}
	noted, evicted, joining := e.noted()
	for _, h := range noted {
		if record, err := luascripts.DecodeRecord(h.record); err == nil {
			note(h.room.name, record)
		}
	}
	for room, m := range evicted {
		note(room, luascripts.Record{User: m.User, Key: m.Key})
	}
	if joining != nil {
		note(joining.room, luascripts.Record{User: joining.as.User, Key: joining.as.Key})
	}
	return rooms
}

// kickEntry must be called with the entry locked.
func (t *Tracker) kickEntry(ctx context.Context, e *entry, k Kick) (int, error) {
	rooms := kicked(e, k)
	if len(rooms) == 0 && (k.User != "" || k.Key != "") {
		return 0, nil // it is no longer one of that user
	}
	left, err := t.remove(ctx, e, rooms, departure{why: Kicked})
	t.closeKicked(e.channel, k) // even after an error, as the removal is carried on
	return len(left), err
}

func (t *Tracker) closeKicked(channel string, k Kick) {
	if ch, ok := t.layer.Channel(channel); ok && k.Close != (groups.CloseError{}) {
		ch.CloseWith(k.Close)
	}
}
