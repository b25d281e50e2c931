package presence

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/luascripts"
)

const (
	healSpread     = 500 * time.Millisecond
	reassertAtOnce = 256 // channels that are asserted again before others are served
)

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
			if sleep(t.ctx, rand.N(healSpread)) != nil {
				return
			}
			err := w.down()
			if err == nil {
				err = errors.Join(w.reassertEverything(), w.removeSurplus())
			}
			if err != nil {
				t.log.Warn("not all is as it was yet", zap.Int("shard", w.shard), zap.Error(err))
				if sleep(t.ctx, pause) != nil {
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
		if err := sleep(t.ctx, time.Since(start)); err != nil {
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
				t.hearPruned(e, h.room.name, h.revision+1, TimedOut)
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
	e, err := t.ledger.lock(t.ctx, found.Short, luascripts.JoinChannel(t.layer.NodeID(), found.Short))
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
