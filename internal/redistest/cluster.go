package redistest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	clusterName = "cluster"
	clusterSize = 3 // masters, unless a test says how many
	slots       = 16384
)

// Cluster starts three masters that share the slots evenly. It takes about two
// seconds, which is how long Redis waits before a new cluster accepts writes;
// [Each] pays that once in a package. Args are added to the command
// line of each.
func Cluster(t testing.TB, args ...string) *Server {
	t.Helper()
	return ClusterOf(t, clusterSize, args...)
}

// ClusterOf is [Cluster] with another number of masters.
func ClusterOf(t testing.TB, n int, args ...string) *Server {
	t.Helper()
	nodes, err := startCluster(serverPath(t), n, 0, clusterArgs(args))
	t.Cleanup(func() { finishAll(t, nodes) })
	if err != nil {
		t.Fatalf("start cluster: %v", err)
	}
	return clusterServer(t, nodes, make([]*process, n))
}

func clusterServer(t testing.TB, masters, replicas []*process) *Server {
	s := &Server{t: t, name: clusterName, replicas: slices.Clone(replicas)}
	for _, p := range masters {
		s.Addrs = append(s.Addrs, p.address())
		s.nodes = append(s.nodes, p)
	}
	return s
}

// startCluster returns the masters and then the replicas, those that it could
// start if there is an error.
func startCluster(path string, masters, replicas int, args arguments) ([]*process, error) {
	nodes, err := newProcesses(path, masters+replicas, args)
	if err == nil {
		err = join(nodes[:masters], nodes[masters:])
	}
	return nodes, err
}

// clusterArgs gives the bus a port of its own, because Redis's habit of adding
// 10000 may land on one that is taken.
func clusterArgs(more []string) arguments {
	return func(string) ([]string, error) {
		bus, err := freePort()
		return append([]string{
			"--cluster-enabled", "yes",
			"--cluster-port", strconv.Itoa(bus),
			"--cluster-announce-ip", "127.0.0.1",
			"--cluster-node-timeout", "2000",
		}, more...), err
	}
}

// arg returns the value of an argument of p's command line, "" if there is none.
func (p *process) arg(name string) string {
	for i, arg := range p.args {
		if arg == name {
			return p.args[i+1]
		}
	}
	return ""
}

// join deals out the slots, introduces the nodes, gives each replica its master
// and waits until all agree.
func join(masters, replicas []*process) error {
	for i, p := range masters {
		first, last := i*slots/len(masters), (i+1)*slots/len(masters)-1
		err := p.once(func(ctx context.Context, c *redis.Client) error {
			if err := c.ClusterAddSlotsRange(ctx, first, last).Err(); err != nil {
				return err
			}
			// Else they find epochs of their own while they serve, and a slot that
			// moves meanwhile can end as nobody's.
			if err := c.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
				return err
			}
			return meet(ctx, c, masters[0])
		})
		if err != nil {
			return err
		}
	}
	// Meanwhile the masters wait before they accept writes.
	errs := make([]error, len(replicas))
	var wg sync.WaitGroup
	for i, p := range replicas {
		wg.Go(func() { errs[i] = follow(p, masters[i], masters) })
	}
	wg.Wait()
	return errors.Join(errors.Join(errs...), clusterReady(masters))
}

// meet introduces c's node to peer, and so to all that it knows.
func meet(ctx context.Context, c *redis.Client, peer *process) error {
	bus := peer.arg("--cluster-announce-bus-port")
	if bus == "" {
		bus = peer.arg("--cluster-port")
	}
	return c.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", peer.port, bus).Err()
}

// clusterReady waits until every node sees all slots served.
func clusterReady(nodes []*process) error {
	for _, p := range nodes {
		err := p.once(func(ctx context.Context, c *redis.Client) error {
			return poll(patience, func() error { return clusterOK(ctx, c) })
		})
		if err != nil {
			return fmt.Errorf("%s: %w", p.address(), err)
		}
	}
	return nil
}

func clusterOK(ctx context.Context, c *redis.Client) error {
	info, err := c.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	for _, want := range []string{"cluster_state:ok", "cluster_slots_ok:16384"} {
		if !strings.Contains(info, want) {
			return fmt.Errorf("redistest: no %s in %q", want, info)
		}
	}
	return nil
}

// cluster fails the test unless s is a cluster, and spoils it for the next.
func (s *Server) cluster() []*process {
	s.t.Helper()
	if !s.IsCluster() {
		s.t.Fatal("needs a cluster")
	}
	s.spoil()
	return s.processes()
}

func (p *process) clusterID() (id string, err error) {
	err = p.once(func(ctx context.Context, c *redis.Client) error {
		id, err = c.Do(ctx, "CLUSTER", "MYID").Text()
		return err
	})
	return id, err
}
