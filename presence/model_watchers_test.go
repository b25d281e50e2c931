package presence_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// ended is a context with which Next returns what there is.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// watching is a Watcher, and what it was told.
type watching struct {
	*presence.Watcher
	err    error
	on     int // the node
	room   *modelRoom
	eager  bool // it is read after each step
	told   state
	at     presence.Revision // of the last look
	resync bool              // its view may have been read again, so the next diff may be marked
}

// counting is a CountsWatcher, and what it was told.
type counting struct {
	*presence.CountsWatcher
	on   int
	room *modelRoom
	told presence.Counts
}

func (h *history) drawWatcher(rt *rapid.T) *watching {
	return &watching{
		on:    rapid.IntRange(0, len(h.nodes)-1).Draw(rt, "node"),
		room:  h.drawRoom(rt),
		eager: rapid.Bool().Draw(rt, "eager"),
	}
}

// add begins with what a watcher starts from.
func (h *history) add(w *watching) {
	if w.err != nil {
		h.rt.Fatal(w.err)
	}
	start := w.Start()
	w.told, w.at = state{}, start.Counts.Revision
	w.resync = w.room.pruned != 0
	for _, p := range start.Presences {
		w.told[p.Channel] = memberOf(p)
	}
	if want := w.told.counts(w.at); unhealed(start.Counts) != want {
		h.rt.Fatalf("node %d shows%s\nas %+v", w.on, tellPresences(start.Presences), start.Counts)
	}
	h.watchers = append(h.watchers, w)
}

func (h *history) watch(rt *rapid.T) {
	w := h.drawWatcher(rt)
	w.Watcher, w.err = h.nodes[w.on].Watch(h.ctx, w.room.name, nil)
	h.add(w)
	if !h.faulty {
		h.same(w)
		if got, want := tellPresences(w.Start().Presences), tellPresences(w.room.presences(w.room.name)); got != want {
			rt.Fatalf("node %d starts with%s\nwant%s", w.on, got, want)
		}
	}
}

func (h *history) unwatch(rt *rapid.T) {
	if len(h.watchers) == 0 {
		rt.Skip("nobody watches")
	}
	i := rapid.IntRange(0, len(h.watchers)-1).Draw(rt, "watcher")
	h.watchers[i].Close()
	h.watchers = slices.Delete(h.watchers, i, i+1)
}

func (h *history) watchCounts(on int, r *modelRoom) {
	w, err := h.nodes[on].WatchCounts(h.ctx, r.name, nil)
	if err != nil {
		h.rt.Fatal(err)
	}
	h.counters = append(h.counters, &counting{w, on, r, w.Counts()})
}

func (h *history) closeWatchers() {
	for _, w := range h.watchers {
		w.Close()
	}
	for _, c := range h.counters {
		c.Close()
	}
}

// readAll is when the slow watchers look.
func (h *history) readAll(*rapid.T) {
	for _, w := range h.watchers {
		h.look(w)
	}
}

// waitFor returns when a watcher's view has the room as it is.
func (h *history) waitFor(w *watching) {
	if h.faulty || w.room.revision == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(h.ctx, 10*time.Second)
	defer cancel()
	if err := w.WaitFor(ctx, w.room.revision); err != nil {
		h.rt.Fatalf("the view of %s on node %d is at %+v: %v", w.room.name, w.on, w.Counts(), err)
	}
}

// look reads what a watcher was not told yet.
func (h *history) look(w *watching) {
	if h.faulty {
		h.lookLoosely(w)
		return
	}
	want := diff(w.room.name, w.told, w.room.state, w.room.why)
	nothing := len(want.Added)+len(want.Removed)+len(want.Updated) == 0
	d, err := w.Next(ended)
	resync := w.resync || h.s.Real()
	for i := range d.Removed {
		if d.Resync && resync && d.Removed[i].Reason == presence.Unknown && len(want.Removed) == len(d.Removed) {
			d.Removed[i].Reason = want.Removed[i].Reason
		}
	}
	switch {
	case nothing && !errors.Is(err, context.Canceled):
		h.rt.Fatalf("a watcher on node %d, who knows all, was told of %s\n%v", w.on, tellDiff(d), err)
	case !nothing && (err != nil || tellDiff(d) != tellDiff(want)):
		h.rt.Fatalf("a watcher on node %d was told of %s\n%v, want %s", w.on, tellDiff(d), err, tellDiff(want))
	case !nothing:
		if !h.fits(d.Counts, w.room) || d.From != w.at && !resync || d.Resync && !resync {
			h.rt.Fatalf("a watcher on node %d was told of %+v from %d, resync %v; want %+v from %d, resync perhaps %v",
				w.on, d.Counts, d.From, d.Resync, w.room.counts(), w.at, resync)
		}
		w.resync = w.room.pruned != 0 // a check has yet to notice that
	}
	w.told, w.at = maps.Clone(w.room.state), w.room.revision
}

