package prune_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/nodetest"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

func TestMain(m *testing.M) { redistest.Main(m) }

type node struct {
	*nodetest.Node
	nodetest.Recorder
	pruner *prune.Pruner
}

func newNode(t *testing.T, s *redistest.Server, maxAge time.Duration) *node {
	t.Helper()
	return startNode(t, s, presence.Options{MaxAge: maxAge}, nil)
}

func startNode(t *testing.T, s *redistest.Server, of presence.Options, sweeps *prune.Options) *node {
	t.Helper()
	n := &node{}
	n.Node = nodetest.Start(t, s.NewClient(t), nodetest.Options{Presence: n.Record(of)})
	var err error
	if n.pruner, err = prune.New(n.Tracker, sweeps); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) bulkChanges() []presence.Change {
	return slices.DeleteFunc(n.Changes(), func(c presence.Change) bool { return !c.Bulk })
}

func TestPresencesArePrunedOnceAndReportedInBulk(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := newNode(t, s, time.Minute), newNode(t, s, time.Minute)
		fresh := a.Enter(t, "lobby", "ana")
		var stale []*groups.Channel
		for i := range 450 { // more than one call takes
			stale = append(stale, a.Enter(t, "lobby", fmt.Sprint("user", i)))
		}
		stale = append(stale, b.Enter(t, "garden", ""))
		for _, c := range stale[:450] {
			a.Age(t, c, 61*time.Second)
		}
		b.Age(t, stale[450], 61*time.Second)
		a.Age(t, fresh, 45*time.Second)

		var wg sync.WaitGroup
		found := make([][]presence.Change, 4)
		for i, n := range []*node{a, b, a, b} {
			wg.Go(func() {
				var err error
				if found[i], err = n.pruner.Presences(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		removed := map[string]int{}
		for _, changes := range found {
			for _, c := range changes {
				if !c.Bulk || len(c.Added) != 0 {
					t.Errorf("change %+v", c)
				}
				for _, d := range c.Removed {
					removed[d.Channel]++
					if d.Reason != presence.TimedOut {
						t.Errorf("reason %v", d.Reason)
					}
				}
			}
		}
		for _, c := range stale {
			if removed[c.Name()] != 1 {
				t.Errorf("%s was reported %d times", c.Name(), removed[c.Name()])
			}
		}
		if len(removed) != len(stale) {
			t.Errorf("%d removed, want %d", len(removed), len(stale))
		}
		counts, err := a.CountsOf(t.Context(), "lobby", "garden")
		if err != nil || counts[0].Presences != 1 || counts[0].Users != 1 || counts[1].Presences != 0 {
			t.Errorf("counts %+v, %v", counts, err)
		}
	})
}

func TestAPrunedChannelLeavesItsGroupAndIsTold(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := newNode(t, s, time.Minute), newNode(t, s, time.Minute)
		c := a.Enter(t, "lobby", "ana")
		b.Enter(t, "lobby", "ben")
		a.Age(t, c, time.Hour)
		changes, err := b.pruner.Presences(t.Context())
		if err != nil || len(changes) != 1 {
			t.Fatalf("%+v, %v", changes, err)
		}
		redistest.Eventually(t, 30*time.Second, func() error {
			if evicted := a.Evicted(); len(evicted) != 1 {
				return fmt.Errorf("evicted %+v", evicted)
			}
			return nil
		})
		want := presence.Eviction{Channel: c.Name(), Room: "lobby", Reason: presence.TimedOut}
		if got := a.Evicted()[0]; got != want {
			t.Errorf("evicted %+v, want %+v", got, want)
		}
		if err := b.Layer.GroupSend(t.Context(), "lobby", groups.Message{Type: "hi"}); err != nil {
			t.Fatal(err)
		}
		if err := b.Layer.Send(t.Context(), c.Name(), groups.Message{Type: "direct"}); err != nil {
			t.Fatal(err)
		}
		if m, err := c.Receive(t.Context()); err != nil || m.Type != "direct" {
			t.Errorf("received %q, %v: the pruned channel is still in its group", m.Type, err)
		}
		if got := len(b.bulkChanges()); got != 1 {
			t.Errorf("the pruning node's handler heard %d bulk changes", got)
		}
		if got := len(a.bulkChanges()); got != 0 {
			t.Errorf("the other node's handler heard %d bulk changes", got)
		}
	})
}

