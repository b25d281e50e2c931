package presence

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

// faultyBus stands between the bus and a view: it drops, repeats, delays and
// reorders events.
type faultyBus struct {
	view *view
	mu   sync.Mutex
	rng  *rand.Rand
	held []string
}

func (b *faultyBus) Event(frame string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.rng.IntN(6) {
	case 0: // dropped
	case 1: // repeated
		b.view.Event(frame)
		b.view.Event(frame)
	case 2: // delayed
		b.held = append(b.held, frame)
	case 3: // reordered
		b.view.Event(frame)
		for _, f := range b.held {
			b.view.Event(f)
		}
		b.held = nil
	default:
		b.view.Event(frame)
	}
}

func (b *faultyBus) Gap() { b.view.Gap() }

// stranger is a node as the test drives it.
type stranger struct {
	*Tracker
	layer *groups.Layer
}

func newStranger(t *testing.T, s *redistest.Server) stranger {
	t.Helper()
	layer, err := groups.New(t.Context(), s.NewClient(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	tracker, err := New(t.Context(), layer, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tracker.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := layer.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return stranger{tracker, layer}
}

// told is what a watcher's diffs add up to. It fails where one does not fit.
type told map[string]string

func (m told) apply(t *rapid.T, d Diff) {
	for _, p := range d.Removed {
		if user, ok := m[p.Channel]; !ok || user != p.User {
			t.Fatalf("%s left as %q, was there %v as %q", p.Channel, p.User, ok, user)
		}
		delete(m, p.Channel)
	}
	for _, p := range d.Added {
		if _, ok := m[p.Channel]; ok {
			t.Fatalf("%s came, and was there", p.Channel)
		}
		m[p.Channel] = p.User
	}
	for _, p := range d.Updated {
		if _, ok := m[p.Channel]; !ok {
			t.Fatalf("%s was updated, and was not there", p.Channel)
		}
	}
}

// Whatever the bus does to the events, a view converges to what Redis has within
// two checks and a read, and no diff on the way contradicts those before it.
func TestAViewSurvivesAFaultyBus(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		writer, reader := newStranger(t, s), newStranger(t, s)
		room := 0
		rapid.Check(struct{ testing.TB }{t}, func(rt *rapid.T) {
			room++
			surviveHistory(t, rt, s, writer, reader, fmt.Sprint("room", room))
		})
	})
}

func surviveHistory(t *testing.T, rt *rapid.T, s *redistest.Server, writer, reader stranger, room string) {
	ctx := t.Context()
	w, err := reader.Watch(ctx, room, nil)
	if err != nil {
		rt.Fatal(err)
	}
	defer w.Close()
	bus := &faultyBus{view: w.view, rng: rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))}
	listening, err := reader.layer.Listen(room, bus)
	if err != nil {
		rt.Fatal(err)
	}
	w.view.listening.Close()
	w.view.listening = listening

	members := told{}
	read := func() {
		for d := w.take(); !d.empty(); d = w.take() {
			members.apply(rt, d)
		}
	}
	var channels []*groups.Channel
	for range 5 {
		c, err := writer.layer.NewChannel()
		if err != nil {
			rt.Fatal(err)
		}
		defer c.Close()
		channels = append(channels, c)
	}
	for range rapid.IntRange(1, 30).Draw(rt, "steps") {
		c := channels[rapid.IntRange(0, 4).Draw(rt, "channel")]
		switch rapid.IntRange(0, 9).Draw(rt, "op") {
		case 0, 1, 2, 3:
			user := rapid.SampledFrom([]string{"", "ana", "ben"}).Draw(rt, "user")
			_, _, err = writer.Add(ctx, room, c.Name(), Member{User: user})
		case 4, 5, 6:
			_, err = writer.Remove(ctx, room, c.Name())
		case 7:
			_, err = writer.LeaveAll(ctx, c.Name(), Disconnected)
		case 8:
			read()
		case 9:
			redistest.Advance(t, time.Second)
		}
		if err != nil {
			rt.Fatal(err)
		}
	}
	redistest.Advance(t, 2*checkViews+time.Second)
	read()
	snapshot, err := writer.Snapshot(ctx, room)
	if err != nil {
		rt.Fatal(err)
	}
	if w.Counts() != snapshot.Counts || len(members) != len(snapshot.Presences) {
		rt.Fatalf("the view has %+v and told %v, Redis has %+v", w.Counts(), members, snapshot)
	}
	for _, p := range snapshot.Presences {
		if user, ok := members[p.Channel]; !ok || user != p.User {
			rt.Fatalf("told %v, Redis has %+v", members, p)
		}
	}
	for _, c := range channels {
		if _, err := writer.LeaveAll(ctx, c.Name(), Left); err != nil {
			rt.Fatal(err)
		}
	}
}

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
		if got := w.Snapshot(); got.Counts != want.Counts || len(got.Presences) != len(want.Presences) {
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
