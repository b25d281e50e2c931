package redistest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// KillClients closes all connections of one type: "normal", which run commands,
// or "pubsub", which are subscribed.
func (s *Server) KillClients(kind string) {
	s.t.Helper()
	s.ask("kill clients of", func(ctx context.Context, c *redis.Client) error { return killClients(ctx, c, kind) })
}

func killClients(ctx context.Context, c *redis.Client, kind string) error {
	return c.Do(ctx, "CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes").Err()
}

// KillClientsEvery kills clients again and again, until stop is called or the
// test ends.
func (s *Server) KillClientsEvery(interval time.Duration, kind string) (stop func()) {
	s.t.Helper()
	return s.repeat(interval, func(ctx context.Context, c *redis.Client) error { return killClients(ctx, c, kind) })
}

// ScriptFlush makes the server forget its scripts.
func (s *Server) ScriptFlush() {
	s.t.Helper()
	if s.mini != nil {
		s.mini.flushScripts()
		return
	}
	s.ask("flush scripts of", flushScripts)
}

// ScriptFlushEvery flushes scripts again and again, until stop is called or the
// test ends.
func (s *Server) ScriptFlushEvery(interval time.Duration) (stop func()) {
	s.t.Helper()
	return s.repeat(interval, flushScripts)
}

func flushScripts(ctx context.Context, c *redis.Client) error { return c.ScriptFlush(ctx).Err() }

// repeat asks each process every interval. It may fail as long as another fault
// is at work, but not each time.
func (s *Server) repeat(interval time.Duration, f func(context.Context, *redis.Client) error) (stop func()) {
	s.t.Helper()
	processes := s.processes()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	errs := make([]error, len(processes))
	for i, p := range processes {
		wg.Go(func() { errs[i] = p.repeat(ctx, interval, f) })
	}
	stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			s.t.Errorf("no round of a repeated fault passed: %v", err)
		}
	})
	s.t.Cleanup(stop)
	return stop
}

// repeat returns an error if f never returned nil.
func (p *process) repeat(ctx context.Context, interval time.Duration, f func(context.Context, *redis.Client) error) error {
	client := p.admin()
	defer client.Close()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var last error
	passed := false
	for {
		// A round that has begun is ended, so that there is at least one.
		if err := f(context.WithoutCancel(ctx), client); err != nil {
			last = err
		} else {
			passed = true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if passed {
				return nil
			}
			return last
		}
	}
}
