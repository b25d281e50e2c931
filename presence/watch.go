package presence

import (
	"context"
	"errors"
	"time"
)

// WatchOptions say how to watch a room. The zero value of each field is its default.
type WatchOptions struct {
	// MinInterval is the minimum time between two diffs. The later one covers what
	// happens in between. When the Tracker is closed, the last diff does not wait.
	// Defaults to none.
	MinInterval time.Duration

	// After is a revision that the room must have reached when the Watcher is returned,
	// such as that of an Add: Start then includes what was written. Without it Start
	// may be a moment older. WatchCounts ignores it. Defaults to none.
	After Revision
}

func (o *WatchOptions) withDefaults(room string) (WatchOptions, error) {
	var c WatchOptions
	if o != nil {
		c = *o
	}
	if c.MinInterval < 0 {
		return c, &InvalidError{Field: "MinInterval", Value: c.MinInterval.String(), Reason: "negative"}
	}
	return c, checkRoom(room)
}

// Watcher follows the membership of one room from memory. Its methods may be called
// concurrently, but Next by one goroutine at a time. Whoever makes a Watcher closes it.
type Watcher struct {
	follower
	view *view

	start   Snapshot // guarded by view.mu, as is all below
	pending pending
	healing bool // as last reported
}

// Watch returns a Watcher of a room, which need not exist, once the room has been read.
// All watchers of a room on this node share one subscription and one replica. nil
// options mean defaults.
func (t *Tracker) Watch(ctx context.Context, room string, opts *WatchOptions) (*Watcher, error) {
	o, err := opts.withDefaults(room)
	if err != nil {
		return nil, err
	}
	w := &Watcher{follower: newFollower(t, o.MinInterval)}
	v, err := t.views.acquire(t, room)
	if err != nil {
		return nil, opError("watch", room, "", err)
	}
	err = v.awaitFirst(ctx)
	if err == nil {
		err = v.reach(ctx, nil, o.After)
	}
	if err != nil && !errors.Is(err, ErrRemade) { // it is a newer room then
		t.views.release(v)
		return nil, opError("watch", room, "", unavailable(err))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	w.view = v
	w.start = v.snapshot()
	w.pending, w.healing = newPending(w.start.Counts.Revision), w.start.Counts.Healing
	v.watchers[w] = struct{}{}
	return w, nil
}

// Start returns the room as it was when the Watcher was made. The diffs follow on from
// it. The first call of Next releases it, as otherwise each Watcher of a large room
// would keep its own list.
func (w *Watcher) Start() Snapshot {
	w.view.mu.Lock()
	defer w.view.mu.Unlock()
	return w.start
}

// Next waits for the next difference from what it last returned. If it is called
// rarely, it returns one diff with the net effect of all that happened. A diff may
// report nothing but Counts.Healing.
//
// It returns ErrClosed once the Watcher is closed. Once the Tracker is closed, it
// returns what was not yet told, if anything, in one last diff, and then ErrClosed. A
// closed Tracker has left for all connections, but that is no reason to close a socket: Drain tells those
// that it ends, with the right code, and the layer's Close tells the rest.
func (w *Watcher) Next(ctx context.Context) (Diff, error) {
	return next(ctx, &w.follower, w.take)
}

// take returns false if there is nothing to report.
func (w *Watcher) take() (Diff, bool) {
	v := w.view
	v.mu.Lock()
	defer v.mu.Unlock()
	w.start = Snapshot{}
	if v.syncing && len(w.pending.presences) == 0 {
		return Diff{}, false
	}
	d := w.pending.diff(v.room, v.members, v.counts())
	tell := !d.empty() || d.Counts.Healing != w.healing
	w.pending = newPending(d.Counts.Revision)
	w.pending.resync = d.Resync && !tell
	w.healing = d.Counts.Healing
	return d, tell
}

// Snapshot returns the room as this node knows it now, from memory.
func (w *Watcher) Snapshot() Snapshot {
	w.view.mu.Lock()
	defer w.view.mu.Unlock()
	return w.view.snapshot()
}

// Counts returns the counts of the room as this node knows them now, from memory.
func (w *Watcher) Counts() Counts {
	w.view.mu.Lock()
	defer w.view.mu.Unlock()
	return w.view.counts()
}

// WaitFor returns when the view has reached a revision, such as one that a write
// returned: the view then includes what was written. It returns ErrRemade if the room
// was removed and made again since.
func (w *Watcher) WaitFor(ctx context.Context, revision Revision) error {
	err := w.view.reach(ctx, w.done, revision)
	if errors.Is(err, ErrRemade) {
		return opError("wait", w.view.room, "", err)
	}
	return err
}

// Close ends the Watcher. The last one of a room on this node frees the replica.
// Closing it again does nothing.
func (w *Watcher) Close() {
	w.close(func() {
		w.view.mu.Lock()
		delete(w.view.watchers, w)
		w.view.mu.Unlock()
		w.view.tracker.views.release(w.view)
	})
}
