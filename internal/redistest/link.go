package redistest

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Link is the network between one user of a server, say a node of a fleet, and
// that server. What it does to its connections others do not notice.
//
// In a [Bubble] the connections are in memory, else they lead through a TCP
// proxy on loopback, which other processes can use too, at [Link.Addr] or by
// [Link.Routes].
//
// Faults of different kinds add up, and [Link.Heal] ends them all. All methods
// may be called concurrently.
type Link struct {
	t testing.TB
	s *Server

	mu       sync.Mutex
	up, down faults
	refuses  bool
	closed   bool
	dials    uint64
	pipes    pipes
	proxies  map[string]*proxy // by the address that they were made for
	running  sync.WaitGroup    // the proxies' goroutines
}

// A Direction is one way that bytes take, or both.
type Direction int

const (
	Both Direction = iota
	Up             // to the server: commands
	Down           // from the server: replies and messages
)

// NewLink returns a link to the server, or to all of the cluster, or to all that
// Sentinel watches over and to the sentinels, that ends with the test.
func (s *Server) NewLink(t testing.TB) *Link {
	t.Helper()
	l := &Link{t: t, s: s, proxies: map[string]*proxy{}}
	t.Cleanup(l.close)
	if s.inMemory() {
		return l
	}
	for _, addr := range s.reachable() {
		if _, err := l.proxy(addr); err != nil {
			t.Fatalf("proxy for %s: %v", addr, err)
		}
	}
	return l
}

// NewClient is [Server.NewClient] over the link.
func (l *Link) NewClient(t testing.TB, hooks ...func(*redis.UniversalOptions)) redis.UniversalClient {
	t.Helper()
	return l.s.newClient(t, l.dial, hooks)
}

// Freeze holds back what is sent in a direction, the news that a connection was
// closed too, as a network does that is away for less time than TCP's patience.
// All of it arrives on Heal, even if the sender has given up meanwhile: so a
// write can be late. Connections open and are not answered.
func (l *Link) Freeze(d Direction) { l.change(d, func(f *faults) { f.flow = frozen }) }

// Swallow loses what is sent in a direction. Nobody is told; on Heal, the
// connections that have lost something are cut. With Up, commands do not reach
// the server; with Down, they are executed and the replies do not come back.
func (l *Link) Swallow(d Direction) { l.change(d, func(f *faults) { f.flow = swallowed }) }

// Delay lets everything arrive later, by delay and a random part of jitter, in
// either direction. The order stays.
func (l *Link) Delay(delay, jitter time.Duration) {
	l.change(Both, func(f *faults) { f.delay, f.jitter = delay, jitter })
}

// Drop cuts all connections, as a reset does. New ones are accepted.
func (l *Link) Drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop()
}

func (l *Link) drop() {
	for _, p := range l.pipes.all() {
		p.cut()
	}
}

// Refuse refuses new connections. Those that are open stay.
func (l *Link) Refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse()
}

func (l *Link) refuse() {
	l.refuses = true
	for _, p := range l.proxies {
		p.shut()
	}
}

// Cut cuts all connections and refuses new ones.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse()
	l.drop()
}

// Heal ends all faults.
func (l *Link) Heal() {
	l.change(Both, func(f *faults) { *f = faults{} })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.refuses = false
	for _, p := range l.proxies {
		// Its port is out of the way of others, but nobody reserves it.
		if err := poll(patience, p.listen); err != nil {
			l.t.Errorf("heal link: %v", err)
		}
	}
}

// Conns returns how many connections are open at one end at least.
func (l *Link) Conns() int { return l.pipes.len() }

func (l *Link) change(d Direction, set func(*faults)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d != Down {
		set(&l.up)
	}
	if d != Up {
		set(&l.down)
	}
	for _, p := range l.pipes.all() {
		p.suffer(l.up, l.down)
	}
}

// newPipe returns a connection that suffers the link's faults, or an error while
// the link refuses.
func (l *Link) newPipe(addr string, limit int) (*pipe, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuses {
		return nil, errRefused(addr)
	}
	l.dials++
	p := newPipe(limit, l.dials)
	l.pipes.add(p)
	p.suffer(l.up, l.down)
	return p, nil
}

// dial is a client's dialer.
func (l *Link) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if !l.s.inMemory() {
		p, err := l.proxy(addr)
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{}).DialContext(ctx, network, p.addr)
	}
	p, err := l.newPipe(addr, pipeBuffer)
	if err != nil {
		return nil, err
	}
	if err := l.s.mini.serve(p); err != nil {
		_ = p.client.Close()
		_ = p.server.Close()
		return nil, err
	}
	return p.client, nil
}

func (l *Link) close() {
	l.mu.Lock()
	l.closed = true
	l.refuse()
	l.drop()
	l.mu.Unlock()
	l.running.Wait()
}

func errRefused(addr string) error {
	return &net.OpError{Op: "dial", Net: "memory", Addr: pipeAddr(addr), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}
