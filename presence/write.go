package presence

import (
	"context"
	"fmt"
	"time"

	"github.com/rollcall-go/rollcall/groups"
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
	_, present := e.held(room)
	undo := func() {
		t.rooms.release(local)
		if !present {
			t.discard(room, e.channel)
		}
	}
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
	if old, ok := e.record(held{room: local, record: results[0].Stored, revision: revision}); ok {
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
		if h, ok := e.setAside(room, m, func() { t.discard(room, e.channel) }); ok {
			t.rooms.release(h.room)
		}
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

// Update changes the info of a presence. This is a change of its own kind, neither a
// departure nor an arrival. An equal info changes nothing, unless there are keys: it is
// then sealed anew, which is a change.
func (t *Tracker) Update(ctx context.Context, room, channel string, info []byte) (Revision, error) {
	if err := checkRoom(room); err != nil {
		return 0, err
	}
	if err := t.checkInfo(info); err != nil {
		return 0, err
	}
	if t.isElsewhere(channel) {
		var revision Revision
		err := t.ask(ctx, opUpdate, call{Room: room, Channel: channel, Info: info}, &revision)
		return revision, opError("update", room, channel, err)
	}
	e, err := t.lockOpen(ctx, channel)
	if err != nil {
		return 0, opError("update", room, channel, err)
	}
	defer t.ledger.unlock(e)
	revision, err := t.update(ctx, e, room, info)
	return revision, opError("update", room, channel, err)
}

// update must be called with the entry locked.
func (t *Tracker) update(ctx context.Context, e *entry, room string, info []byte) (Revision, error) {
	h, ok := e.held(room)
	if !ok || !e.isIn(room) { // it may be about to leave
		return 0, ErrNotPresent
	}
	was, w := t.memberOf(e, h), t.writer(room)
	op := luascripts.Op{
		Action: luascripts.Update, Room: room, Short: e.short,
		Record: t.seal(room, e.channel, Member{User: was.User, Info: info}),
	}
	results, err := w.do(ctx, op)
	if err == nil && results[0].Status == luascripts.StatusAbsent && w.healing.isRunning() {
		// Redis lost it, and healing waits for the lock of the entry.
		if err = t.keep(ctx, e, []held{h}, false); err == nil {
			results, err = w.do(ctx, op)
		}
	}
	if err != nil {
		return 0, err
	}
	if results[0].Status == luascripts.StatusAbsent {
		return 0, ErrNotPresent
	}
	revision := Revision(results[0].Revision)
	e.rewrite(room, results[0].Stored, revision)
	return revision, nil
}

// memberOf returns the Member of a presence of this node.
func (t *Tracker) memberOf(e *entry, h held) Member {
	record, err := luascripts.DecodeRecord(h.record)
	if err != nil {
		return Member{} // cannot happen: it was encoded here
	}
	p := t.presenceOf(h.room.name, e.channel, record)
	return Member{User: p.User, Key: p.Key, Exclusive: record.Exclusive, Info: p.Info}
}

// lockOpen locks the entry of an open channel of this node. It makes one if need be.
func (t *Tracker) lockOpen(ctx context.Context, channel string) (*entry, error) {
	if t.ledger.closed() {
		return nil, ErrClosed
	}
	if _, ok := t.layer.Channel(channel); !ok {
		return nil, fmt.Errorf("%w: %q", ErrUnknownChannel, channel)
	}
	_, short, _ := groups.SplitChannel(channel)
	return t.ledger.lock(ctx, short, channel)
}

// own returns the entry of a channel of this node, open or not.
func (t *Tracker) own(channel string) *entry {
	node, short, ok := groups.SplitChannel(channel)
	if !ok || node != t.layer.NodeID() {
		return nil
	}
	return t.ledger.get(short)
}

func (t *Tracker) writer(room string) *writer { return t.writers[t.store.Shard(room)] }
