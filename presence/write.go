package presence

import (
	"context"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/luascripts"
)

// Add records that a channel is in a room, and makes it a member of the group
// of that name. Of a channel on another node, that node is asked, as by Update,
// Remove and LeaveAll: they return ErrUnknownChannel where the node is gone, and
// ErrNoAnswer where it is silent. When it returns, the channel gets what is sent to
// the room. Where it is in the room already as the same user, nothing changes
// but its last seen, and the info given is ignored: Update changes it. As another
// user, it changes over in one step, with the info given and joined now.
func (t *Tracker) Add(ctx context.Context, room, channel string, m Member) (Presence, Revision, error) {
	if err := t.checkAdd(room, m); err != nil {
		return Presence{}, 0, err
	}
	if t.isElsewhere(channel) {
		var a added
		err := t.ask(ctx, opAdd, call{Room: room, Channel: channel, User: m.User, Info: m.Info}, &a)
		return a.Presence, a.Revision, opError("add", room, channel, err)
	}
	short, err := t.short(channel)
	if err != nil {
		return Presence{}, 0, opError("add", room, channel, err)
	}
	e := t.ledger.lock(short, channel)
	defer t.ledger.unlock(e)
	p, revision, err := t.add(ctx, e, room, m)
	return p, revision, opError("add", room, channel, err)
}

