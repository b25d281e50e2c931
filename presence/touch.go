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

// Touch records that a channel of this node is alive, in all its rooms at once.
// It writes to memory alone; what was touched goes to Redis every
// Options.FlushInterval. It does nothing for a channel without presences, and for
// one that was closed: what that has not left grows old.
func (t *Tracker) Touch(channel string) {
	e := t.own(channel)
	if e == nil || e.touched.Load() {
		return
	}
	e.touched.Store(true)
	// It would be pruned before its next flush but one.
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

// flush writes what was touched, and adds again what was pruned meanwhile.
func (t *Tracker) flush() {
	var touched []*entry
	t.ledger.entries.Range(func(_, v any) bool {
		if e := v.(*entry); e.touched.Load() {
			if _, open := t.layer.Channel(e.channel); open {
				touched = append(touched, e)
			} else {
				e.touched.Store(false) // nobody is there: its presences grow old
			}
		}
		return true
	})
	// Redis keeps those that were seen together in this order: it finds each beside
	// the last, for a third of what it takes to look all over the set.
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
		var work sync.WaitGroup // one shard does not hold up the others
		for _, w := range t.writers {
			work.Go(func() {
				err := w.down()
				if err == nil {
					if err = t.flushShard(w.shard, chunk, unsure); err != nil && w.away.Load() == nil { // else the log has that
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
	var again []*entry // which may be missing from some of their rooms
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
	_ = t.reassertAll(ctx, again, shard, true, true) // the next touch finds them missing
	return nil
}

// inShard tells whether the channel holds rooms in a shard, and whether it was
// pruned from some there.
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
