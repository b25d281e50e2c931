package presence

import (
	"context"
	"slices"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/luascripts"
)

// Touch records that a channel of this node is alive, in all its rooms at once.
// It writes to memory alone; what was touched goes to Redis every
// Options.FlushInterval. It does nothing for a channel without presences.
func (t *Tracker) Touch(channel string) {
	if e := t.own(channel); e != nil {
		e.touched.Store(true)
	}
}

// flush writes what was touched, and adds again what was pruned meanwhile.
func (t *Tracker) flush() {
	var touched []*entry
	t.ledger.entries.Range(func(_, v any) bool {
		if e := v.(*entry); e.touched.Load() {
			touched = append(touched, e)
		}
		return true
	})
	for chunk := range slices.Chunk(touched, luascripts.MaxTouch) {
		unsure := make(map[*entry]bool)
		for _, e := range chunk {
			e.touched.Store(false)
			if e.unsure.Swap(false) {
				unsure[e] = true
			}
		}
		for shard := range t.store.Shards() {
			if err := t.flushShard(shard, chunk, unsure); err != nil {
				for _, e := range chunk {
					e.touched.Store(true)
					e.unsure.Store(e.unsure.Load() || unsure[e])
				}
				t.log.Warn("touches not written", zap.Int("channels", len(chunk)), zap.Error(err))
				break
			}
		}
	}
}

func (t *Tracker) flushShard(shard int, touched []*entry, unsure map[*entry]bool) error {
	var shorts []string
	byShort := make(map[string]*entry, len(touched))
	for _, e := range touched {
		for room := range e.wanted() {
			if t.store.Shard(room) == shard {
				shorts = append(shorts, e.short)
				byShort[e.short] = e
				break
			}
		}
	}
	if len(shorts) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(t.ctx, writeTimeout)
	defer cancel()
	missing, err := t.store.Touch(ctx, shard, t.layer.NodeID(), shorts)
	if err != nil {
		return err
	}
	for _, short := range missing {
		t.reassert(ctx, byShort[short], shard)
	}
	// A channel that was pruned from some of its rooms is still in the others.
	for _, e := range byShort {
		e.mu.Lock()
		evicted := len(e.evicted) > 0
		e.mu.Unlock()
		if evicted || unsure[e] {
			t.reassert(ctx, e, shard)
		}
	}
	return nil
}

// reassert adds a channel of this node again to the rooms of a shard that it
// should be in.
func (t *Tracker) reassert(ctx context.Context, e *entry, shard int) {
	if !e.lock() {
		return
	}
	defer t.ledger.unlock(e)
	if _, open := t.layer.Channel(e.channel); !open {
		return
	}
	for room, member := range e.wanted() {
		if t.store.Shard(room) != shard {
			continue
		}
		if _, _, err := t.add(ctx, e, room, member); err != nil {
			t.log.Warn("presence not added again", zap.String("room", room), zap.Error(err))
		}
	}
}

// reassertLater adds everything of this node in a shard again, which its rows
// are missing from.
func (t *Tracker) reassertLater(shard int) {
	t.spawn(func() {
		slots := make(chan struct{}, maxOps)
		for _, e := range t.ledger.all() {
			select {
			case slots <- struct{}{}:
			case <-t.ctx.Done():
				return
			}
			t.spawn(func() {
				defer func() { <-slots }()
				t.reassert(t.ctx, e, shard)
			})
		}
	})
}

// renew signs the leases, and carries on with leaving where Redis was away.
func (t *Tracker) renew() {
	ctx, cancel := context.WithTimeout(t.ctx, writeTimeout)
	defer cancel()
	for _, w := range t.writers {
		if err := w.renew(ctx); err != nil {
			t.log.Warn("lease not renewed", zap.Int("shard", w.shard), zap.Error(err))
			return
		}
	}
	t.ledger.entries.Range(func(_, v any) bool {
		return t.carryOn(ctx, v.(*entry)) == nil
	})
}

var _ groups.Listener = (*localRoom)(nil)
