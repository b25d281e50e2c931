package presence

import (
	"context"
	"sync"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/luascripts"
)

// CountsWatcher follows the counts of one room without holding its list of members. Its
// methods may be called concurrently, but Next by one goroutine at a time. Whoever
// makes a CountsWatcher closes it.
type CountsWatcher struct {
	follower
	tracker   *Tracker
	room      string
	listening *groups.Listening

	mu    sync.Mutex
	now   Counts
	told  Counts
	doubt doubt
}

// WatchCounts returns a CountsWatcher of a room, which need not exist, once its counts
// have been read. nil options mean defaults.
func (t *Tracker) WatchCounts(ctx context.Context, room string, opts *WatchOptions) (*CountsWatcher, error) {
	o, err := opts.withDefaults(room)
	if err != nil {
		return nil, err
	}
	w := &CountsWatcher{follower: newFollower(t, o.MinInterval), tracker: t, room: room}
	if t.ledger.closed() {
		return nil, opError("watch counts", room, "", ErrClosed)
	}
	if w.listening, err = t.layer.Listen(room, (*countsListener)(w)); err != nil {
		return nil, opError("watch counts", room, "", err)
	}
	t.views.mu.Lock()
	t.views.counts[w] = struct{}{}
	t.views.mu.Unlock()
	if err = w.listening.Wait(ctx); err == nil {
		err = w.read(ctx)
	}
	if err != nil {
		w.Close()
		return nil, opError("watch counts", room, "", unavailable(err))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = w.now
	return w, nil
}

func (w *CountsWatcher) read(ctx context.Context) error {
	counts, err := w.tracker.Counts(ctx, w.room)
	if err == nil {
		w.move(counts)
	}
	return err
}

// move takes over newer counts.
func (w *CountsWatcher) move(c Counts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set(c)
}

// set takes over newer counts. The caller holds mu.
func (w *CountsWatcher) set(c Counts) {
	if c.Revision > w.now.Revision || c.Revision == w.now.Revision && c.Healing != w.now.Healing {
		w.now = c
		w.signal()
	}
}

// follow takes over the counts of an event, which do not tell whether data was lost. It
// returns false if the room was made anew, as then some may have been.
func (w *CountsWatcher) follow(h luascripts.Header) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now.Revision != 0 && Revision(h.Birth) > w.now.Revision {
		return false
	}
	c := countsOf(h)
	c.Healing = w.now.Healing
	w.set(c)
	return true
}

// countsListener receives the events of a CountsWatcher's room.
type countsListener CountsWatcher

// Event implements groups.Listener. If the room was made anew, the counts are read.
func (l *countsListener) Event(frame string) error {
	w := (*CountsWatcher)(l)
	h, err := luascripts.DecodeEventHeader(frame)
	if err != nil {
		return err
	}
	if !w.follow(h) {
		l.Gap()
	}
	return nil
}

// Gap implements groups.Listener.
func (l *countsListener) Gap() {
	w := (*CountsWatcher)(l)
	w.tracker.spawn(func() {
		ctx, cancel := context.WithTimeout(w.tracker.ctx, writeTimeout)
		defer cancel()
		_ = w.read(ctx) // the next check repairs a failure
	})
}

// check takes over the counts in Redis if an event was lost or Redis went back in time.
func (w *CountsWatcher) check(redis Counts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.doubt.confirmed(w.now.Revision, redis.Revision) {
		w.now = redis
		w.signal()
	}
	if redis.tellsOfHealing(w.now.Healing, w.now.Revision) {
		w.now.Healing = redis.Healing
		w.signal()
	}
}

// Counts returns the counts of the room as this node knows them now, from memory.
func (w *CountsWatcher) Counts() Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Next waits until the counts differ from those last returned, and returns them. It
// ends as Watcher.Next does.
func (w *CountsWatcher) Next(ctx context.Context) (Counts, error) {
	return next(ctx, &w.follower, w.take)
}

// take returns false if there is nothing to report.
func (w *CountsWatcher) take() (Counts, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	changed := w.now != w.told
	w.told = w.now
	return w.now, changed
}

// Close ends the CountsWatcher. Closing it again does nothing.
func (w *CountsWatcher) Close() {
	w.close(func() {
		w.listening.Close()
		w.tracker.views.mu.Lock()
		defer w.tracker.views.mu.Unlock()
		delete(w.tracker.views.counts, w)
	})
}
