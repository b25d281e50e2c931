package presence

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/luascripts"
)

const recoverEvery = 250 * time.Millisecond

// outage is a time in which a shard does not answer, or cannot serve.
type outage struct {
	since time.Time
	cause error
	deaf  bool // it does not answer at all, so that asking it takes long
}

// note records whether the shard answers. The caller holds mu.
func (w *writer) note(err error) {
	if err == nil || errors.Is(err, luascripts.ErrFenced) {
		w.away.Store(nil)
		return
	}
	now := outage{since: time.Now(), cause: err, deaf: !refused(err)}
	if before := w.away.Load(); before != nil {
		now.since = before.since
	}
	w.away.Store(&now)
	if now.lasting() {
		w.recover()
	}
}

// lasting reports whether nothing can be written until the shard answers again: writes
// fail meanwhile.
func (o *outage) lasting() bool { return o.deaf || luascripts.Passing(o.cause) }

// gone reports whether there is a lasting outage.
func (w *writer) gone() bool {
	o := w.away.Load()
	return o != nil && o.lasting()
}

// down returns an error at once if asking Redis would be in vain.
func (w *writer) down() error {
	o := w.away.Load()
	if o == nil || !o.deaf {
		return nil
	}
	return o.error()
}

// Away returns an error that wraps ErrUnavailable while this node knows that a shard
// does not answer. Package prune calls it.
func (t *Tracker) Away(shard int) error {
	if t.ctx.Err() != nil {
		return nil // nobody would notice that it is back
	}
	return t.writers[shard].down()
}

func (o *outage) error() error {
	return fmt.Errorf("%w since %s: %w", ErrUnavailable, o.since.Format(time.RFC3339), o.cause)
}

// recover keeps asking in the background, so that a removal in doubt does not wait for
// the next write, and calls do not fail for longer than they must.
func (w *writer) recover() {
	if !w.recovering.CompareAndSwap(false, true) {
		return
	}
	t := w.tracker
	t.spawn(func() {
		for sleep(t.ctx, recoverEvery) == nil {
			w.mu.lock()
			err := w.settle()
			w.mu.unlock()
			if err == nil && w.away.Load() != nil {
				err = w.renew()
			}
			w.mu.lock()
			done := err == nil && w.doubt == nil && !w.gone()
			if done {
				w.recovering.Store(false) // before another write can be in doubt
			}
			w.mu.unlock()
			if done {
				t.carryOnAll()
				return
			}
		}
		w.recovering.Store(false)
	})
}

// refused reports whether Redis answered that it did not run the script.
func refused(err error) bool {
	var answer redis.Error
	return err != nil && errors.As(err, &answer) && !errors.Is(err, redis.Nil)
}

// unsent reports whether a command cannot have reached Redis.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" || errors.Is(err, redis.ErrPoolTimeout)
}

// notRun reports whether a script cannot have run.
func notRun(err error) bool { return unsent(err) || luascripts.Passing(err) }
