package presence

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/luascripts"
)

const keepSlack = time.Second // so that what is asserted again does not look younger by the time that takes

// keep tells Redis what a channel holds: what is missing is added, and what differs is
// changed. The entry must be locked. What somebody has removed is added only if sure is
// set or while the shard heals; otherwise it is noted as a prune that the node has not
// heard of. A channel that has been silent for too long is left to the next sweep, so
// that it does not live for ever.
func (t *Tracker) keep(ctx context.Context, e *entry, holding []held, sure bool) error {
	unseen := e.unseen()
	if unseen > t.opts.MaxAge {
		return nil
	}
	byShard := make(map[int][]string, 1)
	// As the entry is locked, none of these is written meanwhile.
	byRoom := make(map[string]held, len(holding))
	for _, h := range holding {
		byShard[h.room.shard] = append(byShard[h.room.shard], h.room.name)
		byRoom[h.room.name] = h
	}
	var failed error
	for shard, r := range t.inShards(byShard, func(shard int, rooms []string) ([]luascripts.Result, error) {
		ops := make([]luascripts.Op, 0, len(rooms))
		for _, room := range rooms {
			h := byRoom[room]
			op := luascripts.Op{
				Action: luascripts.Confirm, Room: room, Short: e.short, Stored: h.record, Since: int64(h.revision),
				Unseen: unseen + keepSlack,
			}
			if sure {
				op.Action = luascripts.Keep
			}
			ops = append(ops, op)
		}
		return t.writers[shard].do(ctx, ops...)
	}) {
		if r.err != nil {
			failed = r.err
		}
		for i, result := range r.done {
			room := byShard[shard][i]
			h := byRoom[room]
			switch result.Status {
			case luascripts.StatusAbsent:
				t.evict(e, room, h.revision+1, TimedOut)
			case luascripts.StatusYields:
				t.replace(ctx, e, room, h.revision+1)
			default:
				e.rewrite(room, result.Stored, Revision(result.Revision))
			}
		}
	}
	return failed
}

// reassert adds a channel of this node again to the rooms of a shard that it should be
// in. If it is alive, these include the rooms that it was pruned from.
func (t *Tracker) reassert(ctx context.Context, e *entry, shard int, alive, sure bool) error {
	if ok, err := e.lock(ctx); !ok {
		return err
	}
	defer t.ledger.unlock(e)
	if _, open := t.layer.Channel(e.channel); !open {
		return nil
	}
	holding := e.holding()
	holding = slices.DeleteFunc(holding, func(h held) bool { return h.room.shard != shard })
	if err := t.keep(ctx, e, holding, alive || sure); err != nil {
		return err
	}
	if !alive {
		return nil
	}
	for room, member := range e.evictions() {
		if t.store.Shard(room) != shard {
			continue
		}
		if err := t.revive(ctx, e, room, member); err != nil {
			return err
		}
	}
	return nil
}

// revive adds a channel again to a room from which it was pruned, unless another has
// taken its place. The entry must be locked.
func (t *Tracker) revive(ctx context.Context, e *entry, room string, m Member) error {
	_, _, err := t.add(ctx, e, room, m, luascripts.Op{Action: luascripts.Revive})
	if errors.Is(err, errYields) {
		e.erase(room)
		t.tellEvicted(e, room, Replaced)
		return nil
	}
	return err
}

// reassertAll is reassert for many channels, whose writes share batches.
func (t *Tracker) reassertAll(ctx context.Context, entries []*entry, shard int, alive, sure bool) error {
	return concurrently(ctx, entries, func(e *entry) error {
		err := t.reassert(ctx, e, shard, alive, sure)
		if err != nil && ctx.Err() == nil {
			t.log.Warn("presence not added again", zap.String("channel", e.channel), zap.Error(err))
		}
		return err
	})
}
