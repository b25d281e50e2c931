package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	sentinelName = "sentinel"

	watchers = 3
	// MasterName is what [Sentinels] calls the master.
	MasterName = "main"
)

// A Watched is a master and its replica, over which three sentinels watch: they
// replace a master that is gone for a second, unless [Watched.DownAfter] says
// otherwise.
type Watched struct {
	Addrs           []string // of the sentinels
	Master, Replica *Server

	t testing.TB
}

// Sentinels starts a master, its replica, and three sentinels. Args are added to
// the command lines of the two.
func Sentinels(t testing.TB, args ...string) *Watched {
	t.Helper()
	processes, err := startSentinels(serverPath(t), time.Second, args...)
	t.Cleanup(func() { finishAll(t, processes) })
	if err != nil {
		t.Fatalf("start sentinels: %v", err)
	}
	return newWatched(t, processes)
}

// newWatched takes what startSentinels returns.
func newWatched(t testing.TB, processes []*process) *Watched {
	w := &Watched{t: t, Master: single(t, processes[0]), Replica: single(t, processes[1])}
	for _, p := range processes[2:] {
		w.Addrs = append(w.Addrs, p.address())
	}
	return w
}

// startSentinels returns a master, its replica and the sentinels, or those that it
// could start. The master is replaced when it is gone for as long as that.
func startSentinels(path string, gone time.Duration, args ...string) ([]*process, error) {
	pair, err := newProcesses(path, 2, func(string) ([]string, error) { return args, nil })
	if err != nil {
		return pair, err
	}
	master, replica := pair[0], pair[1]
	err = replica.once(func(ctx context.Context, c *redis.Client) error { return replicate(ctx, c, master.address()) })
	if err != nil {
		return pair, err
	}
	sentinels, err := newProcesses(path, watchers, func(dir string) ([]string, error) {
		file := filepath.Join(dir, "sentinel.conf") // which it rewrites
		text := fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d\n"+
			"sentinel down-after-milliseconds %[1]s %[4]d\nsentinel failover-timeout %[1]s 5000\n",
			MasterName, master.port, watchers/2+1, gone.Milliseconds())
		return []string{file, "--sentinel"}, os.WriteFile(file, []byte(text), 0o600)
	})
	all := slices.Concat(pair, sentinels)
	for _, p := range sentinels {
		if err == nil {
			err = p.once(hasty)
		}
	}
	for _, p := range sentinels {
		if err == nil {
			err = p.await(acquainted)
		}
	}
	return all, err
}

// hasty makes a sentinel tell of itself ten times a second, so that they need not
// two seconds to meet.
func hasty(ctx context.Context, c *redis.Client) error {
	return c.Do(ctx, "SENTINEL", "DEBUG", "PUBLISH-PERIOD", 100).Err()
}

// acquainted fails while a sentinel does not know the others or the replica: it
// would replace nothing.
func acquainted(ctx context.Context, c *redis.Client) error {
	master := redis.NewMapStringStringCmd(ctx, "SENTINEL", "MASTER", MasterName)
	if err := c.Process(ctx, master); err != nil {
		return err
	}
	known := master.Val()
	if known["num-other-sentinels"] != fmt.Sprint(watchers-1) || known["num-slaves"] != "1" {
		return fmt.Errorf("redistest: knows %s sentinels and %s replicas", known["num-other-sentinels"], known["num-slaves"])
	}
	return nil
}

// NewClient returns a client that asks the sentinels for the master. It is closed
// when the test ends.
func (w *Watched) NewClient(t testing.TB, hooks ...func(*redis.UniversalOptions)) redis.UniversalClient {
	t.Helper()
	return w.Server().NewClient(t, hooks...)
}

// Server is the master as its clients find it, through the sentinels, until it is
// replaced: which they do if it is stopped for as long as [Watched.DownAfter].
func (w *Watched) Server() *Server {
	s := *w.Master
	s.name = sentinelName
	s.via = func(o *redis.UniversalOptions) { o.Addrs, o.MasterName = w.Addrs, MasterName }
	s.beside = slices.Concat(w.Addrs, w.Replica.Addrs)
	return &s
}

// DownAfter sets for how long the master must be gone until it is replaced.
func (w *Watched) DownAfter(d time.Duration) {
	w.t.Helper()
	w.ask(func(ctx context.Context, c *redis.SentinelClient) error {
		return c.Set(ctx, MasterName, "down-after-milliseconds", fmt.Sprint(d.Milliseconds())).Err()
	})
}

// FailOver makes the master change places with its replica, in good order.
func (w *Watched) FailOver() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := redis.NewSentinelClient(&redis.Options{Addr: w.Addrs[0]})
	defer c.Close()
	// It refuses as long as it takes the replica for one that is not in step.
	if err := poll(patience, func() error { return c.Failover(ctx, MasterName).Err() }); err != nil {
		w.t.Fatalf("fail over: %v", err)
	}
	w.AwaitFailOver()
}

// AwaitFailOver waits until the replica has taken the place of the master, which
// was killed or frozen. Then Master is the new one.
func (w *Watched) AwaitFailOver() {
	w.t.Helper()
	w.ask(func(ctx context.Context, c *redis.SentinelClient) error {
		addr, err := c.GetMasterAddrByName(ctx, MasterName).Result()
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

// AwaitReplica waits until the replica is in step, as the former master is once it
// is back and the sentinels have told it, ten seconds later.
func (w *Watched) AwaitReplica() {
	w.t.Helper()
	w.Replica.ask("role of", func(ctx context.Context, c *redis.Client) error {
		return poll(patience, func() error { return errors.Join(hasRole(ctx, c, "slave"), inStep(ctx, c)) })
	})
	w.ask(func(ctx context.Context, c *redis.SentinelClient) error {
		replicas, err := c.Replicas(ctx, MasterName).Result()
		if err == nil && (len(replicas) != 1 || replicas[0]["flags"] != "slave") {
			err = fmt.Errorf("sentinel takes the replica for %v", replicas)
		}
		return err
	})
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
