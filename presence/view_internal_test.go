package presence

import (
	"fmt"
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
			if d := w.take(); !d.empty() {
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
			if d := w.take(); len(d.Added) != 1 || d.Resync != resync {
				t.Errorf("diff %d is %+v, want a resync %v", i, d, resync)
			}
		}
	})
}
