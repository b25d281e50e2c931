package redistest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// ClusterWithReplicas is [Cluster] with a replica of each master. A master that
// is gone for two seconds is replaced.
func ClusterWithReplicas(t testing.TB, args ...string) *Server {
	t.Helper()
	path, b := serverPath(t), newBus()
	t.Cleanup(b.close) // after the processes
	nodes, err := startCluster(path, clusterSize, clusterSize, b.args(clusterArgs(args)))
	t.Cleanup(func() { finishAll(t, nodes) })
	if err != nil {
		t.Fatalf("start cluster: %v", err)
	}
	s := clusterServer(t, nodes[:clusterSize], nodes[clusterSize:])
	s.bus = b
	return s
}

// AddReplica starts a replica of the cluster's i-th master, and returns it once
// it is in step with that. Nodes and Addrs do not count it.
func (s *Server) AddReplica(i int) *Server {
	s.t.Helper()
	nodes := s.cluster()
	p, err := newProcess(serverPath(s.t), s.bus.args(clusterArgs(nil)))
	if err != nil {
		s.t.Fatalf("start replica: %v", err)
	}
	s.t.Cleanup(func() { finish(s.t, p) })
	if err := follow(p, nodes[i], nodes); err != nil {
		s.t.Fatalf("replica of %s: %v", nodes[i].address(), err)
	}
	s.replicas[i] = p
	return s.Replica(i)
}

// Replica returns the replica of the i-th master. After a failover, that is the
// former master.
func (s *Server) Replica(i int) *Server {
	s.t.Helper()
	s.cluster()
	p := s.replicas[i]
	if p == nil {
		s.t.Fatalf("master %d has no replica", i)
	}
	return &Server{Addrs: []string{p.address()}, t: s.t, name: realName, nodes: []node{p}, lease: s.lease}
}

// FailOver makes the i-th master change places with its replica, in good order:
// nothing is lost.
func (s *Server) FailOver(i int) {
	s.t.Helper()
	s.Replica(i).ask("fail over to", func(ctx context.Context, c *redis.Client) error {
		return c.ClusterFailover(ctx).Err()
	})
	s.AwaitFailOver(i)
	s.AwaitReplica(i)
}

// AwaitFailOver waits until the replica of the i-th master has taken its place,
// because that was killed, frozen or isolated. Then Node(i) is the new master
// and Replica(i) is what was there before.
func (s *Server) AwaitFailOver(i int) {
	s.t.Helper()
	nodes := s.cluster()
	old, replica := nodes[i], s.replicas[i]
	err := replica.once(succeed)
	s.nodes[i], s.replicas[i], s.Addrs[i] = replica, old, replica.address()
	if err == nil {
		err = clusterReady(s.processes())
	}
	// They vote for it before they hear that it has won.
	for _, p := range s.processes() {
		if err == nil {
			err = p.await(func(ctx context.Context, c *redis.Client) error { return replaced(ctx, c, old.address()) })
		}
	}
	if err != nil {
		s.t.Fatalf("no failover to %s: %v", replica.address(), err)
	}
}

// succeed waits until a replica is a master. One that does not stand for election for
// long is made to, as an operator would.
func succeed(ctx context.Context, c *redis.Client) error {
	isMaster := func() error { return hasRole(ctx, c, "master") }
	if poll(patience/3, isMaster) == nil {
		return nil
	}
	_ = c.Do(ctx, "CLUSTER", "FAILOVER", "FORCE").Err() // refused where it is a master by now
	return poll(patience/2, isMaster)
}

// AwaitReplica waits until the i-th master has a replica that is in step, as the
// former master is some time after it was started, thawed or reunited.
func (s *Server) AwaitReplica(i int) {
	s.t.Helper()
	master, p := s.cluster()[i], s.replicas[i]
	err := p.await(func(ctx context.Context, c *redis.Client) error {
		return errors.Join(hasRole(ctx, c, "slave"), inStep(ctx, c))
	})
	if err == nil {
		err = known(p, master, s.processes())
	}
	if err != nil {
		s.t.Fatalf("%s is no replica: %v", p.address(), err)
	}
}

// follow makes p a replica of master, which is one of all masters.
func follow(p, master *process, masters []*process) error {
	id, err := master.clusterID()
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
	if err != nil {
		return err
	}
	return known(p, master, masters)
}

// known waits until the replica and all masters know each other: a stranger gets no vote,
// and hears from nobody that a master has failed.
func known(p, master *process, masters []*process) error {
	id, err := master.clusterID()
	for _, m := range masters {
		if err == nil {
			err = m.await(func(ctx context.Context, c *redis.Client) error {
				return hasReplica(ctx, c, id, p.address())
			})
		}
		if err == nil {
			err = p.await(func(ctx context.Context, c *redis.Client) error { return hasMet(ctx, c, m.address()) })
		}
	}
	return err
}

// await asks p until f returns nil.
func (p *process) await(f func(context.Context, *redis.Client) error) error {
	return p.once(func(ctx context.Context, c *redis.Client) error {
		return poll(patience, func() error { return f(ctx, c) })
	})
}

func hasRole(ctx context.Context, c *redis.Client, want string) error {
	info, err := c.Info(ctx, "replication").Result()
	if role := field(info, "role"); err == nil && role != want {
		err = fmt.Errorf("redistest: a %s, not a %s", role, want)
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

// hasMet fails while c's node does not know the node at addr, or has not shaken hands.
func hasMet(ctx context.Context, c *redis.Client, addr string) error {
	nodes, err := c.ClusterNodes(ctx).Result()
	if err != nil {
		return err
	}
	for line := range strings.Lines(nodes) {
		if strings.Contains(line, " "+addr+"@") && !strings.Contains(line, "handshake") {
			return nil
		}
	}
	return fmt.Errorf("redistest: %s is not known", addr)
}

// replaced fails while c's node believes that a master at addr has slots.
func replaced(ctx context.Context, c *redis.Client, addr string) error {
	ranges, err := c.ClusterSlots(ctx).Result()
	for _, r := range ranges {
		if err == nil && r.Nodes[0].Addr == addr {
			err = fmt.Errorf("redistest: %s still has slots", addr)
		}
	}
	return err
}
