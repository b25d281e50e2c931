package presence

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/luascripts"
)

// Touch records that a channel of this node is alive, in all its rooms at once. It only
// writes to memory; touches go to Redis every Options.FlushInterval. It does nothing
// for a channel without presences. The touches of a closed channel are dropped:
// presences that it has not left grow old.
func (t *Tracker) Touch(channel string) {
	e := t.own(channel)
	if e == nil || e.touched.Load() {
		return
	}
	e.touched.Store(true)
	// It would be pruned before the flush after next.
	if t.ticks.Load()-e.written.Load() > t.urgent {
		select {
		case t.hurry <- struct{}{}:
		default:
		}
	}
}

// flushing writes touches until the tracker is closed.
func (t *Tracker) flushing() {
	ticker := time.NewTicker(t.opts.FlushInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			t.ticks.Add(1)
			t.flush()
			t.forgetClosed()
			t.roll()
		case <-t.hurry:
			t.flush()
		case <-t.ctx.Done():
			return
		}
	}
}

// flush writes the touches, and adds again what was pruned meanwhile.
func (t *Tracker) flush() {
	var touched []*entry
	t.ledger.entries.Range(func(_, v any) bool {
		if e := v.(*entry); e.touched.Load() {
			if _, open := t.layer.Channel(e.channel); open {
				touched = append(touched, e)
			} else {
				e.touched.Store(false) // the connection is gone: its presences grow old
			}
		}
		return true
	})
	// Redis keeps channels that were seen together in this order. It finds each next to
	// the last, for a third of what a search of the whole set costs.
	slices.SortFunc(touched, func(a, b *entry) int { return strings.Compare(a.short, b.short) })
	for chunk := range slices.Chunk(touched, luascripts.MaxTouch) {
		now := time.Now()
		unsure := make(map[*entry]bool)
		for _, e := range chunk {
			e.see(now)
			e.touched.Store(false)
			if e.unsure.Swap(false) {
				unsure[e] = true
			}
		}
		var work sync.WaitGroup // so that one shard does not hold up the others
		for _, w := range t.writers {
			work.Go(func() {
				err := w.down()
				if err == nil {
					if err = t.flushShard(w.shard, chunk, unsure); err != nil && w.away.Load() == nil { // otherwise the outage is logged
						t.log.Warn("touches not written", zap.Int("shard", w.shard), zap.Int("channels", len(chunk)), zap.Error(err))
					}
				}
				if err == nil {
					return
				}
				for _, e := range chunk {
					if held, evicted := e.inShard(w.shard); !held && !evicted {
						continue
					}
					e.touched.Store(true)
					if unsure[e] {
						e.unsure.Store(true)
					}
				}
			})
		}
		work.Wait()
	}
}

// forgetClosed forgets the rooms from which closed channels were pruned: no touch
// brings those back.
func (t *Tracker) forgetClosed() {
	t.ledger.entries.Range(func(_, v any) bool {
		e := v.(*entry)
		if !e.isEvicted() {
			return true
		}
		if _, open := t.layer.Channel(e.channel); !open && e.op.tryNow() { // or the next time
			e.forgetEvictions()
			t.ledger.unlock(e)
		}
		return true
	})
}

func (t *Tracker) flushShard(shard int, touched []*entry, unsure map[*entry]bool) error {
	var shorts []string
	var again []*entry // may be missing from some of their rooms
	for _, e := range touched {
		held, evicted := e.inShard(shard)
		if held {
			shorts = append(shorts, e.short)
		}
		if evicted || held && unsure[e] {
			again = append(again, e)
		}
	}
	ctx, cancel := context.WithTimeout(t.ctx, writeTimeout)
	defer cancel()
	missing, err := t.store.Touch(ctx, shard, t.layer.NodeID(), shorts)
	t.stats.flushed(len(shorts), err)
	if err != nil {
		return err
	}
	tick := t.ticks.Load()
	for _, e := range touched {
		e.written.Store(tick)
	}
	for _, short := range missing {
		if e := t.ledger.get(short); e != nil && !slices.Contains(again, e) {
			again = append(again, e)
		}
	}
	_ = t.reassertAll(ctx, again, shard, true, true) // what fails is found missing by the next touch
	return nil
}

// inShard reports whether the channel holds rooms in a shard, and whether it was pruned
// from any room, of whatever shard.
func (e *entry) inShard(shard int) (holds, evicted bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.rooms {
		if h.room.shard == shard {
			holds = true
			break
		}
	}
	return holds, len(e.evicted) > 0
}
