package presence

import (
	"context"
	"fmt"
	"time"

	"github.com/rollcall-go/rollcall/luascripts"
)

// Add records that a channel is in a room, and makes it a member of the group of that
// name. When Add returns, the channel receives what is sent to the room. If the channel
// is already in the room as the same user, only its last-seen time changes, and the
// given info is ignored: use Update to change it. As another user, it changes over in
// one step, with the given info and a new JoinedAt.
//
// If another node holds the channel, Add, Update, Remove and LeaveAll ask that node.
// They return ErrUnknownChannel if the node is gone, and ErrNoAnswer if it is silent.
//
// The name of a room is 1 to 255 bytes of UTF-8, that of a user or key up to 255. Other
// names are refused with an *InvalidError.
func (t *Tracker) Add(ctx context.Context, room, channel string, m Member) (Presence, Revision, error) {
	return t.addWithin(ctx, room, channel, m, 0)
}

// AddWithin is Add unless the room is full, which Redis decides in the same step: it
// then returns ErrRoomFull, and nothing changes. A room is full when its users, however
// many channels they have, and its anonymous channels reach the limit; those in grace
// count. A user who is in the room may add another channel, and so may one who comes
// back before a grace has ended. A room takes one such addition of a node at a time,
// about a thousand per second.
func (t *Tracker) AddWithin(ctx context.Context, room, channel string, m Member, limit int) (Presence, Revision, error) {
	if limit <= 0 {
		return Presence{}, 0, &InvalidError{Field: "limit", Value: fmt.Sprint(limit), Reason: "not positive"}
	}
	return t.addWithin(ctx, room, channel, m, limit)
}

// addWithin takes a limit of 0 as none.
func (t *Tracker) addWithin(ctx context.Context, room, channel string, m Member, limit int) (Presence, Revision, error) {
	if err := t.checkAdd(room, m); err != nil {
		return Presence{}, 0, err
	}
	if t.isElsewhere(channel) {
		var a added
		c := call{Room: room, Channel: channel, User: m.User, Key: m.Key, Info: m.Info, Limit: limit, Exclusive: m.Exclusive}
		err := t.ask(ctx, opAdd, c, &a)
		return a.Presence, a.Revision, opError("add", room, channel, err)
	}
	e, err := t.lockOpen(ctx, channel)
	if err != nil {
		return Presence{}, 0, opError("add", room, channel, err)
	}
	defer t.ledger.unlock(e)
	op := luascripts.Op{Action: luascripts.Add}
	if limit > 0 {
		op.Action, op.Limit = luascripts.AddWithin, limit
	}
	p, revision, err := t.add(ctx, e, room, m, op)
	return p, revision, opError("add", room, channel, err)
}

func (t *Tracker) checkAdd(room string, m Member) error {
	if err := checkRoom(room); err != nil {
		return err
	}
	for _, n := range [...]struct{ field, name string }{{"user", m.User}, {"key", m.Key}} {
		if n.name == "" {
			continue
		}
		if err := luascripts.CheckName(n.field, n.name); err != nil {
			return err
		}
	}
	if m.Exclusive && m.User == "" && m.Key == "" {
		return &InvalidError{Field: "exclusive", Reason: "needs a user or a key"}
	}
	return t.checkInfo(m.Info)
}

func (t *Tracker) checkInfo(info []byte) error {
	if len(info) <= t.opts.MaxInfo {
		return nil
	}
	return &InvalidError{
		Field:  "info",
		Reason: fmt.Sprintf("%d bytes, more than %d", len(info), t.opts.MaxInfo),
	}
}

// add completes an operation that has only its action and limit. The entry must be
// locked.
func (t *Tracker) add(ctx context.Context, e *entry, room string, m Member, op luascripts.Op) (Presence, Revision, error) {
	if t.ledger.closed() {
		return Presence{}, 0, ErrClosed
	}
	if err := t.writer(room).down(); err != nil {
		return Presence{}, 0, err
	}
	local, err := t.rooms.acquire(room)
	if err != nil {
		return Presence{}, 0, err
	}
	undo := func() {
		t.rooms.release(local)
		if _, present := e.held(room); !present {
			t.discard(room, e.channel)
		}
	}
	e.join(&joining{room, m})
	defer e.join(nil)
	op.Room, op.Short, op.Record = room, e.short, t.seal(room, e.channel, m)
	if op.Action == luascripts.Add {
		err = t.layer.GroupAdd(ctx, room, e.channel)
	} else { // a refused channel must receive nothing
		err = local.listening.Wait(ctx)
	}
	if err != nil {
		undo()
		return Presence{}, 0, unavailable(err)
	}
	sent := time.Now() // Redis sees it later, so a renewed assertion does not make it look seen later still
	results, err := t.writer(room).do(ctx, op)
	if err == nil {
		err = refusals[results[0].Status]
	}
	if err != nil {
		undo()
		return Presence{}, 0, err
	}
	record, revision := results[0].Record, Revision(results[0].Revision)
	e.written.Store(t.ticks.Load())
	e.see(sent)
	old, present := e.record(held{room: local, record: results[0].Stored, revision: revision})
	if present {
		t.rooms.release(old.room) // one hold is enough
	}
	// The connection may have been lost since, or a prune just before may have removed
	// the channel from the group. It must be a member now.
	if err := t.layer.GroupAdd(ctx, room, e.channel); err != nil {
		if !present {
			t.takeBack(ctx, e, room, m, op.Action)
		}
		return Presence{}, 0, unavailable(err)
	}
	return t.presenceOf(room, e.channel, record), revision, nil
}

// takeBack ends an addition after which the channel could not join the group. One that
// was to be brought back is alive, so its next touch tries again.
func (t *Tracker) takeBack(ctx context.Context, e *entry, room string, m Member, did luascripts.Action) {
	if did == luascripts.Revive {
		if h, ok := e.setAside(room, m); ok {
			t.rooms.release(h.room)
		}
		t.discard(room, e.channel)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	_, _ = t.remove(ctx, e, []string{room}, departure{why: Left}) // what failed before says why
}

// refusals are the errors for the additions that Redis refuses.
var refusals = map[luascripts.Status]error{
	luascripts.StatusFull:   ErrRoomFull,
	luascripts.StatusYields: errYields,
}
