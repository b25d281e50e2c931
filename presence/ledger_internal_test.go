package presence

import (
	"sync"
	"sync/atomic"
	"testing"
)

// An entry that is forgotten while somebody waits for it keeps nobody out, so
// that one must look again.
func TestOperationsOnOneChannelRunOneAfterTheOther(t *testing.T) {
	var l ledger
	var inside atomic.Int32
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			for range 5000 {
				var e *entry
				if i%2 == 0 {
					e, _ = l.lock(t.Context(), "1", "node!1")
				} else if e, _ = l.lockKnown(t.Context(), "1"); e == nil {
					continue
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d operations at once", n)
				}
				inside.Add(-1)
				l.unlock(e)
			}
		})
	}
	work.Wait()
	if len(l.all()) != 0 {
		t.Error("an entry without rooms is kept")
	}
}
