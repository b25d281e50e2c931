package presence

import (
	"context"
	"errors"
	"time"

	"github.com/rollcall-go/rollcall/luascripts"
)

const (
	maxBuffered   = 4096 // events that wait for a snapshot; with more, another one is read
	awaitEvents   = time.Second
	retryShortest = 50 * time.Millisecond
	retryLongest  = 2 * time.Second
)

// errSlow means that Redis answered, but not with all pages in time.
var errSlow = errors.New("rollcall: the pages of the room took too long")

// resync has the room read again. The caller holds mu.
func (v *view) resync() {
	if v.syncing {
		v.again = true
		return
	}
	v.syncing = true
	v.buffer = nil
	v.tracker.spawn(v.sync)
}

// sync reads the room until the snapshot and the events after it fit together. It reads
// a large room in pages and, if that twice took so long that it changed too much
// meanwhile or time was up, in one step.
func (v *view) sync() {
	pause := retryShortest
	for late, failed := 0, 0; ; {
		done, err := v.read(late < 2)
		switch {
		case done:
			return
		case err != nil && err != errSlow:
			failed++
		case failed > 0: // Redis is back
			pause, failed = retryShortest, 0
			late++
		default:
			late++
		}
		v.tell(err, failed > 1) // once may be just a lost connection
		select {
		case <-time.After(pause):
		case <-v.ctx.Done():
			return
		}
		pause = min(2*pause, retryLongest)
	}
}

// tell has all who wait for the first snapshot fail if Redis is away.
func (v *view) tell(cause error, away bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cause = nil
	if away {
		v.cause = cause
		close(v.failed)
		v.failed = make(chan struct{})
	}
}

// read returns true when the view is right, or no longer wanted.
func (v *view) read(paged bool) (bool, error) {
	v.mu.Lock()
	v.again, v.buffer = false, nil
	v.mu.Unlock()
	ctx, cancel := context.WithTimeout(v.ctx, writeTimeout)
	defer cancel()
	if err := v.listening.Wait(ctx); err != nil {
		return v.ctx.Err() != nil, err
	}
	s, end, err := v.load(ctx, paged)
	if err != nil || end > s.Counts.Revision && !v.await(ctx, end) {
		return v.ctx.Err() != nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.again || !fits(s.header, v.buffer) || paged && !whole(s, v.buffer) {
		return false, nil
	}
	v.replace(s)
	for _, e := range v.buffer {
		if e.Revision > s.header.Revision {
			v.apply(e)
		}
	}
	v.syncing, v.buffer = false, nil
	first := false
	select {
	case <-v.ready:
	default:
		first = true
		close(v.ready)
	}
	if !first {
		v.tracker.stats.resyncs.Add(1)
	}
	v.publish(!first)
	return true, nil
}

// awaitFirst returns nil once there is a first snapshot, and an error if Redis is away.
func (v *view) awaitFirst(ctx context.Context) error {
	for {
		v.mu.Lock()
		failed, cause := v.failed, v.cause
		v.mu.Unlock()
		select {
		case <-v.ready:
			return nil
		default:
		}
		if cause != nil {
			return unavailable(cause)
		}
		select {
		case <-v.ready:
		case <-failed:
		case <-ctx.Done():
			return unavailable(ctx.Err())
		case <-v.ctx.Done():
			return ErrClosed
		}
	}
}

// load reads the room. It also returns the revision up to which events must have
// arrived for the result to be exact.
func (v *view) load(ctx context.Context, paged bool) (s Snapshot, end Revision, err error) {
	if paged {
		head, err := v.tracker.header(ctx, v.room)
		if err != nil {
			return Snapshot{}, 0, err
		}
		if head.Presences > v.tracker.whole {
			s, end, err := v.tracker.pages(ctx, v.room, head)
			if ctx.Err() != nil {
				err = errSlow
			}
			return s, end, err
		}
	}
	s, err = v.tracker.Snapshot(ctx, v.room)
	return s, s.Counts.Revision, err
}

// await returns true once the events up to a revision have arrived.
func (v *view) await(ctx context.Context, end Revision) bool {
	ctx, cancel := context.WithTimeout(ctx, awaitEvents)
	defer cancel()
	for {
		v.mu.Lock()
		n := len(v.buffer)
		came := n > 0 && Revision(v.buffer[n-1].Revision) >= end
		arrived := v.arrived
		v.mu.Unlock()
		if came {
			return true
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return false
		}
	}
}

// fits reports whether the events newer than a snapshot follow it without a gap.
func fits(head luascripts.Header, events []luascripts.Event) bool {
	last := head.Revision
	for _, e := range events {
		if e.Revision <= head.Revision {
			continue
		}
		if e.Previous != last {
			return false
		}
		last = e.Revision
	}
	return true
}

// whole reports whether a snapshot and the events after it give as many members as the
// last header says. Pages read from two servers may not: the two order a hash
// differently, and the slot may move, or a replica take over, in between.
func whole(s Snapshot, events []luascripts.Event) bool {
	have := make(map[string]struct{}, len(s.Presences))
	for _, p := range s.Presences {
		have[p.Channel] = struct{}{}
	}
	want := s.header.Presences
	for _, e := range events {
		if e.Revision <= s.header.Revision {
			continue
		}
		want = e.Presences
		for _, it := range e.Items {
			if it.Kind == luascripts.Removed {
				delete(have, it.Channel)
			} else {
				have[it.Channel] = struct{}{}
			}
		}
	}
	return len(have) == want
}