func TestRooms(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, time.Minute)
		n.Enter(t, "occupied", "ana")
		for i := range 250 {
			c := n.Enter(t, fmt.Sprint("room", i), "ana")
			if _, err := n.LeaveAll(t.Context(), c.Name(), presence.Left); err != nil {
				t.Fatal(err)
			}
		}
		deleted, err := n.pruner.Rooms(t.Context())
		if err != nil || len(deleted) != 250 {
			t.Errorf("%d deleted, %v", len(deleted), err)
		}
		for room := range n.Tracker.Rooms(t.Context()) {
			if room != "occupied" {
				t.Errorf("room %q is left", room)
			}
		}
	})
}

func TestAgeOfTheCallers(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, time.Minute)
		c := n.Enter(t, "lobby", "ana")
		n.Age(t, c, 10*time.Second)
		for _, bad := range []time.Duration{0, -time.Second} {
			var invalid *presence.InvalidError
			if _, err := n.pruner.PresencesOlderThan(t.Context(), bad); !errors.As(err, &invalid) {
				t.Errorf("age %v: %v", bad, err)
			}
		}
		if changes, err := n.pruner.PresencesOlderThan(t.Context(), time.Minute); err != nil || len(changes) != 0 {
			t.Errorf("a minute: %+v, %v", changes, err)
		}
		changes, err := n.pruner.PresencesOlderThan(t.Context(), 5*time.Second)
		if err != nil || len(changes) != 1 || changes[0].Removed[0].Reason != presence.Pruned {
			t.Errorf("5 s: %+v, %v", changes, err)
		}
	})
}

// A fleet of three nodes on the fake clock: join, send across, touch, and a
// silent connection pruned after its max age and no later than a sweep more.
// A call that its caller gave up says nothing about Redis.
func TestACancelledSweepIsNoOutage(t *testing.T) {
	n := newNode(t, redistest.Mini(t), time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, presences := n.pruner.Presences(ctx)
	_, rooms := n.pruner.Rooms(ctx)
	for name, err := range map[string]error{"presences": presences, "rooms": rooms} {
		if !errors.Is(err, context.Canceled) || errors.Is(err, presence.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFleetOnTheFakeClock(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		ctx, cancel := context.WithCancel(context.Background())
		var runs sync.WaitGroup
		t.Cleanup(func() { cancel(); runs.Wait() })
		nodes := make([]*node, 3)
		for i := range nodes {
			nodes[i] = newNode(t, s, time.Minute)
			runs.Go(func() { _ = nodes[i].pruner.Run(ctx) }) // ends with ctx
		}
		lively, silent := nodes[0].Enter(t, "lobby", "ana"), nodes[1].Enter(t, "lobby", "ben")
		if err := nodes[2].Layer.GroupSend(ctx, "lobby", groups.Message{Type: "hi"}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []*groups.Channel{lively, silent} {
			if m, err := c.Receive(ctx); err != nil || m.Type != "hi" {
				t.Errorf("received %+v, %v", m, err)
			}
		}
		joined := time.Now()
		var silentFor time.Duration
		for time.Since(joined) < 3*time.Minute {
			redistest.Advance(t, time.Second)
			nodes[0].Touch(lively.Name())
			counts, err := nodes[2].Counts(ctx, "lobby")
			if err != nil {
				t.Fatal(err)
			}
			if counts.Presences == 2 {
				silentFor = time.Since(joined)
			}
		}
		if silentFor < 59*time.Second || silentFor > 66*time.Second {
			t.Errorf("the silent connection was there for %v, want 60 s and a sweep", silentFor)
		}
		users, err := nodes[2].Users(ctx, "lobby")
		if err != nil || len(users) != 1 || users[0] != "ana" {
			t.Errorf("users %v, %v", users, err)
		}
		bulk := 0
		for _, n := range nodes {
			bulk += len(n.bulkChanges())
		}
		if bulk != 1 {
			t.Errorf("%d bulk changes in the fleet, want 1", bulk)
		}

		// The pruned one speaks again, and is added again.
		nodes[1].Touch(silent.Name())
		redistest.Eventually(t, 30*time.Second, func() error {
			if c, err := nodes[2].Counts(ctx, "lobby"); err != nil || c.Users != 2 {
				return fmt.Errorf("%+v, %v", c, err)
			}
			return nil
		})
	})
}