func (t *Tracker) checkAdd(room string, m Member) error {
	if err := checkRoom(room); err != nil {
		return err
	}
	if m.User != "" {
		if err := luascripts.CheckName("user", m.User); err != nil {
			return err
		}
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

// add is called with the entry's op held.
func (t *Tracker) add(ctx context.Context, e *entry, room string, m Member) (Presence, Revision, error) {
	if t.ledger.closed.Load() {
		return Presence{}, 0, ErrClosed
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
	if err := t.layer.GroupAdd(ctx, room, e.channel); err != nil {
		undo()
		return Presence{}, 0, unavailable(err)
	}
	op := luascripts.Op{Action: luascripts.Add, Room: room, Short: e.short, Record: t.seal(room, e.channel, m)}
	results, err := t.writer(room).do(ctx, op)
	if err != nil {
		undo()
		return Presence{}, 0, err
	}
	result := results[0]
	record := op.Record
	if result.Status == luascripts.StatusSame {
		record = result.Record
	} else {
		record.JoinedAt = result.Revision / 1000
	}
	p := t.presenceOf(room, e.channel, record)
	if !p.Unopened { // else what the caller says is the best there is to add again
		m = Member{User: p.User, Info: p.Info}
	}
	if old, ok := e.record(room, held{member: m, revision: Revision(result.Revision), room: local}); ok {
		t.rooms.release(old.room) // one hold is enough
	}
	// The connection may have been lost since, or a prune that came just before
	// has taken the channel out of the group: it must be a member now.
	if err := t.layer.GroupAdd(ctx, room, e.channel); err != nil {
		if !present {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
			defer cancel()
			_, _ = t.remove(ctx, e, []string{room}, Left) // the first error says why
		}
		return Presence{}, 0, unavailable(err)
	}
	return p, Revision(result.Revision), nil
}

// Update changes the info of a presence. It is a change of its own kind, neither
// a departure nor an arrival. The same info again changes nothing, unless there
// are keys: it is then sealed anew, which is a change.
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
	short, err := t.short(channel)
	if err != nil {
		return 0, opError("update", room, channel, err)
	}
	e := t.ledger.lock(short, channel)
	defer t.ledger.unlock(e)
	h, ok := e.held(room)
	if !ok {
		return 0, opError("update", room, channel, ErrNotPresent)
	}
	results, err := t.writer(room).do(ctx, luascripts.Op{
		Action: luascripts.Update, Room: room, Short: short,
		Record: t.seal(room, channel, Member{User: h.member.User, Info: info}),
	})
	if err != nil {
		return 0, opError("update", room, channel, err)
	}
	if results[0].Status == luascripts.StatusAbsent {
		return 0, opError("update", room, channel, ErrNotPresent)
	}
	h.member.Info, h.revision = info, Revision(results[0].Revision)
	e.rewrite(room, h)
	return h.revision, nil
}

// Remove takes a channel out of a room, and then out of the group. It does
// nothing where the channel is not in the room; the revision is then 0. What
// could not be written is tried again in the background, until it is or the
// channel is added to the room again.
func (t *Tracker) Remove(ctx context.Context, room, channel string) (Revision, error) {
	if err := checkRoom(room); err != nil {
		return 0, err
	}
	if t.isElsewhere(channel) {
		var revision Revision
		err := t.ask(ctx, opRemove, call{Room: room, Channel: channel, Reason: RemovedByOther}, &revision)
		return revision, opError("remove", room, channel, err)
	}
	return t.removeOne(ctx, room, channel, Left)
}

func (t *Tracker) removeOne(ctx context.Context, room, channel string, why Reason) (Revision, error) {
	e := t.lockOwn(channel)
	if e == nil {
		return 0, nil
	}
	defer t.ledger.unlock(e)
	revisions, err := t.remove(ctx, e, []string{room}, why)
	return revisions[room], opError("remove", room, channel, err)
}

// LeaveAll takes a channel out of all its rooms, and then out of their groups.
// Up to 256 rooms are one atomic step. It returns the revisions of the rooms
// that it has left. It does nothing for a channel without presences. What could
// not be written is tried again in the background.
func (t *Tracker) LeaveAll(ctx context.Context, channel string, why Reason) (map[string]Revision, error) {
	if t.isElsewhere(channel) {
		var revisions map[string]Revision
		err := t.ask(ctx, opLeaveAll, call{Channel: channel, Reason: why}, &revisions)
		return revisions, opError("leave all", "", channel, err)
	}
	e := t.lockOwn(channel)
	if e == nil {
		return nil, nil
	}
	defer t.ledger.unlock(e)
	revisions, err := t.leaveAll(ctx, e, why)
	return revisions, opError("leave all", "", channel, err)
}

// leaveAll is called with the entry's op held.
func (t *Tracker) leaveAll(ctx context.Context, e *entry, why Reason) (map[string]Revision, error) {
	for room := range e.wanted() {
		e.leave(room, why)
	}
	var rooms []string
	for _, some := range e.leavings() {
		rooms = append(rooms, some...)
	}
	slices.Sort(rooms)
	return t.remove(ctx, e, rooms, why)
}

// carryOn writes the removals of a channel that could not be written before.
func (t *Tracker) carryOn(ctx context.Context, e *entry) error {
	if len(e.leavings()) == 0 || !e.lock() {
		return nil
	}
	defer t.ledger.unlock(e)
	for why, rooms := range e.leavings() {
		if _, err := t.remove(ctx, e, rooms, why); err != nil {
			return err
		}
	}
	return nil
}

// remove is called with the entry's op held.
func (t *Tracker) remove(ctx context.Context, e *entry, rooms []string, why Reason) (map[string]Revision, error) {
	byShard := make(map[int][]string)
	for _, room := range rooms {
		e.leave(room, why)
		shard := t.store.Shard(room)
		byShard[shard] = append(byShard[shard], room)
	}
	revisions := make(map[string]Revision, len(rooms))
	var failed error
	for shard, rooms := range byShard {
		for chunk := range slices.Chunk(rooms, maxOps) {
			ops := make([]luascripts.Op, len(chunk))
			for i, room := range chunk {
				ops[i] = luascripts.Op{Action: luascripts.Remove, Room: room, Short: e.short, Reason: byte(why)}
			}
			results, err := t.writers[shard].do(ctx, ops...)
			if err != nil {
				failed = err
				continue
			}
			for i, room := range chunk {
				if results[i].Status == luascripts.StatusRemoved {
					revisions[room] = Revision(results[i].Revision)
				}
				if h, ok := e.erase(room); ok {
					t.rooms.release(h.room)
				}
				t.discard(room, e.channel)
			}
		}
	}
	return revisions, failed
}

// short returns the short name of an open channel of this node.
func (t *Tracker) short(channel string) (string, error) {
	if t.ledger.closed.Load() {
		return "", ErrClosed
	}
	if _, ok := t.layer.Channel(channel); !ok {
		return "", fmt.Errorf("%w: %q", ErrUnknownChannel, channel)
	}
	_, short, _ := groups.SplitChannel(channel)
	return short, nil
}

// own returns the entry of a channel of this node, open or not.
func (t *Tracker) own(channel string) *entry {
	node, short, ok := groups.SplitChannel(channel)
	if !ok || node != t.layer.NodeID() {
		return nil
	}
	return t.ledger.get(short)
}

// lockOwn is own for an operation: the caller unlocks the entry.
func (t *Tracker) lockOwn(channel string) *entry {
	node, short, ok := groups.SplitChannel(channel)
	if !ok || node != t.layer.NodeID() {
		return nil
	}
	return t.ledger.lockKnown(short)
}

func (t *Tracker) writer(room string) *writer { return t.writers[t.store.Shard(room)] }

// discard takes a channel out of a group. It fails only for a channel that was
// closed, and so is in no group.
func (t *Tracker) discard(room, channel string) {
	if err := t.layer.GroupDiscard(context.Background(), room, channel); err != nil {
		t.log.Debug("discard", zap.String("room", room), zap.String("channel", channel), zap.Error(err))
	}
}
