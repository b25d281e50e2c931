package presence

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// told is what the diffs of a watcher add up to.
type told struct {
	users   map[string]string // by channel
	present map[string]bool   // users
}

func startOf(w *Watcher) told {
	m := told{map[string]string{}, map[string]bool{}}
	for _, p := range w.Start().Presences {
		m.users[p.Channel] = p.User
	}
	for _, u := range w.Start().Users() {
		m.present[u] = true
	}
	return m
}

// apply fails where a diff contradicts those before it.
func (m told) apply(t *testing.T, d Diff) {
	t.Helper()
	for _, p := range d.Removed {
		if user, ok := m.users[p.Channel]; !ok || user != p.User {
			t.Errorf("%q left as %q, was there %v as %q", p.Channel, p.User, ok, user)
		}
		delete(m.users, p.Channel)
	}
	for _, p := range d.Added {
		if _, ok := m.users[p.Channel]; ok {
			t.Errorf("%q came, and was there", p.Channel)
		}
		m.users[p.Channel] = p.User
	}
	for _, p := range d.Updated {
		if user, ok := m.users[p.Channel]; !ok || user != p.User {
			t.Errorf("%q was updated as %q, was there %v as %q", p.Channel, p.User, ok, user)
		}
	}
	for _, u := range d.UsersWent {
		if !m.present[u] {
			t.Errorf("user %q went, and was not there", u)
		}
		delete(m.present, u)
	}
	for _, u := range d.UsersCame {
		if m.present[u] {
			t.Errorf("user %q came, and was there", u)
		}
		m.present[u] = true
	}
}

// healed is within what a view is right again.
const healed = 2*checkViews + time.Second

// Whatever comes in place of events, and however well it seems to fit, no diff
// contradicts those before it, and the view is soon what Redis has.
func FuzzView(f *testing.F) {
	const ana = "18:1700000000000\x00\x03ana"
	f.Add("1 1 0\n+4:n1!9"+ana+">3:ana", int64(1), int64(0), int64(0))
	f.Add("0 0 0\n-l1:x"+ana+"<3:ana", int64(0), int64(0), int64(0))
	f.Add("2 2 0\n~4:n1!2"+ana, int64(0), int64(-1), int64(1))
	f.Add("2 2 0\n+1:a"+ana+"-t1:a"+ana+"+1:a"+ana, int64(1)<<60, int64(0), int64(-1))
	f.Add("\x01C9 8 7 0 0 0\n", int64(-5), int64(3), int64(0))
	f.Fuzz(func(t *testing.T, frame string, revision, previous, birth int64) {
		redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
			writer, reader := newStranger(t, s), newStranger(t, s)
			add := func(user string) (at Revision) {
				c, err := writer.layer.NewChannel()
				if err == nil {
					_, at, err = writer.Add(t.Context(), "lobby", c.Name(), Member{User: user})
				}
				if err != nil {
					t.Fatal(err)
				}
				redistest.Advance(t, time.Millisecond)
				return at
			}
			add("ana")
			add("ben")
			w, err := reader.Watch(t.Context(), "lobby", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			counts, err := reader.WatchCounts(t.Context(), "lobby", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer counts.Close()
			all := startOf(w)
			feed := func(e string) {
				w.view.Event(e)
				_ = (*countsListener)(counts).Event(e)
				all.apply(t, taken(w))
			}
			forged := func() (e string, at Revision) {
				w.view.mu.Lock()
				defer w.view.mu.Unlock()
				h := w.view.head
				return fmt.Sprintf("%s%d %d %d %s", luascripts.EventPrefix,
					h.Revision+revision, h.Revision+previous, h.Birth+birth, frame), Revision(h.Revision + revision)
			}
			e, at := forged()
			feed(e)
			feed(e)
			feed(frame)
			if at == add("ana") {
				t.Skip("no view can tell it from the true one")
			}
			e, _ = forged()
			feed(e)                                             // with nothing after it
			redistest.Advance(t, healed+defaultLease+sweepTime) // a forged member's node is not heard of
			all.apply(t, taken(w))

			want, err := writer.Snapshot(t.Context(), "lobby")
			if err != nil {
				t.Fatal(err)
			}
			equal := func(a, b Presence) bool { return a.Channel == b.Channel && same(&a, &b) }
			got := w.Snapshot()
			if got.Counts != want.Counts || !slices.EqualFunc(got.Presences, want.Presences, equal) || counts.Counts() != want.Counts {
				t.Errorf("the view has %+v, the numbers are %+v, want %+v", got, counts.Counts(), want)
			}
			if len(all.users) != 3 || len(all.present) != 2 || len(w.view.users) != 2 || w.view.users["ana"] != 2 {
				t.Errorf("told of %q and %v, the view tallies %v", all.users, all.present, w.view.users)
			}
		})
	})
}
