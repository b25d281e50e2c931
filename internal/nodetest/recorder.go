package nodetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// Recorder keeps what the handlers of a node hear, in order. The zero value is ready.
type Recorder struct {
	mu      sync.Mutex
	changes []presence.Change
	evicted []presence.Eviction
}

// Record returns options whose handlers keep what they hear, and then call those of o.
func (r *Recorder) Record(o presence.Options) *presence.Options {
	onChange, onEvict := o.OnChange, o.OnEvict
	o.OnChange = func(ctx context.Context, t *presence.Tracker, c presence.Change) {
		r.mu.Lock()
		r.changes = append(r.changes, c)
		r.mu.Unlock()
		if onChange != nil {
			onChange(ctx, t, c)
		}
	}
	o.OnEvict = func(ctx context.Context, t *presence.Tracker, e presence.Eviction) {
		r.mu.Lock()
		r.evicted = append(r.evicted, e)
		r.mu.Unlock()
		if onEvict != nil {
			onEvict(ctx, t, e)
		}
	}
	return &o
}

// Changes returns the changes so far.
func (r *Recorder) Changes() []presence.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.changes)
}

// Evicted returns the evictions so far.
func (r *Recorder) Evicted() []presence.Eviction {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.evicted)
}

// TakeChanges is [Recorder.Changes], and keeps them no more.
func (r *Recorder) TakeChanges() []presence.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	changes := r.changes
	r.changes = nil
	return changes
}

// TakeEvicted is [Recorder.Evicted], and keeps them no more.
func (r *Recorder) TakeEvicted() []presence.Eviction {
	r.mu.Lock()
	defer r.mu.Unlock()
	evicted := r.evicted
	r.evicted = nil
	return evicted
}

// Heard waits until there were so many changes in all, and returns them. One more is a
// failure.
func (r *Recorder) Heard(t testing.TB, timeout time.Duration, want int) []presence.Change {
	t.Helper()
	var got []presence.Change
	redistest.Eventually(t, timeout, func() error {
		if got = r.Changes(); len(got) < want {
			return fmt.Errorf("%d changes heard, want %d", len(got), want)
		}
		return nil
	})
	if len(got) != want {
		t.Fatalf("%d changes heard, want %d: %+v", len(got), want, got)
	}
	return got
}
