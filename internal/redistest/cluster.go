package redistest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	clusterName = "cluster"
	masters     = 3
	slots       = 16384
)

// Cluster starts three masters that share the slots evenly. It takes about two
// seconds, which is how long Redis waits before a new cluster accepts writes;
// [EachWithCluster] pays that once in a package.
func Cluster(t testing.TB) *Server {
	t.Helper()
	nodes, err := newCluster(serverPath(t))
	if err != nil {
		t.Fatalf("start cluster: %v", err)
	}
	t.Cleanup(func() {
		for _, p := range nodes {
			finish(t, p)
		}
	})
	return clusterServer(t, nodes)
}

func clusterServer(t testing.TB, processes []*process) *Server {
	s := &Server{t: t, name: clusterName}
	for _, p := range processes {
		s.Addrs = append(s.Addrs, p.address())
		s.nodes = append(s.nodes, p)
	}
	return s
}

// AddReplica starts a replica of the cluster's i-th master, and returns it once
// it is in step with that. Nodes and Addrs do not count it.
func (s *Server) AddReplica(i int) *Server {
	s.t.Helper()
	if !s.IsCluster() {
		s.t.Fatal("AddReplica needs a cluster")
	}
	s.spoil()
	p, err := newProcess(serverPath(s.t), clusterArgs)
	if err != nil {
		s.t.Fatalf("start replica: %v", err)
	}
	s.t.Cleanup(func() { finish(s.t, p) })
	if err := s.follow(p, s.nodes[i].(*process)); err != nil {
		s.t.Fatalf("replica of %s: %v", s.nodes[i].address(), err)
	}
	return &Server{Addrs: []string{p.address()}, t: s.t, name: realName, nodes: []node{p}, lease: s.lease}
}

func newCluster(path string) ([]*process, error) {
	nodes := make([]*process, masters)
	errs := make([]error, masters)
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() { nodes[i], errs[i] = newProcess(path, clusterArgs) })
	}
	wg.Wait()
	err := errors.Join(errs...)
	if err == nil {
		err = join(nodes)
	}
	if err != nil {
		closeAll(nodes)
		return nil, err
	}
	return nodes, nil
}

func closeAll(nodes []*process) {
	for _, p := range nodes {
		if p != nil {
			p.close()
		}
	}
}

// clusterArgs gives the bus a port of its own, because Redis's habit of adding
// 10000 may land on one that is taken.
func clusterArgs() ([]string, error) {
	bus, err := freePort()
	return []string{
		"--cluster-enabled", "yes",
		"--cluster-port", strconv.Itoa(bus),
		"--cluster-announce-ip", "127.0.0.1",
		"--cluster-node-timeout", "2000",
	}, err
}

func (p *process) busPort() string {
	for i, arg := range p.args {
		if arg == "--cluster-port" {
			return p.args[i+1]
		}
	}
	return ""
}

// join deals out the slots, introduces the nodes and waits until all agree.
func join(nodes []*process) error {
	for i, p := range nodes {
		first, last := i*slots/masters, (i+1)*slots/masters-1
		err := p.once(func(ctx context.Context, c *redis.Client) error {
			if err := c.ClusterAddSlotsRange(ctx, first, last).Err(); err != nil {
				return err
			}
			return meet(ctx, c, nodes[0])
		})
		if err != nil {
			return err
		}
	}
	return clusterReady(nodes)
}

func meet(ctx context.Context, c *redis.Client, peer *process) error {
	return c.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", peer.port, peer.busPort()).Err()
}

// clusterReady waits until every node sees all masters and all slots served.
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
	for _, want := range []string{"cluster_state:ok", "cluster_slots_ok:16384", fmt.Sprintf("cluster_size:%d", masters)} {
		if !strings.Contains(info, want) {
			return fmt.Errorf("redistest: no %s in %q", want, info)
		}
	}
	return nil
}

// follow makes p a replica of master, and waits for its first copy and until
// all masters know it: a stranger gets no vote.
func (s *Server) follow(p, master *process) error {
	var id string
	err := master.once(func(ctx context.Context, c *redis.Client) (err error) {
		id, err = c.Do(ctx, "CLUSTER", "MYID").Text()
		return err
	})
	if err != nil {
		return err
	}
	err = p.once(func(ctx context.Context, c *redis.Client) error {
		if err := meet(ctx, c, master); err != nil {
			return err
		}
		// Until it has met the master it does not know the id.
		if err := poll(patience, func() error { return c.ClusterReplicate(ctx, id).Err() }); err != nil {
			return err
		}
		return poll(patience, func() error { return inStep(ctx, c) })
	})
	for _, n := range s.processes() {
		if err == nil {
			err = n.once(func(ctx context.Context, c *redis.Client) error {
				return poll(patience, func() error { return hasReplica(ctx, c, id, p.address()) })
			})
		}
	}
	return err
}

func hasReplica(ctx context.Context, c *redis.Client, id, addr string) error {
	replicas, err := c.Do(ctx, "CLUSTER", "REPLICAS", id).StringSlice()
	if err == nil && !strings.Contains(strings.Join(replicas, "\n"), " "+addr+"@") {
		err = fmt.Errorf("redistest: replica %s is not known", addr)
	}
	return err
}
