package conformance_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// What is written while the handler of a room is stuck is written, in that room
// and in others, and other rooms' handlers are called. At most 128 calls wait:
// the rest becomes one bulk change, which says how the room is.
func TestAStuckHandlerLosesNoWrite(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		stuck, entered := make(chan struct{}), make(chan struct{}, 1)
		n := newNode(t, s, config{change: func(c presence.Change) {
			if c.Room == "lobby" {
				select {
				case entered <- struct{}{}:
				default:
				}
				<-stuck
			}
		}})
		release := sync.OnceFunc(func() { close(stuck) })
		defer release()
		n.Enter(t, "lobby", "user")
		<-entered
		const more = 200
		var last presence.Revision
		for i := range more {
			last = n.add(t, "lobby", n.Open(t), fmt.Sprint("user", i))
		}
		n.Enter(t, "garden", "ana")
		redistest.Eventually(t, patience, func() error {
			for _, c := range n.Changes() {
				if c.Room == "garden" {
					return nil
				}
			}
			return fmt.Errorf("the other room's handler was not called")
		})
		if counts, err := n.Counts(t.Context(), "lobby"); err != nil || counts.Presences != more+1 {
			t.Errorf("%+v, %v", counts, err)
		}
		release()
		// One under way, 127 waiting, and one for the rest; and the garden.
		changes := n.heard(t, 1+128+1)
		bulk := changes[len(changes)-1]
		if !bulk.Bulk || len(bulk.Added) != 0 || bulk.Counts.Presences != more+1 || bulk.Counts.Revision != last {
			t.Errorf("the last change is %+v", bulk)
		}
		singles := 0
		for _, c := range changes[:len(changes)-1] {
			if c.Bulk {
				t.Errorf("change %+v", c)
			}
			if c.Room == "lobby" {
				singles++
			}
		}
		if singles != 128 {
			t.Errorf("%d single changes, want 128", singles)
		}
		// It goes on with single changes.
		if c := n.told(t, "lobby"); c[len(c)-1].Counts.Revision != last {
			t.Errorf("%+v", c[len(c)-1])
		}
	})
}

// A handler that ends its goroutine, as a test's Fatal does, is a panic's like:
// the next change is heard.
func TestAHandlerThatExitsItsGoroutineHoldsNoRoom(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, config{change: func(presence.Change) { runtime.Goexit() }})
		for i := range 3 {
			n.Enter(t, "lobby", fmt.Sprint("user", i))
			n.heard(t, i+1)
		}
	})
}

// A closing tracker waits for a slow handler, but not for longer than it may.
func TestCloseWaitsForHandlersUpToItsContext(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		stuck := make(chan struct{})
		n := newNode(t, s, config{change: func(presence.Change) { <-stuck }})
		n.Enter(t, "lobby", "ana")
		ctx, cancel := context.WithCancel(t.Context())
		closed := make(chan error, 1)
		go func() { closed <- n.Tracker.Close(ctx) }()
		redistest.Eventually(t, patience, func() error {
			counts, err := n.Counts(t.Context(), "lobby")
			if err == nil && counts.Presences != 0 {
				err = fmt.Errorf("%+v", counts)
			}
			return err
		})
		cancel()
		if err := <-closed; err == nil {
			t.Error("closed while the handler runs")
		}
		close(stuck)
	})
}
