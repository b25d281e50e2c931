package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	watchers = 3
	watched  = "main" // what Sentinel calls the master
)

// A Watched is a master and its replica, over which three sentinels watch: they
// replace a master that is gone for a second.
type Watched struct {
	Addrs           []string // of the sentinels
	Master, Replica *Server

	t testing.TB
}

// Sentinels starts a master, its replica, and three sentinels. Args are added to
// the command lines of the two.
func Sentinels(t testing.TB, args ...string) *Watched {
	t.Helper()
	w := &Watched{t: t, Master: Real(t, args...), Replica: Real(t, args...)}
	w.Replica.ReplicaOf(w.Master.Addrs[0])
	host, port, err := net.SplitHostPort(w.Master.Addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	for range watchers {
		p, err := newProcess(serverPath(t), func(string) ([]string, error) {
			file := filepath.Join(t.TempDir(), "sentinel.conf") // which it rewrites
			text := fmt.Sprintf("sentinel monitor %s %s %s 2\n"+
				"sentinel down-after-milliseconds %[1]s 1000\nsentinel failover-timeout %[1]s 5000\n", watched, host, port)
			return []string{file, "--sentinel"}, os.WriteFile(file, []byte(text), 0o600)
		})
		if err != nil {
			t.Fatalf("start sentinel: %v", err)
		}
		t.Cleanup(func() { finish(t, p) })
		w.Addrs = append(w.Addrs, p.address())
	}
	// Those that do not know each other yet, or the replica, replace nothing.
	w.ask(func(ctx context.Context, c *redis.SentinelClient) error {
		master, err := c.Master(ctx, watched).Result()
		if err == nil && (master["num-other-sentinels"] != "2" || master["num-slaves"] != "1") {
			err = fmt.Errorf("sentinel knows %s sentinels and %s replicas", master["num-other-sentinels"], master["num-slaves"])
		}
		return err
	})
	return w
}

// NewClient returns a client that asks the sentinels for the master. It is closed
// when the test ends.
func (w *Watched) NewClient(t testing.TB, hooks ...func(*redis.UniversalOptions)) redis.UniversalClient {
	t.Helper()
	return w.Server().NewClient(t, hooks...)
}

// Server is the master as its clients find it, through the sentinels. It must not
// be stopped, as they would replace it.
func (w *Watched) Server() *Server {
	s := *w.Master
	s.via = func(o *redis.UniversalOptions) { o.Addrs, o.MasterName = w.Addrs, watched }
	return &s
}

// AwaitFailOver waits until the replica has taken the place of the master, which
// was killed or frozen. Then Master is the new one.
func (w *Watched) AwaitFailOver() {
	w.t.Helper()
	w.ask(func(ctx context.Context, c *redis.SentinelClient) error {
		addr, err := c.GetMasterAddrByName(ctx, watched).Result()
		if err == nil && net.JoinHostPort(addr[0], addr[1]) != w.Replica.Addrs[0] {
			err = fmt.Errorf("the master is still at %v", addr)
		}
		return err
	})
	w.Replica.ask("role of", func(ctx context.Context, c *redis.Client) error {
		return poll(patience, func() error { return hasRole(ctx, c, "master") })
	})
	w.Master, w.Replica = w.Replica, w.Master
}

// ask asks each sentinel until f returns nil.
func (w *Watched) ask(f func(context.Context, *redis.SentinelClient) error) {
	w.t.Helper()
	for _, addr := range w.Addrs {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		c := redis.NewSentinelClient(&redis.Options{Addr: addr})
		err := poll(patience, func() error { return f(ctx, c) })
		_ = c.Close()
		cancel()
		if err != nil {
			w.t.Fatalf("sentinel %s: %v", addr, err)
		}
	}
}
