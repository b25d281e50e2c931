package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Pinger sends a ping and waits for its pong. One goroutine calls it while another
// reads the connection, because it is the reader that sees the pong.
type Pinger interface {
	Ping(ctx context.Context) error
}

// KeepAlive pings the peer and calls onPong after each answer, which proves that a peer
// is there even if it only listens. The first ping comes at a random time within the
// interval, so that peers that connect together are not pinged together.
//
// It blocks until ctx ends, and returns its cause, or until a ping fails: with
// [ErrDeadPeer] if there was no pong within timeout, otherwise with [ErrConn]. It does
// not close the connection. The end of ctx does not interrupt a ping, because websocket
// libraries drop a connection if a context ends in the middle of a write. KeepAlive
// then returns within timeout, or once the connection is closed.
//
// Interval and timeout must be positive. Their sum plus the tracker's flush interval
// must be well below its max age, or live presences are pruned.
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

// timedOut looks at the error too, because libraries have shorter limits of their own
// for writing a ping.
func timedOut(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded)
}
