package presence_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// follow calls f with each diff of a room until the test ends.
func follow(t *testing.T, n *node, room string, f func(presence.Diff)) {
	t.Helper()
	w := watch(t, n, room, nil)
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for {
			d, err := w.Next(ctx)
			if err != nil {
				return
			}
			f(d)
		}
	})
	t.Cleanup(func() {
		stop()
		work.Wait()
	})
}

// Row 30: a leave is held up on its way, for less than the lease or for so long
// that the node is taken for dead, and its user is back before it arrives: on the
// same channel, and on another node. It removes neither.
func TestALeaveThatComesLate(t *testing.T) {
	const lease = time.Second
	for name, c := range map[string]struct {
		grace time.Duration
		held  time.Duration
	}{
		"soon":               {0, lease / 10},
		"after the lease":    {0, 2 * lease},
		"soon, with a grace": {time.Millisecond, lease / 10},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				t.Parallel() // they mostly wait
				link := s.NewLink(t)
				client := link.NewClient(t, func(o *redis.UniversalOptions) {
					o.ContextTimeoutEnabled, o.ReadTimeout = true, 500*time.Millisecond
				})
				// The other is not lost on a busy machine, too.
				a, b := startNode(t, client, nil, presence.Options{Lease: lease}), newNode(t, s, presence.Options{Lease: 30 * lease})
				pruner, err := prune.New(b.Tracker, &prune.Options{Interval: lease / 10})
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(context.Background())
				var sweeping sync.WaitGroup
				sweeping.Go(func() { _ = pruner.Run(ctx) })
				defer sweeping.Wait()
				defer stop()

				old, elsewhere := a.open(t), b.open(t)
				add := func() error {
					_, _, err := a.Add(t.Context(), "lobby", old, presence.Member{User: "ana"})
					return err
				}
				redistest.Eventually(t, patience, add)
				var mu sync.Mutex
				var removed []string
				follow(t, b, "lobby", func(d presence.Diff) {
					mu.Lock()
					defer mu.Unlock()
					for _, p := range d.Removed {
						removed = append(removed, p.Channel)
					}
				})

				link.Freeze(redistest.Up)
				leaving, cancel := context.WithTimeout(t.Context(), lease/20)
				defer cancel()
				if _, err := a.LeaveAllAfter(leaving, old, presence.Disconnected, c.grace); err == nil {
					t.Fatal("a leave over a frozen link")
				}
				b.add(t, "lobby", elsewhere, "ana")
				var back sync.WaitGroup
				back.Go(func() { redistest.Eventually(t, patience, add) })
				after := time.NewTimer(c.held)
				defer after.Stop()
				<-after.C
				link.Heal() // now it arrives
				back.Wait()

				both := func() error {
					s, err := b.Snapshot(t.Context(), "lobby")
					if err == nil && (len(s.Presences) != 2 || s.Counts.Users != 1) {
						err = fmt.Errorf("%+v", s)
					}
					return err
				}
				redistest.Eventually(t, patience, both)
				for range 10 { // and nothing comes later still
					after.Reset(lease / 10)
					<-after.C
					if err := both(); err != nil {
						t.Fatal(err)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				for _, channel := range removed {
					if channel == elsewhere {
						t.Errorf("told of departures %q", removed)
					}
				}
				if len(removed) > 1 {
					t.Errorf("told of departures %q, one at most is true", removed)
				}
			})
		})
	}
}

// Row 30: one user on two nodes, whose connections come and go at once. While one
// of them is there, the user is.
func TestOneUserOnTwoNodes(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{})
		a.add(t, "lobby", a.open(t), "ana") // stays
		for _, n := range []*node{a, b} {
			follow(t, n, "lobby", func(d presence.Diff) {
				if len(d.UsersCame)+len(d.UsersWent) > 0 {
					t.Errorf("told that %q came and %q went", d.UsersCame, d.UsersWent)
				}
			})
		}
		var work sync.WaitGroup
		for _, n := range []*node{a, b} {
			for range 4 {
				c := n.open(t)
				work.Go(func() {
					for range 50 {
						if _, _, err := n.Add(t.Context(), "lobby", c, presence.Member{User: "ana"}); err != nil {
							t.Error(err)
						}
						if _, err := n.LeaveAll(t.Context(), c, presence.Left); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		work.Wait()
		counts, err := b.Counts(t.Context(), "lobby")
		if err != nil || counts.Presences != 1 || counts.Users != 1 {
			t.Errorf("%+v, %v", counts, err)
		}
		for _, n := range []*node{a, b} {
			for _, c := range n.Changes() {
				if len(c.UsersWent) > 0 {
					t.Errorf("change %+v", c)
				}
			}
		}
	})
}
