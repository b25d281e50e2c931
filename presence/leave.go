package presence

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/luascripts"
)

// Remove removes a channel from a room, and then from the group. If the channel is not
// in the room, it does nothing and returns revision 0. A removal that could not be
// written is retried in the background, until it succeeds or the channel is added to
// the room again.
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

// LeaveAll removes a channel from all its rooms, and then from their groups. Up to 256
// rooms of a shard are one atomic step. It returns the revisions of the rooms left. For
// a channel without presences it does nothing. Removals that could not be written are
// retried in the background.
func (t *Tracker) LeaveAll(ctx context.Context, channel string, why Reason) (map[string]Revision, error) {
	return t.LeaveAllAfter(ctx, channel, why, 0)
}

// LeaveAllAfter is LeaveAll with a grace period. The channel leaves its groups now. Its
// presences stay for the grace period; a prune then removes them, with the given
// reason. A user who comes back by then on another channel, as the same user or with
// the same Member.Key, has never gone: neither UsersWent nor UsersCame has the user,
// and lists of presences show both channels until the grace ends. A presence in grace
// is in Redis alone, so it outlives this node, but is lost if Redis loses it. With a
// grace of 0 it is LeaveAll.
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

// lengthen gives the grace of a drain to channels whose connections end during it, maybe
// only because of it.
func (t *Tracker) lengthen(d departure) departure {
	if all := t.ledger.closing.Load(); all != nil && (d.why == Disconnected || d.why == TimedOut) {
		d.grace = max(d.grace, all.grace)
	}
	return d
}

// leaveAll is called with the entry locked. It also writes the removals that are owed.
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

// carryOn writes the removals of a channel that are still owed, except in shards that
// are still away.
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

// remove is called with the entry locked. A room whose removal is owed is left as it was
// to be then: had that been written, there would be nothing to remove now. A kick alone
// cuts a grace short, as it does once that is written.
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
		return t.writers[shard].do(ctx, e.removals(chunk)...)
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

// removals are the operations that write departures which were noted.
func (e *entry) removals(rooms []string) []luascripts.Op {
	e.mu.Lock()
	defer e.mu.Unlock()
	ops := make([]luascripts.Op, len(rooms))
	for i, room := range rooms {
		ops[i] = removal(e.short, room, e.leaving[room])
	}
	return ops
}

func removal(short, room string, d departure) luascripts.Op {
	op := luascripts.Op{Action: luascripts.Remove, Room: room, Short: short, Reason: byte(d.why)}
	switch {
	case d.grace > 0:
		op.Action, op.Grace = luascripts.Grace, d.grace
	case d.unlessInGrace:
		op.Action = luascripts.Drop
	}
	return op
}

// discard removes a channel from a group. It fails only for a closed channel, which is
// in no group.
func (t *Tracker) discard(room, channel string) {
	if err := t.layer.GroupDiscard(context.Background(), room, channel); err != nil {
		t.log.Debug("discard", zap.String("room", room), zap.String("channel", channel), zap.Error(err))
	}
}
