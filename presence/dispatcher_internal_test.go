package presence

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
)

// Evictions come while a closing node waits for its handlers.
func TestCallsThatComeWhileOthersAreWaitedFor(t *testing.T) {
	for range 200 {
		d := newDispatcher(nil, zap.NewNop())
		var called atomic.Int64
		var work sync.WaitGroup
		for range 4 {
			work.Go(func() { d.do(func() { called.Add(1) }) })
			work.Go(func() {
				if err := d.wait(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
		if err := d.wait(context.Background()); err != nil || called.Load() != 4 {
			t.Fatalf("%d calls, %v", called.Load(), err)
		}
	}
}
