package redistest

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"

	"github.com/redis/go-redis/v9"
)

// A bus is the network on which the nodes of a cluster talk to each other. Each
// node announces a port of the bus's, which leads to its own, and each speaks
// from a loopback address of its own, so that the bus knows both ends. Only on
// Linux are there more loopback addresses than one: elsewhere there is no bus.
//
// A nil bus is no bus.
type bus struct {
	accepting, serving sync.WaitGroup

	mu        sync.Mutex
	listeners []net.Listener
	wires     map[wire]*Link
	isolated  map[string]bool
	speakers  int
}

// A wire leads from the node with one address to the port of another.
type wire struct{ from, to string }

func newBus() *bus {
	if runtime.GOOS != "linux" {
		return nil
	}
	return &bus{wires: map[wire]*Link{}, isolated: map[string]bool{}}
}

// args adds to a node's arguments what puts it on the bus.
func (b *bus) args(of arguments) arguments {
	if b == nil {
		return of
	}
	return func(dir string) ([]string, error) {
		args, err := of(dir)
		if err != nil {
			return nil, err
		}
		node := &process{args: args}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.listeners = append(b.listeners, l)
		b.speakers++
		from := fmt.Sprintf("127.0.0.%d", 1+b.speakers)
		to := "127.0.0.1:" + node.arg("--cluster-port")
		b.accepting.Go(func() { b.accept(l, to) })
		_, port, err := net.SplitHostPort(l.Addr().String())
		return append(args,
			"--cluster-announce-bus-port", port,
			"--bind-source-addr", from,
			"--protected-mode", "no", // which would take it for a stranger's
		), err
	}
}

func (b *bus) accept(l net.Listener, to string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed
		}
		from, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
		p := &proxy{link: b.wire(wire{from, to}), to: to}
		b.serving.Go(func() { p.serve(conn.(*net.TCPConn)) })
	}
}

func (b *bus) wire(w wire) *Link {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.wires[w]
	if l == nil {
		l = &Link{}
		b.wires[w] = l
		b.set(w, l)
	}
	return l
}

// set gives a wire the faults of its ends.
func (b *bus) set(w wire, l *Link) {
	if b.isolated[w.from] || b.isolated[w.to] {
		l.Swallow(Both)
	} else {
		l.Heal()
	}
}

func (b *bus) isolate(p *process, isolated bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.isolated[p.arg("--bind-source-addr")] = isolated
	b.isolated["127.0.0.1:"+p.arg("--cluster-port")] = isolated
	for w, l := range b.wires {
		b.set(w, l)
	}
}

func (b *bus) close() {
	if b == nil {
		return
	}
	b.mu.Lock()
	for _, l := range b.listeners {
		_ = l.Close()
	}
	b.mu.Unlock()
	b.accepting.Wait() // no wire is added any more
	for _, l := range b.wires {
		l.close()
	}
	b.serving.Wait()
}

// Isolate cuts the i-th master off from all other nodes and from its replica.
// Clients still reach it: it accepts writes until it notices that it is alone,
// and the others replace it. Only a cluster of [ClusterWithReplicas] can.
func (s *Server) Isolate(i int) {
	s.t.Helper()
	s.cut(s.cluster()[i], true)
	s.Replica(i).ask("cut off", func(ctx context.Context, c *redis.Client) error {
		// A wrong password keeps it from coming back.
		return c.ConfigSet(ctx, "masterauth", "wrong").Err()
	})
	s.Node(i).ask("cut off from", func(ctx context.Context, c *redis.Client) error {
		return killClients(ctx, c, "replica")
	})
}

// Reunite ends Isolate, of the node that has been replaced meanwhile, if it has.
func (s *Server) Reunite(i int) {
	s.t.Helper()
	for _, p := range []*process{s.cluster()[i], s.replicas[i]} {
		s.cut(p, false)
		err := p.once(func(ctx context.Context, c *redis.Client) error {
			return c.ConfigSet(ctx, "masterauth", "").Err()
		})
		if err != nil {
			s.t.Fatalf("reunite %s: %v", p.address(), err)
		}
	}
}

func (s *Server) cut(p *process, isolated bool) {
	s.t.Helper()
	if s.bus == nil {
		s.t.Fatal("needs the bus of ClusterWithReplicas, on Linux")
	}
	s.bus.isolate(p, isolated)
}
