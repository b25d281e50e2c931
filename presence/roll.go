package presence

import (
	"context"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
)

const (
	rollOver      = 5   // all channels are asserted again once per this many max ages, just in case
	recountAtOnce = 256 // rooms that are recounted at once
)

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
