package presence

import (
	"context"
	"sync"
	"time"
)

// follower is how a Watcher waits for something to report.
type follower struct {
	interval time.Duration   // the minimum between two reports
	ended    <-chan struct{} // closed with the Tracker
	wake     chan struct{}   // holds a token while there may be something to report
	done     chan struct{}   // closed by close
	once     sync.Once

	// Both are used by next alone.
	last time.Time // when something was last reported
	over bool      // there is nothing more to report
}

func newFollower(t *Tracker, interval time.Duration) follower {
	return follower{
		interval: interval, ended: t.views.ended,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// signal says that there may be something to report.
func (f *follower) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// next returns what take does, once that is true.
func next[T any](ctx context.Context, f *follower, take func() (T, bool)) (T, error) {
	var none T
	if f.over {
		return none, ErrClosed
	}
	if err := f.rest(ctx); err != nil {
		return none, err
	}
	for {
		f.over = closed(f.ended) // then this take is the last
		news, ok := take()
		switch {
		case closed(f.done): // only now: take may have missed what came after close
			return none, ErrClosed
		case ok:
			f.last = time.Now()
			return news, nil
		case f.over:
			return none, ErrClosed
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
			return none, ctx.Err()
		case <-f.done:
		case <-f.ended:
		}
	}
}

// rest waits until the interval is over, or nothing more will happen.
func (f *follower) rest(ctx context.Context) error {
	d := f.interval - time.Since(f.last)
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	case <-f.done:
	case <-f.ended:
	}
	return nil
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// close ends next. The first call also calls clear.
func (f *follower) close(clear func()) {
	f.once.Do(func() {
		close(f.done)
		clear()
	})
}
