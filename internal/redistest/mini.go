package redistest

import (
	"bufio"
	"context"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

const miniName = "miniredis"

// memoryAddr stands for a server that is reached through memory. It is an IP
// address because go-redis resolves names, which no bubble survives, and one
// where nothing listens, for a client that was not made by NewClient.
const memoryAddr = "127.0.0.1:1"

// Mini starts a miniredis on a free loopback port. Keys expire by the clock.
func Mini(t testing.TB) *Server {
	t.Helper()
	return newMini(t, false)
}

func newMini(t testing.TB, inMemory bool) *Server {
	t.Helper()
	n := &mini{m: miniredis.NewMiniRedis(), inMemory: inMemory}
	if inMemory {
		n.addr = memoryAddr
	}
	n.m.ClockTTL(true)
	// The first try may lose its port to another process.
	err := n.start()
	for try := 0; err != nil && try < 10; try++ {
		err = n.start()
	}
	if err != nil {
		t.Fatalf("start miniredis: %v", err)
	}
	t.Cleanup(func() { _ = n.kill() })
	return &Server{Addrs: []string{n.addr}, t: t, name: miniName, nodes: []node{n}, mini: n}
}

// mini is a miniredis that listens on loopback or, in memory, is reached
// through dial alone.
type mini struct {
	m        *miniredis.Miniredis
	inMemory bool

	mu     sync.Mutex
	addr   string
	frozen chan struct{} // closed by thaw; nil unless frozen
	skew   time.Duration // of its clock
	pipes  pipes         // in memory: the connections
}

func (n *mini) address() string { return n.addr }
func (n *mini) pid() int        { return 0 }

func (n *mini) start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.m.Server() != nil {
		return nil
	}
	// Close cancels it for good, and blocking commands obey it.
	n.m.Ctx, n.m.CtxCancel = context.WithCancel(context.Background())
	if n.inMemory {
		// There is no other way to start one without a listener.
		conn, err := n.m.Dial()
		if err != nil {
			return err
		}
		n.hook()
		return conn.Close()
	}
	if n.addr != "" {
		return n.m.StartAddr(n.addr)
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	if err := n.m.StartAddr(loopback(port)); err != nil {
		return err
	}
	n.addr = n.m.Addr()
	return nil
}

func (n *mini) stop() error {
	n.shut()
	return nil
}

func (n *mini) kill() error {
	n.shut()
	n.m.FlushAll()
	return nil
}

func (n *mini) shut() {
	_ = n.thaw()
	n.mu.Lock()
	defer n.mu.Unlock()
	srv := n.m.Server()
	if srv == nil {
		return
	}
	n.m.Close()
	// Its scripts outlive it, unlike those of a process.
	scriptFlush(srv)
}

func (n *mini) flushScripts() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if srv := n.m.Server(); srv != nil {
		scriptFlush(srv)
	}
}

func scriptFlush(srv *server.Server) {
	srv.Dispatch(server.NewPeer(bufio.NewWriter(io.Discard)), []string{"SCRIPT", "FLUSH"})
}

func (n *mini) freeze() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	srv := n.m.Server()
	if srv == nil || n.frozen != nil {
		return nil
	}
	n.frozen = make(chan struct{})
	n.hook()
	return nil
}

func (n *mini) thaw() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.frozen == nil {
		return nil
	}
	close(n.frozen)
	n.frozen = nil
	n.hook()
	return nil
}

// SkewClock sets the clock of a miniredis in a [Bubble] by d ahead of that of its
// clients, or back, as TIME tells it. Keys expire by the clients' clock still.
func (s *Server) SkewClock(d time.Duration) {
	s.t.Helper()
	if !s.inMemory() {
		s.t.Fatal("only a miniredis in a bubble has a clock of its own")
	}
	s.mini.mu.Lock()
	defer s.mini.mu.Unlock()
	s.mini.skew = d
	if s.mini.m.Server() != nil {
		s.mini.hook()
	}
}

// hook has the server do what miniredis cannot. Scripts' commands pass it, too.
// The caller holds mu, and the server runs.
func (n *mini) hook() {
	frozen, skew := n.frozen, n.skew
	if frozen == nil && skew == 0 {
		n.m.Server().SetPreHook(nil)
		return
	}
	n.m.Server().SetPreHook(func(p *server.Peer, command string, _ ...string) bool {
		if frozen != nil {
			<-frozen
		}
		if skew == 0 || command != "TIME" {
			return false
		}
		now := time.Now().Add(skew)
		p.WriteLen(2)
		p.WriteBulk(strconv.FormatInt(now.Unix(), 10))
		p.WriteBulk(strconv.Itoa(now.Nanosecond() / 1000))
		return true
	})
}

func (n *mini) dropClients() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.inMemory && n.m.Server() != nil {
		n.m.Close()
		n.m.Ctx, n.m.CtxCancel = context.WithCancel(context.Background())
		return n.m.StartAddr(n.addr)
	}
	for _, p := range n.pipes.all() {
		_ = p.server.Close()
	}
	return nil
}

// serve takes the server's end of a connection in memory.
func (n *mini) serve(p *pipe) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	srv := n.m.Server()
	if srv == nil {
		return errRefused(n.addr)
	}
	n.pipes.add(p)
	srv.ServeConn(p.server)
	return nil
}

// dial is a client's dialer.
func (n *mini) dial(context.Context, string, string) (net.Conn, error) {
	p := newPipe(pipeBuffer, 0)
	if err := n.serve(p); err != nil {
		return nil, err
	}
	return p.client, nil
}
