package heartbeat_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-go/rollcall/heartbeat"
)

type pinger func(ctx context.Context) error

func (p pinger) Ping(ctx context.Context) error { return p(ctx) }

func TestKeepAlive(t *testing.T) {
	const interval, timeout = 20 * time.Second, 10 * time.Second

	t.Run("each pong is reported", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Minute, errApp)
			defer cancel()
			pongs, last := 0, time.Now()
			answers := pinger(func(context.Context) error { return nil })
			err := heartbeat.KeepAlive(ctx, answers, interval, timeout, func() {
				pongs++
				if gap := time.Since(last); gap > interval {
					t.Errorf("no ping for %v", gap)
				}
				last = time.Now()
			})
			if err != errApp {
				t.Errorf("returned %v, want the cause of the context", err)
			}
			if pongs != 30 {
				t.Errorf("%d pongs", pongs)
			}
		})
	})

	t.Run("silence", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			silent := pinger(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
			err := heartbeat.KeepAlive(t.Context(), silent, interval, timeout, func() { t.Error("a pong") })
			if !errors.Is(err, heartbeat.ErrDeadPeer) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("returned %v", err)
			}
			if took := time.Since(start); took < timeout || took > interval+timeout {
				t.Errorf("took %v", took)
			}
		})
	})

	t.Run("broken connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			broken := pinger(func(context.Context) error { return net.ErrClosed })
			err := heartbeat.KeepAlive(t.Context(), broken, interval, timeout, func() { t.Error("a pong") })
			if !errors.Is(err, heartbeat.ErrConn) || !errors.Is(err, net.ErrClosed) || errors.Is(err, heartbeat.ErrDeadPeer) {
				t.Errorf("returned %v", err)
			}
		})
	})

	t.Run("the context ends during a ping", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			slow := pinger(func(ctx context.Context) error {
				cancel()
				return ctx.Err()
			})
			pongs := 0
			err := heartbeat.KeepAlive(ctx, slow, interval, timeout, func() { pongs++ })
			if err != context.Canceled || pongs != 1 {
				t.Errorf("returned %v after %d pongs: the ping was cut off", err, pongs)
			}
		})
	})
}
