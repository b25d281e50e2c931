package presence

import "context"

// lock is a mutex for work that waits for Redis: a caller can give up waiting for it,
// and a fake clock can advance meanwhile.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

func (l lock) lock() { l <- struct{}{} }

func (l lock) unlock() { <-l }

// tryNow returns false if another has the lock.
func (l lock) tryNow() bool {
	select {
	case l <- struct{}{}:
		return true
	default:
		return false
	}
}

// try waits for the lock until the context ends. A lock that is free is taken even then.
func (l lock) try(ctx context.Context) error {
	if l.tryNow() {
		return nil
	}
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
}
