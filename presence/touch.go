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

const urgentFlushes = 3 // before a channel would be pruned, it is flushed at once

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
	touched := t.takeTouched()
	var work sync.WaitGroup // so that one shard does not hold up the others
	for _, w := range t.writers {
		work.Go(func() { w.flush(touched) })
	}
	work.Wait()
}

// touch is a channel that is alive, as a shard is to be told.
type touch struct {
	*entry
	held  bool // in rooms of the shard
	again bool // it may be missing from some
}

// takeTouched returns the channels that were touched since the last flush, with whether
// each is unsure. Redis keeps channels that were seen together in their order. It finds
// each next to the last, for a third of what a search of the whole set costs.
func (t *Tracker) takeTouched() []touch {
	var touched []touch
	now, tick := time.Now(), t.ticks.Load()
	t.ledger.entries.Range(func(_, v any) bool {
		e := v.(*entry)
		if !e.touched.Load() {
			return true
		}
		_, open := t.layer.Channel(e.channel)
		if open {
			e.see(now)
			e.written.Store(tick)
			touched = append(touched, touch{entry: e, again: e.unsure.Swap(false)})
		}
		e.touched.Store(false) // without a connection its presences grow old
		return true
	})
	sortTouches(touched)
	return touched
}

func sortTouches(all []touch) {
	slices.SortFunc(all, func(a, b touch) int { return strings.Compare(a.short, b.short) })
}

// flush writes touches to the shard, after an outage those that it has missed, too.
func (w *writer) flush(touched []touch) {
	for chunk := range slices.Chunk(w.touches(touched), luascripts.MaxTouch) {
		err := w.down()
		if err == nil {
			if err = w.touch(chunk); err != nil && w.away.Load() == nil { // otherwise the outage is logged
				w.tracker.log.Warn("touches not written", zap.Int("shard", w.shard), zap.Int("channels", len(chunk)), zap.Error(err))
			}
		}
		if err == nil {
			continue
		}
		for _, c := range chunk {
			w.late[c.entry] = c.again
		}
	}
}

// touches returns what the shard is to be told: the touches that concern it, and those
// that it has missed. Of these, it is not told of channels that have been silent for too
// long since, as they would look alive.
func (w *writer) touches(touched []touch) []touch {
	late := w.late
	w.late = make(map[*entry]bool)
	var mine []touch
	add := func(e *entry, unsure bool) {
		if held, evicted := w.concerns(e); held || evicted {
			mine = append(mine, touch{entry: e, held: held, again: evicted || unsure})
		}
	}
	for _, c := range touched {
		add(c.entry, c.again || late[c.entry])
		delete(late, c.entry)
	}
	for e, unsure := range late {
		if _, open := w.tracker.layer.Channel(e.channel); open && e.unseen() <= w.tracker.opts.MaxAge {
			add(e, unsure)
		}
	}
	if len(late) > 0 {
		sortTouches(mine)
	}
	return mine
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

// touch writes one chunk.
func (w *writer) touch(touched []touch) error {
	t := w.tracker
	var shorts []string
	var again []*entry
	for _, c := range touched {
		if c.held {
			shorts = append(shorts, c.short)
		}
		if c.again {
			again = append(again, c.entry)
		}
	}
	ctx, cancel := context.WithTimeout(t.ctx, writeTimeout)
	defer cancel()
	missing, err := t.store.Touch(ctx, w.shard, t.layer.NodeID(), shorts)
	t.stats.flushed(len(shorts), err)
	if err != nil {
		return err
	}
	for _, short := range missing {
		if e := t.ledger.get(short); e != nil && !slices.Contains(again, e) {
			again = append(again, e)
		}
	}
	if t.reassertAll(ctx, again, w.shard, true, true) != nil {
		for _, e := range again { // the next touch asserts them
			e.unsure.Store(true)
		}
	}
	return nil
}

// concerns reports whether a channel holds rooms in the shard, and whether it was pruned
// from any there.
func (w *writer) concerns(e *entry) (held, evicted bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.rooms {
		if h.room.shard == w.shard {
			held = true
			break
		}
	}
	for room := range e.evicted {
		if w.tracker.store.Shard(room) == w.shard {
			evicted = true
			break
		}
	}
	return held, evicted
}
