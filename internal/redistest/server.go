package redistest

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// patience bounds everything that a server is waited for: start, stop, an
// answer. It is long because a busy machine is no reason to fail.
const patience = 30 * time.Second

// A Server is one Redis, or one cluster, that belongs to a test.
//
// Its methods fail the test when they cannot do what they promise, so they must
// be called on the test's goroutine. NewClient's clients may be used anywhere.
type Server struct {
	// Addrs are the host:port pairs to connect to: one, or each master of a
	// cluster. In a bubble the address is one that only NewClient can reach.
	Addrs []string

	t     testing.TB
	name  string
	nodes []node
	mini  *mini
	lease *lease // of a shared cluster, else nil

	via    func(*redis.UniversalOptions) // how clients find it, nil: by Addrs
	beside []string                      // what else they connect to then

	// Of a cluster:
	replicas []*process // of each node, or nil
	bus      *bus
}

// A node is one server process, or what stands for one.
type node interface {
	address() string
	pid() int
	start() error
	stop() error // keeping the data
	kill() error // losing it
	freeze() error
	thaw() error
	dropClients() error
}

// Name returns "miniredis", "redis", "cluster" or "sentinel".
func (s *Server) Name() string { return s.name }

// Real reports whether a redis-server process answers, or several do.
func (s *Server) Real() bool { return s.mini == nil }

// IsCluster reports whether keys are spread over several masters.
func (s *Server) IsCluster() bool { return s.name == clusterName }

func (s *Server) inMemory() bool { return s.mini != nil && s.mini.inMemory }

// Mini returns the miniredis behind s, nil if s is real.
func (s *Server) Mini() *miniredis.Miniredis {
	if s.mini == nil {
		return nil
	}
	return s.mini.m
}

// NewClient returns a client of the server, or of the cluster, which is closed
// when the test ends. Hooks may change its options before it is built.
func (s *Server) NewClient(t testing.TB, hooks ...func(*redis.UniversalOptions)) redis.UniversalClient {
	t.Helper()
	if s.inMemory() {
		return s.newClient(t, s.mini.dial, hooks)
	}
	return s.newClient(t, nil, hooks)
}

// reachable are all addresses that clients of the server connect to, replicas too.
func (s *Server) reachable() []string {
	all := slices.Concat(s.Addrs, s.beside)
	for _, p := range s.replicas {
		if p != nil {
			all = append(all, p.address())
		}
	}
	return all
}

type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// newClient is NewClient with a dialer, nil for go-redis's own.
func (s *Server) newClient(t testing.TB, dial dialer, hooks []func(*redis.UniversalOptions)) redis.UniversalClient {
	t.Helper()
	opts := &redis.UniversalOptions{Addrs: slices.Clone(s.Addrs), IsClusterMode: s.IsCluster(), Dialer: dial}
	if s.inMemory() {
		// Clients that wait for their pool share timers across the process, and
		// a timer of one bubble panics in another. A large pool never waits.
		opts.PoolSize = 4096
	}
	if s.via != nil {
		s.via(opts)
	}
	for _, hook := range hooks {
		hook(opts)
	}
	client := redis.NewUniversalClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Flush removes all data, on every master. Scripts stay cached.
func (s *Server) Flush() {
	s.t.Helper()
	if s.mini != nil {
		s.mini.m.FlushAll()
		return
	}
	s.ask("flush", func(ctx context.Context, c *redis.Client) error { return c.FlushAll(ctx).Err() })
}

// processes returns the nodes of a server that has processes, or fails the test.
func (s *Server) processes() []*process {
	s.t.Helper()
	if !s.Real() {
		s.t.Fatal("needs a real server")
	}
	processes := make([]*process, len(s.nodes))
	for i, n := range s.nodes {
		processes[i] = n.(*process)
	}
	return processes
}

// ask calls f with a client of each process.
func (s *Server) ask(verb string, f func(context.Context, *redis.Client) error) {
	s.t.Helper()
	for _, p := range s.processes() {
		if err := p.once(f); err != nil {
			s.t.Fatalf("%s %s: %v", verb, p.address(), err)
		}
	}
}
