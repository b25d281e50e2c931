package presence

import (
	"context"
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
