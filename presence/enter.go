package presence

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/luascripts"
)

// enterTimeout bounds all tries in one shard. A new client of a cluster may spend the
// first 5 s with a master that does not answer.
const enterTimeout = 8 * time.Second

// enter registers the node in all shards and starts the renewal of its leases. It
// returns an error if all shards are away, or if the node is refused.
func (t *Tracker) enter(ctx context.Context) error {
	errs := make([]error, len(t.writers))
	var work sync.WaitGroup
	for shard, w := range t.writers {
		work.Go(func() {
			if errs[shard] = w.enter(ctx); errs[shard] == nil {
				t.work.Go(w.renewing) // at once: the others may take longer than a lease
			}
		})
	}
	work.Wait()
	away := make(luascripts.Away)
	for shard, err := range errs {
		if err == nil {
			continue
		}
		if typed := unavailable(err); ctx.Err() != nil || !errors.Is(typed, ErrUnavailable) {
			return typed
		}
		away[shard] = err
	}
	if len(away) == len(t.writers) {
		return unavailable(away.Err())
	}
	if len(away) > 0 {
		t.log.Warn("node has not joined all shards yet", zap.Ints("shards", slices.Sorted(maps.Keys(away))), zap.Error(away.Err()))
	}
	for shard, err := range away {
		t.writers[shard].enterLater(err)
	}
	return nil
}

// enter begins the first incarnation. It tries again if a cluster refuses because the
// slot is moving or its master is being replaced, as that may pass soon.
func (w *writer) enter(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, enterTimeout)
	defer cancel()
	for {
		w.incarnation, err = w.tracker.store.Register(ctx, w.shard, w.registration, "", false)
		if !luascripts.Passing(err) || sleep(ctx, recoverEvery) != nil {
			return err
		}
	}
}

// enterLater keeps asking a shard until it is back. Without an incarnation, the node is
// to the shard like one that was forgotten.
func (w *writer) enterLater(why error) {
	w.mu.lock()
	w.note(why)
	w.mu.unlock()
	w.tracker.work.Go(w.renewing)
}
