package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The methods below make a server refuse with an error of Redis's own. Those
// that are a matter of configuration are with [Server.SetConfig].

// ReadOnly makes the server the replica of nobody: it refuses writes with
// READONLY, answers reads from what it has, and those who are subscribed to it
// stay so and hear nothing. [Server.Promote] ends it. A cluster's nodes cannot.
func (s *Server) ReadOnly() {
	s.t.Helper()
	s.disturb("make a replica of", func(ctx context.Context, c *redis.Client) error {
		return c.ReplicaOf(ctx, "127.0.0.1", "1").Err()
	})
}

// Promote makes the server a master.
func (s *Server) Promote() {
	s.t.Helper()
	s.disturb("promote", func(ctx context.Context, c *redis.Client) error { return c.ReplicaOf(ctx, "NO", "ONE").Err() })
}

// The fillers are what Load loads when there is nothing else: that many keys, in a
// database that no test uses. They are long, because Redis looks up from loading
// only every so many bytes.
const (
	fillers    = 20
	fillerSize = 2000
)

// Load makes the server load its data anew, which takes d; meanwhile it refuses
// all commands with LOADING. It returns when that has begun. Nothing is lost. The
// masters of a cluster have one database, so that the keys "filler:0" and so on
// stay among the others there.
func (s *Server) Load(d time.Duration) {
	s.t.Helper()
	s.SetConfig("rdbcompression", "no")
	s.SetConfig("loading-process-events-interval-bytes", "1024")
	s.disturb("fill", func(ctx context.Context, c *redis.Client) error {
		keys, err := c.DBSize(ctx).Result()
		if err != nil {
			return err
		}
		_, err = c.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.ConfigSet(ctx, "key-load-delay", fmt.Sprint(d.Microseconds()/(fillers+keys)))
			if !s.IsCluster() {
				p.Select(ctx, 1)
			}
			p.Do(ctx, "DEBUG", "POPULATE", fillers, "filler", fillerSize)
			return nil
		})
		return err
	})
	s.occupy("DEBUG", "RELOAD")
	s.disturb("load", func(ctx context.Context, c *redis.Client) error {
		return poll(patience, func() error {
			if err := c.Ping(ctx).Err(); !redis.HasErrorPrefix(err, "LOADING") {
				return fmt.Errorf("not loading: %w", err)
			}
			return nil
		})
	})
}

// BreakDisk lets the server fail to save, so that it refuses writes with
// MISCONF until [Server.MendDisk].
func (s *Server) BreakDisk() {
	s.t.Helper()
	s.SetConfig("save", "100000 1")
	for _, p := range s.processes() {
		// A file cannot take the place of a folder that is not empty.
		if err := errors.Join(os.RemoveAll(p.dump()), os.MkdirAll(filepath.Join(p.dump(), "x"), 0o700)); err != nil {
			s.t.Fatalf("break disk of %s: %v", p.address(), err)
		}
	}
	s.save("err")
}

// MendDisk ends BreakDisk.
func (s *Server) MendDisk() {
	s.t.Helper()
	for _, p := range s.processes() {
		if err := os.RemoveAll(p.dump()); err != nil {
			s.t.Fatalf("mend disk of %s: %v", p.address(), err)
		}
	}
	s.save("ok")
}

func (s *Server) save(want string) {
	s.t.Helper()
	want = "rdb_last_bgsave_status:" + want
	s.disturb("save", func(ctx context.Context, c *redis.Client) error {
		return poll(patience, func() error {
			if err := c.BgSave(ctx).Err(); err != nil {
				return err
			}
			return poll(time.Second, func() error {
				info, err := c.Info(ctx, "persistence").Result()
				if err == nil && !strings.Contains(info, want) {
					err = fmt.Errorf("not %s", want)
				}
				return err
			})
		})
	})
}
