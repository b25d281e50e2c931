package presence

import (
	"fmt"
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

// An event does not tell whether data was lost, so it leaves that as a check has found it.
func TestAnEventDoesNotEndHealing(t *testing.T) {
	f := newFrames()
	w := &CountsWatcher{follower: newFollower(benchView(t, f).tracker, 0)}
	for _, healing := range []bool{true, false} {
		found := countsOf(f.header)
		found.Healing = healing
		w.check(found)
		if err := (*countsListener)(w).Event(f.event(1, came(0))); err != nil {
			t.Fatal(err)
		}
		if c := w.Counts(); c.Healing != healing || c.Revision != Revision(f.header.Revision) {
			t.Errorf("%+v after %+v", c, found)
		}
	}
}
