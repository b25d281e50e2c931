package presence

import (
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// A removal that is owed waits for somebody who uses the channel, for longer than a
// lease. The lease is signed all the same.
func TestALeaseDoesNotWaitForWhatIsOwed(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		tracker := newStranger(t, s)
		ch, err := tracker.layer.NewChannel()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := tracker.Add(t.Context(), "lobby", ch.Name(), Member{}); err != nil {
			t.Fatal(err)
		}
		e := tracker.own(ch.Name())
		if ok, err := e.lock(t.Context()); !ok || err != nil {
			t.Fatal(ok, err)
		}
		unlock := sync.OnceFunc(func() { tracker.ledger.unlock(e) })
		t.Cleanup(unlock)
		e.leave("lobby", departure{why: Left})
		for range 20 {
			tracker.owing.Store(true)
			redistest.Advance(t, time.Second)
			rows, now, err := tracker.store.NodeRows(t.Context(), 0)
			if err != nil || len(rows) != 1 || now.Sub(rows[0].LeasedAt) > defaultLease/2 {
				t.Fatalf("%+v at %v, %v", rows, now, err)
			}
		}
		unlock()
		redistest.Advance(t, defaultLease)
		if counts, err := tracker.Counts(t.Context(), "lobby"); err != nil || counts.Presences != 0 {
			t.Errorf("%+v, %v", counts, err)
		}
	})
}
