package presence

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestWatchCounts(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newStranger(t, s)
		w, err := n.WatchCounts(t.Context(), "lobby", &WatchOptions{MinInterval: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		for i := range 50 {
			c, err := n.layer.NewChannel()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := n.Add(t.Context(), "lobby", c.Name(), Member{User: fmt.Sprint(i % 5)}); err != nil {
				t.Fatal(err)
			}
		}
		redistest.Advance(t, time.Second)
		got, err := w.Next(t.Context())
		if err != nil || got.Presences != 50 || got.Users != 5 {
			t.Errorf("%+v, %v", got, err)
		}
		// Redis lost everything: the next checks take it over.
		s.Flush()
		redistest.Advance(t, 2*checkViews+time.Second)
		want, err := n.Counts(t.Context(), "lobby")
		if err != nil || w.Counts() != want {
			t.Errorf("the watcher has %+v, Redis %+v, %v", w.Counts(), want, err)
		}
	})
}

// What a lost connection has swallowed is read at once, not by the next check.
func TestCountsAreReadAfterAGap(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newStranger(t, s)
		w, err := n.WatchCounts(t.Context(), "lobby", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		w.listening.Close()
		c, err := n.layer.NewChannel()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := n.Add(t.Context(), "lobby", c.Name(), Member{}); err != nil {
			t.Fatal(err)
		}
		(*countsListener)(w).Gap()
		redistest.Advance(t, soon)
		want := Counts{Presences: 1, Anonymous: 1, Revision: w.Counts().Revision}
		if got := w.Counts(); got != want || got.Revision == 0 {
			t.Errorf("the watcher has %+v, want %+v", got, want)
		}
	})
}

// A check that finds lost data is not undone by an event of the same moment, which
// does not tell of it. The pauses have both wait for mu, the event first, for so long
// that it is handed to each in turn. Without them the test is less sharp, and no less
// right.
func TestAnEventDoesNotEndHealing(t *testing.T) {
	const pause = 2 * time.Millisecond
	f := newFrames()
	w := &CountsWatcher{follower: newFollower(benchView(t, f).tracker, 0)}
	for range 10 {
		frame, found := f.event(1, came(0)), countsOf(f.header)
		var both sync.WaitGroup
		w.mu.Lock()
		w.now.Healing = false
		both.Go(func() { _ = (*countsListener)(w).Event(frame) })
		time.Sleep(pause)
		w.mu.Unlock()
		w.mu.Lock() // before the event, which now insists on its turn
		time.Sleep(pause)
		found.Healing = true
		both.Go(func() { w.check(found) })
		time.Sleep(pause)
		w.mu.Unlock()
		both.Wait()
		if !w.Counts().Healing {
			t.Fatal("the event has ended it")
		}
	}
}
