package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Pinger sends a ping and waits for its pong. It is called by one goroutine,
// while another reads the connection, for it is the reader that sees the pong.
type Pinger interface {
	Ping(ctx context.Context) error
}

// KeepAlive pings the peer and calls onPong after each answer, which proves
// that a peer is there though it only listens. The first ping comes at a random
// time within the interval, so that peers that came together are not pinged
// together.
//
// It blocks until ctx ends and returns its cause, or until a ping fails: with
// [ErrDeadPeer] if there was no pong within timeout, else with [ErrConn]. It
// does not close the connection. A ping under way is not cut off when ctx ends,
// because websocket libraries drop a connection when a context ends in the
// middle of a write; so it returns within timeout, or once the connection is
// closed.
//
// Interval and timeout must be positive. Their sum, and the flush interval of
// the tracker, must be well below max age, or the presence is pruned alive.
func KeepAlive(ctx context.Context, p Pinger, interval, timeout time.Duration, onPong func()) error {
	return keepAlive(ctx, interval, timeout, func(ctx context.Context) error {
		err := ping(ctx, p)
		if err == nil {
			onPong()
		}
		return err
	})
}

func keepAlive(ctx context.Context, interval, timeout time.Duration, ping func(context.Context) error) error {
	timer := time.NewTimer(rand.N(interval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
		pingCtx, cancel := outlive(ctx, timeout)
		err := ping(pingCtx)
		cancel()
		if err != nil {
			return err
		}
		timer.Reset(interval)
	}
}

func ping(ctx context.Context, p Pinger) error {
	err := p.Ping(ctx)
	switch {
	case err == nil:
		return nil
	case timedOut(ctx, err):
		return fmt.Errorf("%w: no pong: %w", ErrDeadPeer, err)
	default:
		return fmt.Errorf("%w: ping: %w", ErrConn, err)
	}
}

// timedOut looks at the error too, because libraries set shorter limits of
// their own to the writing of a ping.
func timedOut(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded)
}
