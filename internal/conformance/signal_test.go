package conformance_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

var signalRows = []row{
	{"presence_changed", "where", signalWhere},
	{"presence_changed", "a receiver that fails", signalFails},
	{"presence_changed", "inside a write", signalOutsideWrites},
	{"presence_changed", "inside a write: order in one room", signalOrder},
	{"presence_changed", "rows deleted by cascade", signalForEachRow},
}

// The handler is called in the process that made the change; who watches the
// room hears of it in every process.
func signalWhere(t *testing.T, s *redistest.Server) {
	nodes := fleet(t, s, 3, config{})
	var watchers []*presence.Watcher
	for _, n := range nodes {
		w, err := n.Watch(t.Context(), "lobby", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		watchers = append(watchers, w)
	}
	ch := nodes[0].Enter(t, "lobby", "ana")
	for _, w := range watchers {
		if d, err := w.Next(t.Context()); err != nil || len(d.Added) != 1 || d.Added[0].Channel != ch.Name() {
			t.Errorf("%+v, %v", d, err)
		}
	}
	nodes[0].heard(t, 1)
	// Asked for elsewhere, it is made by the node that holds the channel.
	if _, err := nodes[1].Remove(t.Context(), "lobby", ch.Name()); err != nil {
		t.Fatal(err)
	}
	if c := nodes[0].heard(t, 2)[1]; c.Removed[0].Reason != presence.RemovedByOther {
		t.Errorf("change %+v", c)
	}
	for _, n := range nodes[1:] {
		if c := n.Changes(); len(c) != 0 {
			t.Errorf("a node that made no change heard %+v", c)
		}
	}
}

// A leave-all of three rooms, whose handler panics each time, leaves all three.
func signalFails(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, config{change: func(presence.Change) { panic("receiver") }})
	ch := n.Open(t)
	for _, room := range []string{"one", "two", "three"} {
		n.add(t, room, ch, "ana")
	}
	left, err := n.LeaveAll(t.Context(), ch.Name(), presence.Disconnected)
	if err != nil || len(left) != 3 {
		t.Errorf("left %v, %v", left, err)
	}
	n.heard(t, 6)
	for _, room := range []string{"one", "two", "three"} {
		if state, err := present(t.Context(), n, room); err != nil || len(state) != 0 {
			t.Errorf("present in %s: %q, %v", room, state, err)
		}
	}
	redistest.Eventually(t, patience, func() error {
		if n.Logs.FilterMessageSnippet("panicked").Len() == 0 {
			return fmt.Errorf("no panic in the log: %v", n.Logs.All())
		}
		if panics := n.Stats().HandlerPanics; panics != 6 {
			return fmt.Errorf("%d panics counted, want 6", panics)
		}
		return nil
	})
}

// Writes do not wait for the handler, of their own room or of another, and a
// slow one is reported.
func signalOutsideWrites(t *testing.T, s *redistest.Server) {
	stalled, began := make(chan struct{}), make(chan time.Time, 10)
	n := newNode(t, s, config{change: func(c presence.Change) {
		if c.Room == "slow" {
			began <- time.Now()
			<-stalled
		}
	}})
	release := sync.OnceFunc(func() { close(stalled) })
	defer release()
	ch := n.Enter(t, "slow", "ana")
	n.add(t, "slow", n.Open(t), "ben") // the same room
	n.add(t, "other", ch, "ana")       // another
	if _, err := n.LeaveAll(t.Context(), ch.Name(), presence.Left); err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, patience, func() error {
		var other int
		for _, c := range n.Changes() {
			if c.Room == "other" {
				other++
			}
		}
		if other != 2 {
			return fmt.Errorf("%d changes of the other room heard, want 2", other)
		}
		return nil
	})
	start := <-began
	redistest.Eventually(t, patience, func() error {
		if since := time.Since(start); since < 1100*time.Millisecond {
			return fmt.Errorf("the handler is slow after a second, not after %v", since)
		}
		return nil
	})
	release()
	redistest.Eventually(t, patience, func() error {
		if n.Logs.FilterMessageSnippet("slow").Len() == 0 {
			return fmt.Errorf("not reported: %v", n.Logs.All())
		}
		return nil
	})
	n.heard(t, 5) // nothing is lost
}

