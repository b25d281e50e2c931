package presence

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// Redis loses everything under three nodes: no watcher is told of a departure of
// anybody who is connected, and all is in Redis again, as it was.
func TestLostDataIsNoDeparture(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		nodes := []stranger{newStranger(t, s), newStranger(t, s), newStranger(t, s)}
		for i := range 30 {
			n := nodes[i%3]
			c, err := n.layer.NewChannel()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := n.Add(t.Context(), "lobby", c.Name(), Member{User: fmt.Sprint("user", i), Info: []byte("hi")}); err != nil {
				t.Fatal(err)
			}
			redistest.Advance(t, 7*time.Millisecond)
		}
		w, err := nodes[0].Watch(t.Context(), "lobby", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		was := w.Start()
		for _, lose := range []func(){s.Flush, func() { s.Restart(true) }, func() { s.Mini().Del(nodes[0].store.Room("lobby")) }} {
			lose()
			healing := false
			for range 40 {
				redistest.Advance(t, time.Second/2)
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				d, err := w.Next(ctx)
				cancel()
				if err == nil && !d.empty() {
					t.Fatalf("a diff: %+v", d)
				}
				if err == nil {
					healing = d.Counts.Healing
				}
			}
			if healing {
				t.Error("the end of healing is not told")
			}
			is, err := nodes[1].Snapshot(t.Context(), "lobby")
			if err != nil || len(is.Presences) != 30 || is.Counts.Healing {
				t.Fatalf("%+v, %v", is.Counts, err)
			}
			for i, p := range is.Presences {
				if !same(&p, &was.Presences[i]) {
					t.Errorf("%+v, was %+v", p, was.Presences[i])
				}
			}
			if w.Counts() != is.Counts {
				t.Errorf("the view has %+v, Redis %+v", w.Counts(), is.Counts)
			}
		}
	})
}

// While a node looks through its views for who is missing, somebody is found missing in
// one that it has looked at. The look begins with any of them, so it is done often.
func TestWhoIsMissedTooLateIsSoughtAgain(t *testing.T) {
	s := redistest.Mini(t)
	for range 20 {
		n := newStranger(t, s)
		seen, next := viewOf(t, n, "lobby"), viewOf(t, n, "den")
		next.mu.Lock()
		n.seekMissing()
		redistest.Eventually(t, 30*time.Second, func() error {
			if n.views.mu.TryLock() {
				n.views.mu.Unlock()
				return errors.New("it does not look")
			}
			return nil
		})
		ghost := n.layer.NodeID() + "!ghost"
		seen.mu.Lock()
		seen.put(Presence{Channel: ghost})
		seen.missing.suspicious = true
		seen.missing.keep(ghost)
		seen.missing.settle()
		n.seekMissing()
		seen.mu.Unlock()
		next.mu.Unlock()
		redistest.Eventually(t, 30*time.Second, func() error {
			seen.mu.Lock()
			defer seen.mu.Unlock()
			if seen.missing.any() || len(seen.members) > 0 {
				return fmt.Errorf("missing %v of %v", seen.missing.channels, seen.members)
			}
			return nil
		})
	}
}

func viewOf(t *testing.T, n stranger, room string) *view {
	t.Helper()
	w, err := n.Watch(t.Context(), room, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w.view
}

// The connection was lost, somebody left meanwhile, and a read of the room takes longer
// than its node takes to confirm who is there, again and again.
func TestARoomThatIsSlowToReadHeals(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, server *redistest.Server) {
		s := newStage(t, server, maxWhole)
		s.remove(0)
		var slow func()
		slow = func() {
			s.reads.then("hgetall", slow)
			time.Sleep(400 * time.Millisecond)
		}
		s.reads.then("hgetall", slow)
		s.w.view.Gap()
		redistest.Advance(t, time.Minute)
		s.right()
		if n := s.reads.of("hgetall"); n > 3 {
			t.Errorf("read %d times", n)
		}
	})
}
