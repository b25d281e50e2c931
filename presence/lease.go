package presence

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/luascripts"
)

const (
	renewals = 3  // per lease
	retries  = 10 // per lease, while renewing fails
)

// renewing signs the lease of this node in a shard until the tracker is closed, and
// completes the removals that had to wait for Redis.
func (w *writer) renewing() {
	t := w.tracker
	next := t.opts.Lease / renewals
	for {
		// A little less, so that the nodes of a fleet do not sign together.
		if sleep(t.ctx, next-rand.N(next/8+1)) != nil {
			return
		}
		next = t.opts.Lease / renewals
		if err := w.renew(); err != nil {
			next = t.opts.Lease / retries
			continue
		}
		t.carryOnAll()
	}
}

// renew signs the lease. A loss of data in Redis is noticed here at the latest.
func (w *writer) renew() error {
	t := w.tracker
	w.mu.lock()
	defer w.mu.unlock()
	// Stuck with a master that is gone, this must leave time to sign at its successor.
	ctx, cancel := context.WithTimeout(t.ctx, min(writeTimeout, t.opts.Lease*3/4))
	defer cancel()
	number := w.number
	if w.doubt != nil {
		number-- // the last one that is known to be written
	}
	pulse := t.layer.Pulse(w.shard)
	connection, start := pulse.Connection(), time.Now()
	epoch, heard, err := t.store.Renew(ctx, w.shard, w.registration, w.incarnation.ID, number)
	switch {
	case errors.Is(err, luascripts.ErrFenced):
		err = w.register(errors.Is(err, luascripts.ErrLost))
	case err == nil && epoch != w.incarnation.Epoch:
		t.log.Warn("data was lost, adding presences again", zap.Int("shard", w.shard))
		w.incarnation.Epoch, w.lost = epoch, true
		w.heal()
	}
	if err == nil {
		w.signed.note(t, start)
	}
	if err == nil && !heard {
		pulse.Doubt(connection)
	}
	w.note(err)
	if err != nil {
		t.outages.Away(w.shard, err)
	} else {
		t.outages.Back(w.shard)
	}
	return err
}

// carryOnAll writes the removals that are still owed, in the background so that no
// lease waits for them.
func (t *Tracker) carryOnAll() {
	if !t.owing.Load() || !t.carrying.CompareAndSwap(false, true) {
		return
	}
	t.spawn(func() {
		defer t.carrying.Store(false)
		t.owing.Store(false)
		ctx, cancel := context.WithTimeout(t.ctx, writeTimeout)
		defer cancel()
		_ = concurrently(ctx, t.ledger.all(), func(e *entry) error { return t.carryOn(ctx, e) }) // what fails is still owed
		if ctx.Err() != nil {
			t.owing.Store(true)
		}
	})
}
