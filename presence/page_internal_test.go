package presence

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// A room of more presences than are read in one step, while it changes.
func TestALargeRoomIsReadInPages(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		writer, reader := newStranger(t, s), newStranger(t, s)
		ctx := t.Context()
		var joins sync.WaitGroup
		slots := make(chan struct{}, 64)
		join := func() *groups.Channel {
			c, err := writer.layer.NewChannel()
			if err == nil {
				_, _, err = writer.Add(ctx, "lobby", c.Name(), Member{User: c.Name()})
			}
			if err != nil {
				t.Error(err)
			}
			return c
		}
		for range maxWhole + 500 {
			slots <- struct{}{}
			joins.Go(func() { defer func() { <-slots }(); join() })
		}
		joins.Wait()
		stop := make(chan struct{})
		joins.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c := join()
				if _, err := writer.LeaveAll(ctx, c.Name(), Left); err != nil {
					t.Error(err)
				}
			}
		})
		w, err := reader.Watch(ctx, "lobby", nil)
		close(stop)
		joins.Wait()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		want, err := reader.Snapshot(ctx, "lobby")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WaitFor(ctx, want.Counts.Revision); err != nil {
			t.Fatal(err)
		}
		equal := func(a, b Presence) bool { return a.Channel == b.Channel && same(&a, &b) }
		if got := w.Snapshot(); got.Counts != want.Counts || !slices.EqualFunc(got.Presences, want.Presences, equal) {
			t.Errorf("view %+v of %d, Redis %+v of %d", got.Counts, len(got.Presences), want.Counts, len(want.Presences))
		}
		seen := map[string]bool{}
		for p, err := range reader.All(ctx, "lobby") {
			if err != nil {
				t.Fatal(err)
			}
			seen[p.Channel] = true
		}
		if len(seen) != maxWhole+500 {
			t.Errorf("%d presences in pages", len(seen))
		}
	})
}

// The first snapshot of a room that is read in pages tells that its shard heals.
func TestALargeRoomThatHeals(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		n := newStrangerOn(t, client)
		n.ReadInPagesOver(1)
		for range 3 {
			c, err := n.layer.NewChannel()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := n.Add(t.Context(), "lobby", c.Name(), Member{}); err != nil {
				t.Fatal(err)
			}
		}
		until := time.Now().Add(time.Minute).UnixMilli()
		if err := client.HSet(t.Context(), n.store.Meta(0), luascripts.Healing, until).Err(); err != nil {
			t.Fatal(err)
		}
		w, err := n.Watch(t.Context(), "lobby", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if c := w.Start().Counts; c.Presences != 3 || !c.Healing {
			t.Errorf("%+v", c)
		}
	})
}
