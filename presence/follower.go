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
	last     time.Time // when something was last reported; used by next alone
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
	if err := sleep(ctx, f.done, f.interval-time.Since(f.last)); err != nil {
		return none, err
	}
	for {
		if news, ok := take(); ok {
			f.last = time.Now()
			return news, nil
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
			return none, ctx.Err()
		case <-f.done:
			return none, ErrClosed
		case <-f.ended:
			return none, ErrClosed
		}
	}
}

// close ends next. The first call also calls clear.
func (f *follower) close(clear func()) {
	f.once.Do(func() {
		close(f.done)
		clear()
	})
}
