package presence

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// When a check may conclude that a view will not become right by itself.
func TestDoubt(t *testing.T) {
	type look struct {
		view, redis Revision
		confirmed   bool
	}
	for name, looks := range map[string][]look{
		"all is well":                         {{5, 5, false}, {5, 5, false}},
		"the last event was lost":             {{5, 6, false}, {5, 6, true}},
		"after which the view is read again":  {{5, 6, false}, {5, 6, true}, {6, 6, false}, {6, 7, false}},
		"an event was under way":              {{5, 6, false}, {6, 6, false}, {6, 7, false}},
		"another is each time":                {{5, 6, false}, {6, 7, false}, {7, 8, false}},
		"the view moves, and stays behind":    {{5, 7, false}, {6, 8, true}},
		"Redis was read before the view":      {{6, 5, false}, {7, 6, false}, {7, 7, false}},
		"the room was removed":                {{5, 0, false}, {5, 0, true}},
		"before the last event of it came":    {{5, 0, false}, {6, 0, true}},
		"the room was removed, and made anew": {{5, 0, false}, {5, 9, true}},
		"Redis went back":                     {{9, 5, false}, {9, 6, true}},
		"a room that was never there":         {{0, 0, false}, {0, 0, false}},
		"a room that is new":                  {{0, 5, false}, {0, 5, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var d doubt
			for i, l := range looks {
				if got := d.confirmed(l.view, l.redis); got != l.confirmed {
					t.Errorf("look %d, at %d and Redis at %d: confirmed %v", i, l.view, l.redis, got)
				}
			}
		})
	}
}

// A view that was read again without need tells of that with the next diff, also
// to a watcher that has looked in between.
func TestTheNextDiffAfterAResyncIsMarked(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newStranger(t, s)
		w, err := n.Watch(t.Context(), "lobby", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		for i, resync := range []bool{false, true, false} {
			if resync {
				w.view.Gap()
				redistest.Advance(t, time.Second)
			}
			if d := taken(w); !d.empty() {
				t.Fatalf("told of %+v", d)
			}
			c, err := n.layer.NewChannel()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := n.Add(t.Context(), "lobby", c.Name(), Member{User: fmt.Sprint("user", i)}); err != nil {
				t.Fatal(err)
			}
			redistest.Advance(t, 0)
			if d := taken(w); len(d.Added) != 1 || d.Resync != resync {
				t.Errorf("diff %d is %+v, want a resync %v", i, d, resync)
			}
		}
	})
}

// A watcher that is never read is bounded by the room, whatever its churn, and
// holds up nobody: another is told of each change at once.
func TestAStuckWatcher(t *testing.T) {
	const before, steps = 50, 20_000
	f := newFrames()
	v := benchView(t, f)
	v.fill(f, before, 10)
	stuck, reads := v.join(), v.join()
	rng := rand.New(rand.NewPCG(1, 2))
	here := make(map[int]bool)
	for i := range before {
		here[i] = true
	}
	for range steps {
		i := rng.IntN(4 * before)
		want := Diff{Added: make([]Presence, 1)}
		switch {
		case !here[i]:
			here[i] = true
			v.Event(f.event(1, came(i)))
		case rng.IntN(3) == 0:
			want = Diff{Updated: make([]Presence, 1)}
			v.Event(f.event(0, "~"+netstringOf(benchChannel(i))+netstringOf(benchRecord(i, rng.IntN(benchInfo), "c"))))
		default:
			want = Diff{Removed: make([]Departure, 1)}
			delete(here, i)
			v.Event(f.event(-1, went(i)))
		}
		if n := len(stuck.pending.presences); n > before+len(here) {
			t.Fatalf("%d presences wait, of %d before and %d now", n, before, len(here))
		}
		if n := len(stuck.pending.users); n > before+len(here) {
			t.Fatalf("%d users wait, of %d before and %d now", n, before, len(here))
		}
		if len(reads.wake) != 1 {
			t.Fatal("the other is not woken")
		}
		<-reads.wake
		d := taken(reads)
		same := len(want.Updated) == 1 && d.empty() // the same info again
		if !same && (len(d.Added) != len(want.Added) || len(d.Removed) != len(want.Removed) || len(d.Updated) != len(want.Updated)) {
			t.Fatalf("the other was told of %+v", d)
		}
		if d.Counts.Revision != Revision(f.header.Revision) {
			t.Fatalf("the other is at %d, not %d", d.Counts.Revision, f.header.Revision)
		}
	}
	v.mustBeAt(t, f)
	stayed := 0
	for i := range before {
		if here[i] {
			stayed++
		}
	}
	d := taken(stuck)
	if len(d.Removed) != before-stayed || len(d.UsersWent) != before-stayed ||
		len(d.Added) != len(here)-stayed || len(d.UsersCame) != len(here)-stayed {
		t.Errorf("%d came, %d went, of %d before and %d now, %d of them both", len(d.Added), len(d.Removed), before, len(here), stayed)
	}
}

// The view keeps nothing for a watcher that was closed, and the tracker nothing
// of a room that nobody watches.
func TestAClosedWatcherIsForgotten(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newStranger(t, s)
		first, err := n.Watch(t.Context(), "lobby", nil)
		if err != nil {
			t.Fatal(err)
		}
		second, err := n.Watch(t.Context(), "lobby", nil)
		if err != nil {
			t.Fatal(err)
		}
		if first.view != second.view {
			t.Error("two watchers have two replicas")
		}
		first.Close()
		first.Close()
		if _, kept := first.view.watchers[first]; kept || len(first.view.watchers) != 1 {
			t.Errorf("%d watchers are kept", len(first.view.watchers))
		}
		second.Close()
		if len(n.views.byRoom) != 0 || second.view.ctx.Err() == nil {
			t.Error("the replica is kept")
		}
	})
}
