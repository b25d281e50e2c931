package presence

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/luascripts"
)

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
	e, err := t.lockOwn(ctx, channel)
	if e == nil || err != nil {
		return 0, opError("remove", room, channel, err)
	}
	defer t.ledger.unlock(e)
	revisions, err := t.remove(ctx, e, []string{room}, departure{why: why})
	return revisions[room], opError("remove", room, channel, err)
}

// LeaveAll takes a channel out of all its rooms, and then out of their groups.
// Up to 256 rooms of a shard are one atomic step. It returns the revisions of the
// rooms that it has left. It does nothing for a channel without presences. What
// could not be written is tried again in the background.
func (t *Tracker) LeaveAll(ctx context.Context, channel string, why Reason) (map[string]Revision, error) {
	return t.LeaveAllAfter(ctx, channel, why, 0)
}

// LeaveAllAfter is LeaveAll with a grace: the channel leaves its groups now, and
// its presences stay for that long, to be removed then by whoever prunes, for the
// reason given. Who comes back before that on another channel, as the same user
// or with the same Member.Key, has never gone: UsersWent and UsersCame do not
// tell of it; until its grace has ended, lists of presences show both channels. A
// presence in grace is in Redis alone, so it outlives this node, and it is lost if
// Redis loses it. No grace is LeaveAll.
func (t *Tracker) LeaveAllAfter(ctx context.Context, channel string, why Reason, grace time.Duration) (map[string]Revision, error) {
	if grace < 0 {
		return nil, &InvalidError{Field: "grace", Value: grace.String(), Reason: "negative"}
	}
	if _, ok := reasonNames[why]; !ok || why == Unknown {
		return nil, &InvalidError{Field: "reason", Value: string(why), Reason: "none of the reasons"}
	}
	if t.isElsewhere(channel) {
		var revisions map[string]Revision
		err := t.ask(ctx, opLeaveAll, call{Channel: channel, Reason: why, Grace: grace}, &revisions)
		return revisions, opError("leave all", "", channel, err)
	}
	e, err := t.lockOwn(ctx, channel)
	if e == nil || err != nil {
		return nil, opError("leave all", "", channel, err)
	}
	defer t.ledger.unlock(e)
	revisions, err := t.leaveAll(ctx, e, t.lengthen(departure{why: why, grace: grace}))
	return revisions, opError("leave all", "", channel, err)
}

// lengthen gives the grace of a drain to those whose connections end while it is under
// way, maybe for no other reason than that.
func (t *Tracker) lengthen(d departure) departure {
	if all := t.ledger.closing.Load(); all != nil && (d.why == Disconnected || d.why == TimedOut) {
		d.grace = max(d.grace, all.grace)
	}
	return d
}

// leaveAll is called with the entry locked.
func (t *Tracker) leaveAll(ctx context.Context, e *entry, d departure) (map[string]Revision, error) {
	for _, h := range e.holding() {
		e.leave(h.room.name, d)
	}
	for room := range e.evictions() {
		e.leave(room, d)
	}
	var rooms []string
	for _, some := range e.leavings() {
		rooms = append(rooms, some...)
	}
	slices.Sort(rooms)
	return t.remove(ctx, e, rooms, d)
}

// carryOn writes the removals of a channel that could not be written before, but
// for those of shards that are away still.
func (t *Tracker) carryOn(ctx context.Context, e *entry) error {
	if len(e.leavings()) == 0 {
		return nil
	}
	if ok, err := e.lock(ctx); !ok {
		return err
	}
	defer t.ledger.unlock(e)
	var failed error
	for d, rooms := range e.leavings() {
		rooms = slices.DeleteFunc(rooms, func(room string) bool {
			gone := t.writer(room).gone()
			if gone {
				t.owing.Store(true)
			}
			return gone
		})
		if _, err := t.remove(ctx, e, rooms, d); err != nil {
			failed = err
		}
	}
	return failed
}

// remove is called with the entry locked.
func (t *Tracker) remove(ctx context.Context, e *entry, rooms []string, d departure) (map[string]Revision, error) {
	byShard := make(map[int][]string)
	for _, room := range rooms {
		e.leave(room, d)
		shard := t.store.Shard(room)
		byShard[shard] = append(byShard[shard], room)
	}
	revisions := make(map[string]Revision, len(rooms))
	var failed error
	for shard, results := range t.inShards(byShard, func(shard int, chunk []string) ([]luascripts.Result, error) {
		return t.writers[shard].do(ctx, removals(e.short, chunk, d)...)
	}) {
		if results.err != nil {
			failed = results.err
		}
		for i, result := range results.done {
			room := byShard[shard][i]
			if result.Status == luascripts.StatusRemoved {
				revisions[room] = Revision(result.Revision)
			}
			if h, ok := e.erase(room); ok {
				t.rooms.release(h.room)
			}
			t.discard(room, e.channel)
		}
	}
	if failed != nil {
		t.owing.Store(true)
	}
	return revisions, failed
}

func removals(short string, rooms []string, d departure) []luascripts.Op {
	ops := make([]luascripts.Op, len(rooms))
	for i, room := range rooms {
		ops[i] = luascripts.Op{Action: luascripts.Remove, Room: room, Short: short, Reason: byte(d.why)}
		switch {
		case d.grace > 0:
			ops[i].Action, ops[i].Grace = luascripts.Grace, d.grace
		case d.unlessInGrace:
			ops[i].Action = luascripts.Drop
		}
	}
	return ops
}

// lockOwn locks the entry of a channel of this node, open or not. It returns nil
// where there is none.
func (t *Tracker) lockOwn(ctx context.Context, channel string) (*entry, error) {
	e := t.own(channel)
	if e == nil {
		return nil, nil
	}
	return t.ledger.lockKnown(ctx, e.short)
}

// discard takes a channel out of a group. It fails only for a channel that was
// closed, and so is in no group.
func (t *Tracker) discard(room, channel string) {
	if err := t.layer.GroupDiscard(context.Background(), room, channel); err != nil {
		t.log.Debug("discard", zap.String("room", room), zap.String("channel", channel), zap.Error(err))
	}
}
