package heartbeat_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"

	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/heartbeat"
)

type handler = heartbeat.Handler[websocket.MessageType]

// server serves one connection, and keeps what Serve returned.
type server struct {
	*tracker
	mailbox *mailbox
	cancel  context.CancelCauseFunc // ends the context that Serve was given
	dial    func(ctx context.Context) (net.Conn, error)
	result  chan error
	conn    *websocket.Conn // once Serve was called
}

// newServer serves on the loopback.
func newServer(t testing.TB, h handler, opts *heartbeat.Options) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := serveOn(t, l, h, opts)
	s.dial = func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}
	return s
}

// newPipeServer serves on in-memory connections, which a synctest bubble needs.
func newPipeServer(t testing.TB, h handler, opts *heartbeat.Options) *server {
	t.Helper()
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	s := serveOn(t, l, h, opts)
	s.dial = l.dial
	return s
}

func serveOn(t testing.TB, l net.Listener, h handler, opts *heartbeat.Options) *server {
	s := &server{tracker: newTracker(), mailbox: newMailbox(), result: make(chan error, 1)}
	var ctx context.Context
	ctx, s.cancel = context.WithCancelCause(context.Background())
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		s.conn = conn
		s.result <- heartbeat.Serve(ctx, conn, s.tracker, s.mailbox, h, opts)
	})}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		s.cancel(nil)
		srv.Close()
		wg.Wait()
	})
	return s
}

// connect returns a client, which must be read for it to answer pings.
func (s *server) connect(t testing.TB) *websocket.Conn {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return s.dial(ctx)
	}}
	conn, _, err := websocket.Dial(t.Context(), "ws://test", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.CloseNow()
		transport.CloseIdleConnections()
	})
	return conn
}

// listen reads the client until it is closed, and returns the code.
func listen(t testing.TB, conn *websocket.Conn) <-chan websocket.CloseError {
	code := make(chan websocket.CloseError, 1)
	go func() {
		for {
			if _, _, err := conn.Read(context.Background()); err != nil {
				closed := websocket.CloseError{Code: -1, Reason: err.Error()}
				errors.As(err, &closed)
				code <- closed
				return
			}
		}
	}()
	return code
}

// connectRaw returns a client that has shaken hands and then does nothing.
func (s *server) connectRaw(t testing.TB) net.Conn {
	t.Helper()
	conn, err := s.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp.Status)
	}
	return conn
}

// pipeListener accepts net.Pipe connections.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return newBuffered(client), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// buffered lets its owner write ahead of a peer that does not read, as a
// kernel does and a net.Pipe does not.
type buffered struct {
	net.Conn
	out    chan []byte
	closed chan struct{}
	once   sync.Once
}

func newBuffered(conn net.Conn) *buffered {
	b := &buffered{Conn: conn, out: make(chan []byte, 100), closed: make(chan struct{})}
	go func() {
		for {
			select {
			case data := <-b.out:
				if _, err := conn.Write(data); err != nil {
					return
				}
			case <-b.closed:
				return
			}
		}
	}()
	return b
}

func (b *buffered) Write(data []byte) (int, error) {
	select {
	case b.out <- slices.Clone(data):
		return len(data), nil
	case <-b.closed:
		return 0, net.ErrClosed
	}
}

func (b *buffered) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Conn.Close()
}
