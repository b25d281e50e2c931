package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

// DebugSleep makes the server sleep for d. It returns when that has begun.
// Connections open meanwhile, and commands wait.
func (s *Server) DebugSleep(d time.Duration) {
	s.t.Helper()
	s.occupy("DEBUG", "SLEEP", fmt.Sprint(d.Seconds()))
}

// ClientPause makes the server keep all commands waiting for d. Redis hears no
// word of ending it sooner.
func (s *Server) ClientPause(d time.Duration) {
	s.t.Helper()
	s.disturb("pause", func(ctx context.Context, c *redis.Client) error {
		return c.Do(ctx, "CLIENT", "PAUSE", d.Milliseconds(), "ALL").Err()
	})
}

// ClientPauseWrites makes the server keep commands waiting that write, scripts
// and PUBLISH, for d or until [Server.ClientUnpause].
func (s *Server) ClientPauseWrites(d time.Duration) {
	s.t.Helper()
	s.disturb("pause writes of", func(ctx context.Context, c *redis.Client) error {
		return c.Do(ctx, "CLIENT", "PAUSE", d.Milliseconds(), "WRITE").Err()
	})
}

// ClientUnpause ends ClientPauseWrites.
func (s *Server) ClientUnpause() {
	s.t.Helper()
	s.disturb("unpause", func(ctx context.Context, c *redis.Client) error { return c.ClientUnpause(ctx).Err() })
}

// BusyScript runs a script without an end, until [Server.ScriptKill]. It returns
// when other commands are refused with BUSY.
func (s *Server) BusyScript() {
	s.t.Helper()
	// The threshold is given to the script's server for good: only a kill ends it.
	s.disturb("set threshold of", func(ctx context.Context, c *redis.Client) error {
		return c.ConfigSet(ctx, "busy-reply-threshold", "10").Err()
	})
	s.occupy("EVAL", "while true do end", "0")
	s.disturb("busy", func(ctx context.Context, c *redis.Client) error {
		return poll(patience, func() error {
			if err := c.Ping(ctx).Err(); !redis.HasErrorPrefix(err, "BUSY") {
				return fmt.Errorf("not busy: %w", err)
			}
			return nil
		})
	})
}

// ScriptKill ends a script that has not written anything.
func (s *Server) ScriptKill() {
	s.t.Helper()
	s.disturb("kill script of", func(ctx context.Context, c *redis.Client) error {
		if err := c.ScriptKill(ctx).Err(); err != nil {
			return err
		}
		return poll(patience, func() error { return c.Ping(ctx).Err() })
	})
}

// occupy sends a command to each process that keeps it from answering.
func (s *Server) occupy(args ...any) {
	s.t.Helper()
	s.disturb("occupy", func(ctx context.Context, c *redis.Client) error {
		// Only the wait for the answer is short: the command must have been sent.
		o := adminOptions(c.Options().Addr)
		o.ReadTimeout = 100 * time.Millisecond
		hasty := redis.NewClient(o)
		defer hasty.Close()
		if err := poll(patience, func() error { return hasty.Ping(ctx).Err() }); err != nil {
			return err
		}
		err := hasty.Do(ctx, args...).Err()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		return err
	})
}

// disturb is ask for what the next user of a shared cluster could notice.
func (s *Server) disturb(verb string, f func(context.Context, *redis.Client) error) {
	s.t.Helper()
	s.spoil()
	s.ask(verb, f)
}
