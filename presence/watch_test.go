package presence_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/presencetest"
)

type watched interface {
	Watch(ctx context.Context, room string, opts *presence.WatchOptions) (*presence.Watcher, error)
}

func watch(t *testing.T, n watched, room string, opts *presence.WatchOptions) *presence.Watcher {
	t.Helper()
	w, err := n.Watch(t.Context(), room, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func next(t *testing.T, w *presence.Watcher) presence.Diff {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	d, err := w.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWatch(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{})
		first, second := a.open(t), b.open(t)
		r := a.add(t, "lobby", first, "ana")
		w := watch(t, b, "lobby", nil)
		start := w.Start()
		if len(start.Presences) != 1 || start.Presences[0].User != "ana" || start.Counts.Revision != r {
			t.Fatalf("start %+v", start)
		}
		r = b.add(t, "lobby", second, "ana")
		if d := next(t, w); len(d.Added) != 1 || d.Added[0].Channel != second || len(d.UsersCame) != 0 || d.Counts.Revision != r || d.Resync {
			t.Errorf("second connection of ana: %+v", d)
		}
		if _, err := a.Update(t.Context(), "lobby", first, []byte("typing")); err != nil {
			t.Fatal(err)
		}
		if d := next(t, w); len(d.Updated) != 1 || string(d.Updated[0].Info) != "typing" || len(d.Added)+len(d.Removed) != 0 {
			t.Errorf("update: %+v", d)
		}
		if _, err := b.Remove(t.Context(), "lobby", second); err != nil {
			t.Fatal(err)
		}
		if d := next(t, w); len(d.Removed) != 1 || d.Removed[0].Reason != presence.Left || len(d.UsersWent) != 0 {
			t.Errorf("removal: %+v", d)
		}
		left, err := a.LeaveAll(t.Context(), first, presence.Disconnected)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WaitFor(t.Context(), left["lobby"]); err != nil {
			t.Fatal(err)
		}
		if got := w.Snapshot(); len(got.Presences) != 0 || got.Counts.Users != 0 {
			t.Errorf("snapshot %+v", got)
		}
		d := next(t, w)
		if len(d.Removed) != 1 || d.Removed[0].Reason != presence.Disconnected || string(d.Removed[0].Info) != "typing" ||
			!slices.Equal(d.UsersWent, []string{"ana"}) {
			t.Errorf("departure: %+v", d)
		}
		w.Close()
		if _, err := w.Next(t.Context()); !errors.Is(err, presence.ErrClosed) {
			t.Errorf("next of a closed watcher: %v", err)
		}
	})
}

func TestStartIsAfterARevision(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		defer watch(t, n, "lobby", nil).Close() // so that there is a view, which may be behind
		ann := n.open(t)
		last := n.add(t, "lobby", ann, "ann")
		start := make(chan presence.Snapshot, 1)
		go func() {
			w := watch(t, n, "lobby", &presence.WatchOptions{After: last + 1})
			defer w.Close()
			start <- w.Start()
		}()
		redistest.Advance(t, time.Minute)
		if len(start) != 0 {
			t.Fatalf("too early: %+v", <-start)
		}
		last = n.add(t, "lobby", n.open(t), "bob")
		if got := <-start; !slices.Equal(got.Users(), []string{"ann", "bob"}) || got.Counts.Revision != last {
			t.Errorf("%+v", got)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.Watch(ctx, "lobby", &presence.WatchOptions{After: last + 1}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}

		s.Flush() // the room is made anew
		redistest.Advance(t, time.Minute)
		if _, err := n.Remove(t.Context(), "lobby", ann); err != nil {
			t.Fatal(err)
		}
		w := watch(t, n, "lobby", &presence.WatchOptions{After: last})
		defer w.Close()
		if got := w.Start().Users(); !slices.Equal(got, []string{"bob"}) {
			t.Errorf("of the new room: %q", got)
		}
	})
}

