package presence

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/luascripts"
)

const (
	reassertAtOnce = 256 // channels that are asserted again before others are served
	recountAtOnce  = 256 // rooms that are recounted at once
	rollOver       = 5   // all channels are asserted again once per this many max ages, just in case
	healSpread     = 500 * time.Millisecond
	keepSlack      = time.Second // so that what is asserted again does not look younger by the time that takes
	urgentFlushes  = 3           // before a channel would be pruned, it is flushed at once
)

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
	// As the entry is locked, none of these is written meanwhile. The ledger may lose
	// one if the node hears of a prune.
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
				continue
			case luascripts.StatusYields:
				t.replace(ctx, e, room, h.revision+1)
				continue
			}
			if e.rewrite(room, result.Stored, Revision(result.Revision)) || result.Status != luascripts.StatusAdded {
				continue
			}
			// This undid a prune that the node hears of only now: the channel is in the
			// room, so it must be in the group.
			if err := t.revive(ctx, e, room, e.evictions()[room]); err != nil {
				failed = err
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

// roll asserts the next few channels again, and recounts their rooms, so that even an
// unnoticed loss is mended in time.
func (t *Tracker) roll() {
	if len(t.rolling) == 0 {
		t.rolling = t.ledger.all()
		t.rollStep = 1 + len(t.rolling)*int(t.opts.FlushInterval/time.Millisecond)/
			(rollOver*int(t.opts.MaxAge/time.Millisecond))
	}
	n := min(t.rollStep, len(t.rolling))
	ctx, cancel := context.WithTimeout(t.ctx, writeTimeout)
	defer cancel()
	for _, w := range t.writers {
		if !w.gone() {
			_ = t.reassertAll(ctx, t.rolling[:n], w.shard, false, false) // the next round tries again
		}
	}
	t.recount(ctx, t.rolling[:n])
	t.rolling = t.rolling[n:]
}

// recount recounts those rooms of some channels whose counts cannot be right.
func (t *Tracker) recount(ctx context.Context, entries []*entry) {
	rooms := make(map[string]struct{})
	for _, e := range entries {
		for _, h := range e.holding() {
			if t.writers[h.room.shard].down() == nil {
				rooms[h.room.name] = struct{}{}
			}
		}
	}
	for chunk := range slices.Chunk(slices.Collect(maps.Keys(rooms)), recountAtOnce) {
		events, err := t.store.RepairRooms(ctx, chunk...)
		t.Report(events)
		if err != nil && t.ctx.Err() == nil {
			t.log.Warn("rooms not counted", zap.Int("rooms", len(chunk)), zap.Error(err))
			return
		}
	}
}

// heal restores a shard to what this node knows, after data was lost there. It runs in
// the background, once at a time. The caller holds mu.
func (w *writer) heal() {
	if !w.healing.begin() {
		return
	}
	t := w.tracker
	t.spawn(func() {
		pause := recoverEvery
		for again := true; again; {
			// Nodes of a fleet notice together.
			if sleep(t.ctx, nil, rand.N(healSpread)) != nil {
				return
			}
			err := w.down()
			if err == nil {
				err = errors.Join(w.reassertEverything(), w.removeSurplus())
			}
			if err != nil {
				t.log.Warn("not all is as it was yet", zap.Int("shard", w.shard), zap.Error(err))
				if sleep(t.ctx, nil, pause) != nil {
					return
				}
				pause = min(2*pause, t.opts.Lease)
			}
			again = w.healAgain(err != nil)
		}
	})
}

// healAgain ends a round of healing, and reports whether another one follows. It holds
// mu, as does whoever finds a loss, so none is found between the look and the end.
func (w *writer) healAgain(failed bool) bool {
	w.mu.lock()
	defer w.mu.unlock()
	again := w.healing.again(failed)
	if !again {
		w.lost = false
	}
	return again
}

// reassertEverything uses at most half of the time that Redis has for this node, so
// that others are served too.
func (w *writer) reassertEverything() error {
	t := w.tracker
	var failed error
	for chunk := range slices.Chunk(t.ledger.all(), reassertAtOnce) {
		start := time.Now()
		t.dismiss(chunk, w.shard)
		if err := t.reassertAll(t.ctx, chunk, w.shard, false, true); err != nil {
			failed = err
		}
		if err := sleep(t.ctx, nil, time.Since(start)); err != nil {
			return err
		}
	}
	return failed
}

// dismiss treats channels that have been silent for too long as pruned, as a sweep may
// no longer find them.
func (t *Tracker) dismiss(entries []*entry, shard int) {
	for _, e := range entries {
		if e.unseen() <= t.opts.MaxAge {
			continue
		}
		for _, h := range e.holding() {
			if h.room.shard == shard {
				t.evict(e, h.room.name, h.revision+1, TimedOut)
			}
		}
	}
}

// removeSurplus removes what Redis has of this node and the ledger does not: channels
// whose departure a failover lost.
func (w *writer) removeSurplus() error {
	t := w.tracker
	for stale, err := range t.store.AllIndexed(t.ctx, w.shard, t.layer.NodeID()) {
		if err != nil {
			return unavailable(err)
		}
		if err := t.removeExcept(stale); err != nil {
			return err
		}
	}
	return nil
}

// removeExcept removes a channel from the rooms of which the ledger has nothing. Where it
// was pruned, it is pruned again by its age, or touched; removals that are owed are
// carried on as intended. The channel may have left since Redis was read.
func (t *Tracker) removeExcept(found luascripts.Stale) error {
	e, err := t.ledger.lock(t.ctx, found.Short, t.layer.NodeID()+"!"+found.Short)
	if err != nil {
		return err
	}
	defer t.ledger.unlock(e)
	surplus := slices.DeleteFunc(found.Rooms, e.knows)
	if len(surplus) == 0 {
		return nil
	}
	_, err = t.remove(t.ctx, e, surplus, departure{why: Disconnected, unlessInGrace: true})
	return err
}

// confirm asserts this node's presences in some rooms again, for a node that misses
// them.
func (t *Tracker) confirm(ctx context.Context, rooms []string) error {
	for _, room := range rooms {
		err := concurrently(ctx, t.layer.Members(room), func(channel string) error {
			return t.confirmOne(ctx, room, channel)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Tracker) confirmOne(ctx context.Context, room, channel string) error {
	e, err := t.lockOwn(ctx, channel)
	if e == nil || err != nil {
		return err
	}
	defer t.ledger.unlock(e)
	if h, ok := e.held(room); ok && e.isIn(room) {
		return t.keep(ctx, e, []held{h}, false)
	}
	return nil
}

var _ groups.Listener = (*localRoom)(nil)