// The handler hears the changes of one room in the order in which they happened.
func signalOrder(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, config{})
	var writers sync.WaitGroup
	for i := range 4 {
		ch := n.Open(t)
		writers.Go(func() {
			for j := range 20 {
				if _, _, err := n.Add(t.Context(), "lobby", ch.Name(), presence.Member{User: fmt.Sprint("user", i, j)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	var last presence.Revision
	for _, c := range n.heard(t, 80) {
		// Changes of one script have one revision.
		if c.Counts.Revision < last {
			t.Fatalf("revision %d after %d", c.Counts.Revision, last)
		}
		last = c.Counts.Revision
	}
}

// replay applies changes to a room, in the order of their revisions.
func replay(t *testing.T, room string, nodes ...*node) []string {
	t.Helper()
	var changes []presence.Change
	for _, n := range nodes {
		changes = append(changes, n.Changes()...)
	}
	slices.SortStableFunc(changes, func(a, b presence.Change) int { return int(a.Counts.Revision - b.Counts.Revision) })
	state := map[string]string{}
	for _, c := range changes {
		if c.Room != room {
			continue
		}
		for _, d := range c.Removed {
			if user, ok := state[d.Channel]; !ok || user != d.User {
				t.Errorf("%s of %q departs, and was there as %q, %v", d.Channel, d.User, user, ok)
			}
			delete(state, d.Channel)
		}
		for _, p := range c.Added {
			if user, ok := state[p.Channel]; ok {
				t.Errorf("%s of %q arrives, and was there as %q", p.Channel, p.User, user)
			}
			state[p.Channel] = p.User
		}
	}
	return slices.Sorted(maps.Keys(state))
}

// Whatever changes the state is told: the changes alone give the state.
func signalForEachRow(t *testing.T, s *redistest.Server) {
	nodes := fleet(t, s, 2, config{})
	n, other := nodes[0], nodes[1]
	var stay []string
	for i, by := range []*node{n, other, n, other, n, other} {
		ch := by.Enter(t, "lobby", "ana")
		switch i {
		case 0:
			by.add(t, "lobby", ch, "ben")
			stay = append(stay, ch.Name())
		case 1:
			stay = append(stay, ch.Name())
		case 2:
			if _, err := other.LeaveAll(t.Context(), ch.Name(), presence.Left); err != nil {
				t.Fatal(err)
			}
		case 3:
			by.Age(t, ch, time.Hour)
			if _, err := n.Pruner.Presences(t.Context()); err != nil {
				t.Fatal(err)
			}
		case 4:
			if err := ch.Close(); err != nil { // who closes a channel has it leave, too
				t.Fatal(err)
			}
			if _, err := by.LeaveAll(t.Context(), ch.Name(), presence.Disconnected); err != nil {
				t.Fatal(err)
			}
		}
	}
	leaver := newNode(t, s, config{})
	leaver.Enter(t, "lobby", "eve")
	if err := leaver.Tracker.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := leaver.heard(t, 2)[1]; c.Removed[0].Reason != presence.Drained {
		t.Errorf("change %+v", c)
	}
	if _, err := n.Pruner.Rooms(t.Context()); err != nil {
		t.Fatal(err)
	}
	state, err := present(t.Context(), n, "lobby")
	if err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, patience, func() error {
		if heard := len(n.Changes()) + len(other.Changes()); heard != 10 {
			return fmt.Errorf("%d changes heard, want 10", heard)
		}
		return nil
	})
	if told := replay(t, "lobby", n, other, leaver); !slices.Equal(told, state) || len(state) != 3 {
		t.Errorf("told of %q, present %q", told, state)
	}
	for _, name := range stay {
		if !strings.Contains(strings.Join(state, " "), name) {
			t.Errorf("%s is gone", name)
		}
	}
}