func TestASlowWatcherGetsTheNetEffect(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		stays, goes := n.open(t), n.open(t)
		n.add(t, "lobby", stays, "ana")
		slow := watch(t, n, "lobby", nil)
		var last presence.Revision
		for i := range 20 {
			last = n.add(t, "lobby", goes, fmt.Sprint("user", i))
			if i%2 == 0 {
				revision, err := n.Remove(t.Context(), "lobby", goes)
				if err != nil {
					t.Fatal(err)
				}
				last = revision
			}
		}
		if err := slow.WaitFor(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		if start := slow.Start(); len(start.Presences) != 1 {
			t.Errorf("before the first diff: %+v", start)
		}
		d := next(t, slow)
		if start := slow.Start(); len(start.Presences) != 0 {
			t.Errorf("what is told is kept: %+v", start)
		}
		if len(d.Added) != 1 || d.Added[0].User != "user19" || len(d.Removed) != 0 || !slices.Equal(d.UsersCame, []string{"user19"}) || len(d.UsersWent) != 0 {
			t.Errorf("net effect: %+v", d)
		}
		if _, err := n.Remove(t.Context(), "lobby", goes); err != nil {
			t.Fatal(err)
		}
		n.add(t, "lobby", stays, "ben")
		revision := n.add(t, "lobby", stays, "ana")
		if err := slow.WaitFor(t.Context(), revision); err != nil {
			t.Fatal(err)
		}
		if d := next(t, slow); len(d.Removed) != 1 || d.Removed[0].Channel != goes || len(d.UsersCame) != 0 || !slices.Equal(d.UsersWent, []string{"user19"}) {
			t.Errorf("a user that changed and changed back: %+v", d)
		}
	})
}

func TestAWatcherHealsWhatItMissed(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{})
		var channels []string
		for i := range 10 {
			c := a.open(t)
			channels = append(channels, c)
			a.add(t, "lobby", c, fmt.Sprint("user", i))
		}
		w := watch(t, b, "lobby", nil)
		present := make(map[string]bool)
		for _, p := range w.Start().Presences {
			present[p.Channel] = true
		}
		for i := range 5 {
			s.DropClients()
			redistest.Eventually(t, patience, func() error {
				_, err := a.Remove(t.Context(), "lobby", channels[i])
				return err
			})
		}
		redistest.Eventually(t, patience, func() error {
			snapshot, err := a.Snapshot(t.Context(), "lobby")
			if err != nil {
				return err
			}
			if len(snapshot.Presences) != 5 || w.Counts() != snapshot.Counts {
				return fmt.Errorf("the view has %+v, Redis %+v", w.Counts(), snapshot.Counts)
			}
			return nil
		})
		for gone := 0; gone < 5; {
			d := next(t, w)
			for _, r := range d.Removed {
				if !present[r.Channel] {
					t.Errorf("%s left, and was not there", r.Channel)
				}
				delete(present, r.Channel)
				gone++
			}
			if len(d.Added) != 0 {
				t.Errorf("nobody came: %+v", d)
			}
		}
	})
}

// A resync that has missed nothing makes no diff of its own, and marks the next.
func TestAResyncIsTold(t *testing.T) {
	presencetest.Run(t, 1, nil, func(t *testing.T, fleet *presencetest.Fleet) {
		n := fleet.Node(0)
		w := watch(t, n.Tracker, "lobby", nil)
		told := make(chan presence.Diff)
		go func() {
			defer close(told)
			for {
				d, err := w.Next(t.Context())
				if err != nil {
					return
				}
				told <- d
			}
		}()
		for _, want := range []bool{false, true, false} {
			if want {
				fleet.DropConnections()
				fleet.Advance(10 * time.Second)
			}
			n.Connect(presence.Member{User: "ana"}, "lobby")
			if d := <-told; d.Resync != want || len(d.Added) != 1 {
				t.Errorf("resync %t, want %t: %+v", d.Resync, want, d)
			}
		}
		w.Close()
		<-told
	})
}