// lookLoosely reads what a watcher was told over a faulty bus: it may be late,
// but fits what it was told before.
func (h *history) lookLoosely(w *watching) {
	for {
		d, err := w.Next(ended)
		if err != nil {
			return
		}
		was := w.told
		w.told = maps.Clone(was)
		wrong := func(format string, args ...any) {
			h.rt.Fatalf("a watcher on node %d was told of %s\n%s; it knew%s", w.on, tellDiff(d), fmt.Sprintf(format, args...),
				tellPresences(was.presences(w.room.name)))
		}
		for _, r := range d.Removed {
			if old, ok := was[r.Channel]; !ok || !old.same(memberOf(r.Presence)) {
				wrong("%s left, and was not there", r.Channel)
			}
			allowed := append([]presence.Reason{presence.Unknown}, w.room.why[r.Channel]...)
			if slices.ContainsFunc(d.Added, func(p presence.Presence) bool { return p.Channel == r.Channel }) {
				allowed = append(allowed, presence.Switched)
			}
			if !slices.Contains(allowed, r.Reason) || r.Reason == presence.Unknown && !d.Resync {
				wrong("%s left as %v, want one of %v", r.Channel, r.Reason, allowed)
			}
			delete(w.told, r.Channel)
		}
		for _, p := range d.Added {
			if _, ok := w.told[p.Channel]; ok {
				wrong("%s came, and was there", p.Channel)
			}
			w.told[p.Channel] = memberOf(p)
		}
		for _, p := range d.Updated {
			if old, ok := was[p.Channel]; !ok || old.user != p.User || old.same(memberOf(p)) {
				wrong("%s was updated, and was not there or as it is", p.Channel)
			}
			w.told[p.Channel] = memberOf(p)
		}
		came, went := usersBetween(was, w.told)
		if !slices.Equal(d.UsersCame, came) || !slices.Equal(d.UsersWent, went) {
			wrong("users came %q and went %q", came, went)
		}
		if want := w.told.counts(d.Counts.Revision); unhealed(d.Counts) != want {
			wrong("the numbers are %+v, want %+v", d.Counts, want)
		}
	}
}

// fits tells whether numbers are those of a room. One that was pruned shows its
// last ones until the next checks.
func (h *history) fits(got presence.Counts, r *modelRoom) bool {
	return got == r.counts() || r.pruned != 0 && got == r.state.counts(r.pruned)
}

// same checks that a view is as the room is.
func (h *history) same(w *watching) {
	s := w.Snapshot()
	got, want := tellPresences(s.Presences), tellPresences(w.room.presences(w.room.name))
	if got != want || !h.fits(s.Counts, w.room) || !h.fits(w.Counts(), w.room) || !slices.Equal(s.Users(), w.room.users()) {
		h.rt.Fatalf("the view of %s on node %d is%s\n%+v, want%s\n%+v", w.room.name, w.on, got, s.Counts, want, w.room.counts())
	}
}

// unhealed are counts without the mark that a read may have missed somebody, as
// those after a lost connection have for a moment.
func unhealed(c presence.Counts) presence.Counts {
	c.Healing = false
	return c
}

// count checks that a CountsWatcher is as the room is, and tells of it once.
func (h *history) count(c *counting) {
	redistest.Eventually(h.t, 10*time.Second, func() error {
		if got := c.Counts(); !h.fits(got, c.room) {
			return fmt.Errorf("node %d counts %s as %+v, want %+v", c.on, c.room.name, got, c.room.counts())
		}
		return nil
	})
	got, err := c.Next(ended)
	switch changed := c.Counts() != c.told; {
	case changed && (err != nil || got != c.Counts()), !changed && !errors.Is(err, context.Canceled):
		h.rt.Fatalf("node %d was told of %+v, %v in %s, knew %+v, has %+v", c.on, got, err, c.room.name, c.told, c.Counts())
	}
	c.told = c.Counts()
}

// checkViews is done after each command.
func (h *history) checkViews() {
	if h.faulty {
		return
	}
	for _, w := range h.watchers {
		h.same(w)
	}
	for _, c := range h.counters {
		h.count(c)
	}
}
