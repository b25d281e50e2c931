package redistest

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// proxyBuffer is small, so that a link that holds back what it is sent stalls
// the sender as a network does.
const proxyBuffer = 64 << 10

// A proxy is a link's listener for one server.
type proxy struct {
	link *Link
	addr string // where it listens

	// The link's lock guards these.
	to       string // where it leads
	listener net.Listener
}

// NewProxy returns a link to one server, for users that know no more of it than
// an address: [Link.Addr] is theirs.
func NewProxy(t testing.TB, addr string) *Link {
	t.Helper()
	return (&Server{Addrs: []string{addr}, t: t, name: realName}).NewLink(t)
}

// Addr returns the address of the link to a server that is no cluster. It has
// none in a [Bubble].
func (l *Link) Addr() string {
	l.t.Helper()
	return l.only().addr
}

// Point makes the link lead to another address: for new connections, so that
// Drop makes all take the new way. Then the servers fail over, and their address
// stays.
func (l *Link) Point(addr string) {
	l.t.Helper()
	p := l.only()
	l.mu.Lock()
	defer l.mu.Unlock()
	p.to = addr
}

// only returns the proxy of a link that has one.
func (l *Link) only() *proxy {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.proxies[l.s.Addrs[0]]
	if p == nil || len(l.s.Addrs) > 1 {
		l.t.Fatalf("a link to %v has no single address", l.s.Addrs)
	}
	return p
}

// Routes returns where the link listens for each address of the server. With
// [Via], a client in another process uses it, of a cluster too.
func (l *Link) Routes() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	routes := map[string]string{}
	for to, p := range l.proxies {
		routes[to] = p.addr
	}
	return routes
}

// Via makes a client take the routes of a [Link], where there is one.
func Via(routes map[string]string) func(*redis.UniversalOptions) {
	return func(o *redis.UniversalOptions) { o.Dialer = routed(routes).dial }
}

// proxy returns the proxy for a server. It starts one for a server that was
// added to the cluster since.
func (l *Link) proxy(to string) (*proxy, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.proxies[to]; p != nil {
		return p, nil
	}
	if l.refuses {
		return nil, errRefused(to)
	}
	p := &proxy{link: l, to: to}
	var err error
	for range 10 { // another process may take the port first
		if err = p.listen(); err == nil {
			l.proxies[to] = p
			return p, nil
		}
	}
	return nil, err
}

// listen listens on the port that it had before, if there was one.
func (p *proxy) listen() error {
	if p.listener != nil {
		return nil
	}
	addr := p.addr
	if addr == "" {
		port, err := freePort()
		if err != nil {
			return err
		}
		addr = loopback(port)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	p.listener = l
	if p.addr == "" {
		p.addr = addr // once, as it is read without the lock
	}
	p.link.running.Go(func() { p.accept(l) })
	return nil
}

func (p *proxy) shut() {
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
}

func (p *proxy) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // shut
		}
		p.link.running.Go(func() { p.serve(conn.(*net.TCPConn)) })
	}
}

// serve joins conn to a connection in memory, which has the faults, and that to
// the server.
func (p *proxy) serve(conn *net.TCPConn) {
	l := p.link
	middle, err := l.newPipe(p.addr, proxyBuffer)
	if err != nil {
		abort(conn)
		return
	}
	l.running.Go(func() { splice(conn, middle.client) })

	l.mu.Lock()
	to := p.to
	l.mu.Unlock()
	server, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		_ = middle.server.Close()
		return
	}
	splice(server.(*net.TCPConn), middle.server)
}

// splice passes bytes between a socket and an end of a pipe until one of them is
// closed, and closes the other.
func splice(conn *net.TCPConn, end *pipeConn) {
	_ = conn.SetReadBuffer(proxyBuffer)
	// A copy that waits for the socket does not hear of a cut.
	stop := context.AfterFunc(end.pipe.uncut, func() { abort(conn) })
	defer stop()

	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := io.Copy(conn, end); errors.Is(err, syscall.ECONNRESET) {
			abort(conn)
		}
		_ = conn.Close()
	}()
	_, _ = io.Copy(end, conn)
	_ = end.Close()
	<-done
}

// abort closes conn with a reset.
func abort(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

// routed is a dialer with detours.
type routed map[string]string

func (r routed) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if via, ok := r[addr]; ok {
		addr = via
	}
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}
