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

// Many have left while Redis was away, over a slow network. The node signs its
// lease while it writes that, so that nobody takes it for dead.
func TestALeaseDoesNotWaitForLeavesThatAreOwed(t *testing.T) {
	const lease, many = 2 * time.Second, 300
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		link := s.NewLink(t)
		client := link.NewClient(t, func(o *redis.UniversalOptions) { o.ContextTimeoutEnabled = true })
		a, b := startNode(t, client, nil, presence.Options{Lease: lease}), newNode(t, s, presence.Options{Lease: lease})
		a.add(t, "lobby", a.open(t), "ana") // stays
		leaving := make([]string, many)
		for i := range leaving {
			leaving[i] = a.open(t)
			a.add(t, "lobby", leaving[i], fmt.Sprint("user", i))
		}
		pruner, err := prune.New(b.Tracker, &prune.Options{Interval: lease / 10})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		var sweeping sync.WaitGroup
		sweeping.Go(func() { _ = pruner.Run(ctx) })
		defer sweeping.Wait()
		defer stop()
		follow(t, b, "lobby", func(d presence.Diff) {
			for _, p := range d.Removed {
				if p.Reason == presence.NodeLost {
					t.Errorf("told that %s left: %v", p.Channel, p.Reason)
				}
			}
		})

		link.Cut()
		for _, c := range leaving {
			if _, err := a.LeaveAll(t.Context(), c, presence.Disconnected); err == nil {
				t.Fatal("left though Redis is away")
			}
		}
		link.Heal()
		link.Delay(25*time.Millisecond, 0)
		start := time.Now()
		redistest.Eventually(t, time.Minute, func() error {
			c, err := b.Counts(t.Context(), "lobby")
			if err == nil && c.Presences != 1 {
				err = fmt.Errorf("%d presences", c.Presences)
			}
			return err
		})
		if took := time.Since(start); took > lease {
			t.Errorf("%d leaves took %v", many, took)
		}
		redistest.Advance(t, 2*lease)
	})
}
