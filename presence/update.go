package presence

import (
	"context"

	"github.com/rollcall-go/rollcall/luascripts"
)

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