func TestMinInterval(t *testing.T) {
	presencetest.Run(t, 1, nil, func(t *testing.T, fleet *presencetest.Fleet) {
		n := fleet.Node(0)
		w := watch(t, n.Tracker, "lobby", &presence.WatchOptions{MinInterval: time.Second})
		n.Connect(presence.Member{User: "ana"}, "lobby")
		next(t, w)
		told := time.Now()
		for range 100 {
			n.Connect(presence.Member{}, "lobby")
		}
		d := next(t, w)
		if since := time.Since(told); since < time.Second || len(d.Added) != 100 {
			t.Errorf("after %v: %d added", since, len(d.Added))
		}
	})
}

func TestWaitForARevision(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		c := n.open(t)
		r := n.add(t, "lobby", c, "ana")
		got, err := n.SnapshotAt(t.Context(), "lobby", r)
		if err != nil || len(got.Presences) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := n.SnapshotAt(short, "lobby", r+1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a revision to come: %v", err)
		}
		w := watch(t, n, "lobby", nil)
		if err := w.WaitFor(short, r+1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a revision to come: %v", err)
		}
		if err := s.NewClient(t).Del(t.Context(), n.Store().Room("lobby"), n.Store().RoomUsers("lobby")).Err(); err != nil {
			t.Fatal(err)
		}
		n.add(t, "lobby", n.open(t), "ben")
		if _, err := n.SnapshotAt(t.Context(), "lobby", r); !errors.Is(err, presence.ErrRemade) {
			t.Errorf("a room that was made again: %v", err)
		}
		redistest.Eventually(t, patience, func() error {
			if err := w.WaitFor(t.Context(), r); !errors.Is(err, presence.ErrRemade) {
				return fmt.Errorf("a room that was made again: %v", err)
			}
			return nil
		})
	})
}

// A closed watcher tells nothing more: it does not see what happens since, so that
// what it has not told may be wrong by now.
func TestAClosedWatcherTellsNothing(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		w, stays := watch(t, n, "lobby", nil), watch(t, n, "lobby", nil)
		counts, err := n.WatchCounts(t.Context(), "lobby", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer counts.Close()
		c := n.open(t)
		n.add(t, "lobby", c, "ana")
		next(t, stays)
		w.Close()
		counts.Close()
		if _, err := n.Remove(t.Context(), "lobby", c); err != nil {
			t.Fatal(err)
		}
		next(t, stays)
		if d, err := w.Next(t.Context()); !errors.Is(err, presence.ErrClosed) {
			t.Errorf("told %+v, %v", d, err)
		}
		if c, err := counts.Next(t.Context()); !errors.Is(err, presence.ErrClosed) {
			t.Errorf("told %+v, %v", c, err)
		}
	})
}

// A watcher of a closed tracker tells once what is left to tell, however long its
// interval is and whatever happens in the room.
func TestWatchersOfAClosedTrackerEnd(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		a, b := newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{})
		w := watch(t, a, "lobby", &presence.WatchOptions{MinInterval: time.Minute})
		a.add(t, "lobby", a.open(t), "ana")
		next(t, w)
		told := make(chan presence.Diff, 3)
		start := time.Now()
		go func() {
			defer close(told)
			for range 3 {
				d, err := w.Next(t.Context())
				if err != nil {
					if !errors.Is(err, presence.ErrClosed) {
						t.Error(err)
					}
					return
				}
				told <- d
				b.add(t, "lobby", b.open(t), "cleo")
				redistest.Advance(t, time.Second) // until that came
			}
		}()
		b.add(t, "lobby", b.open(t), "ben")
		redistest.Advance(t, time.Second)
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := <-told; len(d.Added) != 1 || d.Added[0].User != "ben" {
			t.Errorf("the last diff is %+v", d)
		}
		for d := range told {
			t.Errorf("after it: %+v", d)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}
