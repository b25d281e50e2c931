package presence

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/groups"
)

// Close removes the presences of all channels of this node, with the reason Drained,
// and waits for the handlers, all until the context ends. Presences that remain by then
// go when the node's lease expires. Nothing can be added once Close has begun. Watchers
// end last, with ErrClosed. Closing again does nothing.
func (t *Tracker) Close(ctx context.Context) error {
	return t.shut(ctx, departure{why: Drained})
}

// Drain is Close for a deployment. The presences stay for a grace period, see
// LeaveAllAfter, so that users who come back on another node in time never appear to
// leave. Those whose connections end meanwhile (Disconnected, TimedOut) stay at least as
// long. Drain then closes the channels that had presences with groups.ErrClosed, upon
// which heartbeat.Serve sends its peer elsewhere with the code 1001. Only then do
// Watchers end, with ErrClosed, when nothing is left to do for a connection. Use a
// grace that is longer than your clients need to come back.
func (t *Tracker) Drain(ctx context.Context, grace time.Duration) error {
	if grace <= 0 {
		return &InvalidError{Field: "grace", Value: grace.String(), Reason: "not positive"}
	}
	return t.shut(ctx, departure{why: Drained, grace: grace})
}

func (t *Tracker) shut(ctx context.Context, d departure) error {
	if !t.ledger.close(d) {
		return nil
	}
	t.spawning.Lock()
	t.stop()
	t.spawning.Unlock()
	channels := t.ledger.all()
	done := make(chan error, 1)
	go func() {
		t.work.Wait()
		done <- t.withdraw(ctx, d)
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done(): // a command in progress ends by the client's own timeouts
		err = unavailable(ctx.Err())
	}
	if d.grace > 0 {
		for _, e := range channels {
			if ch, ok := t.layer.Channel(e.channel); ok {
				ch.CloseWith(groups.ErrClosed)
			}
		}
	}
	close(t.views.ended) // only now: a program that follows a room for a connection may end that now
	err = errors.Join(err, t.changes.wait(ctx))
	if err != nil {
		t.log.Warn("node has left, not in good order", zap.Int("channels", len(channels)), zap.Error(err))
	} else {
		t.log.Info("node has left", zap.Int("channels", len(channels)), zap.Duration("grace", d.grace))
	}
	return opError("close", "", "", err)
}

// withdraw removes everything of this node from Redis.
func (t *Tracker) withdraw(ctx context.Context, d departure) error {
	err := t.leaveEverything(ctx, d)
	for _, w := range t.writers {
		err = errors.Join(err, w.retire(ctx))
	}
	return err
}

// leaveEverything removes all presences, many channels at a time.
func (t *Tracker) leaveEverything(ctx context.Context, d departure) error {
	return concurrently(ctx, t.ledger.all(), func(e *entry) error {
		ok, err := e.lock(ctx)
		if !ok {
			return err
		}
		defer t.ledger.unlock(e)
		_, err = t.leaveAll(ctx, e, d)
		return err
	})
}
