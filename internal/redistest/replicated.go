package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A Pair is a master and its replica behind one address, as of a proxy or a DNS
// name that follows the master. Its methods of a [Server] are of that address
// and of the master that is there: clients and links lead to the address, and
// Kill, say, kills the master.
type Pair struct {
	*Server
	// Replica follows the master.
	Replica *Server
	// Stream is the network between them. Once it is cut, what is written is
	// lost in a failover.
	Stream *Link
	// Address is the proxy. Faults of it are everybody's.
	Address *Link
}

// Replicated starts a master and a replica that is in step with it. Args are
// added to the command lines of both.
func Replicated(t testing.TB, args ...string) *Pair {
	t.Helper()
	master, replica := Real(t, args...), Real(t, args...)
	p := &Pair{Replica: replica, Stream: master.NewLink(t), Address: master.NewLink(t)}
	p.Server = &Server{Addrs: []string{p.Address.Addr()}, t: t, name: realName, nodes: master.nodes}
	replica.ReplicaOf(p.Stream.Addr())
	return p
}

// FailOver kills the master, and the replica takes its place. What it has not
// been told is lost.
func (p *Pair) FailOver() {
	p.t.Helper()
	p.Kill()
	p.Promote()
	p.Address.Drop()
}

// Promote makes the replica a master, and the address leads to it. The old
// master, if it lives, stays one for those who are connected to it: that is a
// split brain, until [Pair.Rejoin].
func (p *Pair) Promote() {
	p.t.Helper()
	p.Replica.Promote()
	old := p.nodes
	p.nodes, p.Replica.nodes = p.Replica.nodes, old
	p.Replica.Addrs = []string{old[0].address()}
	p.Address.Point(p.nodes[0].address())
}

// Rejoin makes the old master, which is started if need be, the replica of the
// new one. What it alone had is lost, and the stream is healed. Those who are
// connected to it stay so: writes are refused, and subscribers hear what the new
// one publishes, until [Link.Drop] of the address.
func (p *Pair) Rejoin() {
	p.t.Helper()
	p.Replica.Start()
	p.Stream.Point(p.nodes[0].address())
	p.Stream.Heal()
	p.Stream.Drop()
	p.Replica.ReplicaOf(p.Stream.Addr())
}

// Sync waits until the replica has all that was written.
func (p *Pair) Sync() {
	p.t.Helper()
	err := poll(patience, func() error {
		var sent, got string
		p.ask("offset of", func(ctx context.Context, c *redis.Client) error {
			info, err := c.Info(ctx, "replication").Result()
			sent = field(info, "master_repl_offset")
			return err
		})
		p.Replica.ask("offset of", func(ctx context.Context, c *redis.Client) error {
			info, err := c.Info(ctx, "replication").Result()
			got = field(info, "slave_repl_offset")
			return err
		})
		if sent == "" || sent != got {
			return fmt.Errorf("offset %q of %q", got, sent)
		}
		return nil
	})
	if err != nil {
		p.t.Fatalf("replica is not in step: %v", err)
	}
}

// ReplicaOf makes the server the replica of the master at an address, and waits
// until it has a copy.
func (s *Server) ReplicaOf(addr string) {
	s.t.Helper()
	s.disturb("make a replica of", func(ctx context.Context, c *redis.Client) error {
		return replicate(ctx, c, addr)
	})
}

func replicate(ctx context.Context, c *redis.Client, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if err := c.ReplicaOf(ctx, host, port).Err(); err != nil {
		return err
	}
	return poll(patience, func() error { return inStep(ctx, c) })
}

// inStep fails until a replica has a copy, and gets what is written.
func inStep(ctx context.Context, c *redis.Client) error {
	info, err := c.Info(ctx, "replication").Result()
	if err != nil {
		return err
	}
	if field(info, "master_link_status") != "up" {
		return errors.New("redistest: link to the master is down")
	}
	// A master sends what is written only once it takes the copy for complete.
	master := redis.NewClient(adminOptions(net.JoinHostPort(field(info, "master_host"), field(info, "master_port"))))
	defer master.Close()
	known, err := master.Info(ctx, "replication").Result()
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(c.Options().Addr)
	if err == nil && !strings.Contains(known, "port="+port+",state=online") {
		err = errors.New("redistest: the master sends nothing yet")
	}
	return err
}
