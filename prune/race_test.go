package prune_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// outcomes are what a watcher was told of channels.
type outcomes struct {
	mu         sync.Mutex
	left, came map[string]int
}

func (o *outcomes) follow(t *testing.T, n *node, room string) {
	t.Helper()
	w, err := n.Watch(t.Context(), room, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.left, o.came = map[string]int{}, map[string]int{}
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		defer w.Close()
		for {
			d, err := w.Next(ctx)
			if err != nil {
				return
			}
			o.mu.Lock()
			for _, p := range d.Removed {
				o.left[p.Channel]++
			}
			for _, p := range d.Added {
				o.came[p.Channel]++
			}
			o.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		stop()
		work.Wait()
	})
}

// Row 31: two sweepers meet touches at the moment of expiry. Each channel is
// removed once, by one of them, or the touch wins and nobody hears of it. Who was
// removed and has given a sign of life is there again soon.
func TestSweepersRaceATouch(t *testing.T) {
	const rounds, channels, maxAge = 30, 20, time.Second
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		owner, first, second := newNode(t, s, maxAge), newNode(t, s, maxAge), newNode(t, s, maxAge)
		var told outcomes
		told.follow(t, second, "lobby")
		swept := 0
		for round := range rounds {
			silent, loud := make([]*groups.Channel, channels), make([]*groups.Channel, channels)
			for i := range channels {
				silent[i], loud[i] = owner.Enter(t, "lobby", "ana"), owner.Enter(t, "lobby", "ben")
			}
			for i := range channels {
				owner.Age(t, silent[i], maxAge+time.Second)
				owner.Age(t, loud[i], maxAge-time.Duration(i%4)*time.Millisecond) // it expires about now
			}
			var race sync.WaitGroup
			removals := make(chan presence.Departure, 8*channels)
			for _, n := range []*node{first, second} {
				race.Go(func() {
					changes, err := n.pruner.Presences(t.Context())
					if err != nil {
						t.Error(err)
					}
					for _, c := range changes {
						for _, d := range c.Removed {
							removals <- d
						}
					}
				})
			}
			race.Go(func() {
				var shorts []string
				for _, c := range loud {
					_, short, _ := groups.SplitChannel(c.Name())
					shorts = append(shorts, short)
				}
				<-time.After(rand.N(2 * time.Millisecond)) // a sweep reads before it removes
				// What a flush does, at once.
				if _, err := owner.Store().Touch(t.Context(), owner.Store().Shard("lobby"), owner.Layer.NodeID(), shorts); err != nil {
					t.Error(err)
				}
			})
			race.Wait()
			close(removals)
			by := map[string]int{}
			for d := range removals {
				by[d.Channel]++
			}
			for _, c := range silent {
				if by[c.Name()] != 1 {
					t.Errorf("round %d: %s was removed %d times", round, c.Name(), by[c.Name()])
				}
			}
			for _, c := range loud {
				if n := by[c.Name()]; n > 1 {
					t.Errorf("round %d: %s, which was touched, was removed %d times", round, c.Name(), n)
				} else {
					swept += n
				}
				owner.Touch(c.Name())
			}
			redistest.Eventually(t, 30*time.Second, func() error {
				counts, err := owner.Counts(t.Context(), "lobby")
				if err == nil && counts.Presences != channels {
					err = fmt.Errorf("%d presences, want the %d that gave signs of life", counts.Presences, channels)
				}
				return err
			})
			for _, c := range loud {
				if _, err := owner.LeaveAll(t.Context(), c.Name(), presence.Left); err != nil {
					t.Fatal(err)
				}
			}
			for _, c := range append(silent, loud...) {
				_ = c.Close()
			}
		}
		redistest.Eventually(t, 30*time.Second, func() error {
			told.mu.Lock()
			defer told.mu.Unlock()
			for channel, n := range told.came {
				if n != told.left[channel] {
					return fmt.Errorf("%s came %d times and left %d times", channel, n, told.left[channel])
				}
			}
			return nil
		})
		t.Logf("%d of %d touches came too late", swept, rounds*channels)
	})
}
