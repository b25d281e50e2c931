package redistest_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestProxyAddress(t *testing.T) {
	s := redistest.Mini(t)
	p := redistest.NewProxy(t, s.Addrs[0])
	client := redis.NewClient(&redis.Options{Addr: p.Addr(), MaxRetries: -1, DialerRetries: 1})
	defer client.Close()
	ping(t, client)
	p.Cut()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Fatal("answered through a cut")
	}
	p.Heal()
	redistest.Eventually(t, patience, func() error { return client.Ping(t.Context()).Err() })
}

func TestProxyPoint(t *testing.T) {
	first, second := redistest.Mini(t), redistest.Mini(t)
	p := first.NewLink(t)
	client := p.NewClient(t, brisk)
	set(t, client, "first")
	p.Point(second.Addrs[0])
	if !exists(t, client, "first") {
		t.Fatal("an open connection was moved")
	}
	p.Drop()
	redistest.Eventually(t, patience, func() error { return try(t, client, "second") })
	if !second.Mini().Exists("second") || first.Mini().Exists("second") {
		t.Fatal("a new connection went to the old server")
	}
}

func TestProxyToNobody(t *testing.T) {
	s := redistest.Mini(t)
	client := s.NewLink(t).NewClient(t, brisk)
	ping(t, client)
	s.Stop()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Fatal("a stopped server answers")
	}
	s.Start()
	redistest.Eventually(t, patience, func() error { return client.Ping(t.Context()).Err() })
}

// A client in another process has nothing of the link but its routes.
func TestRoutes(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := s.NewLink(t)
		client := s.NewClient(t, brisk, redistest.Via(l.Routes()))
		set(t, client, "key")
		l.Cut()
		mustFail(t, client, "key")
		l.Heal()
		redistest.Eventually(t, patience, func() error { return try(t, client, "key") })
	})
}

// What a link holds back must not pile up in it: a server has to notice that its
// client does not read.
func TestLinkStallsTheServer(t *testing.T) {
	s := redistest.Real(t, "--client-output-buffer-limit", "pubsub 256kb 0 0")
	ctx, l, publisher := t.Context(), s.NewLink(t), s.NewClient(t)
	sub := l.NewClient(t).Subscribe(ctx, "news")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	message := strings.Repeat("x", 64<<10) // less than the limit
	publish := func() int64 {
		n, err := publisher.Publish(ctx, "news", message).Result()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := publish(); n != 1 {
		t.Fatalf("%d subscribers", n)
	}
	l.Freeze(redistest.Down)
	for range 1000 {
		if publish() == 0 {
			return
		}
	}
	t.Fatal("the server never noticed")
}

// A link must end with its test even where neither side reads what is sent.
func TestProxyEndsWhileStalled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Run("stalled", func(t *testing.T) {
		var client, server net.Conn
		t.Cleanup(func() { // after the link's
			_ = client.Close()
			_ = server.Close()
		})
		p := redistest.NewProxy(t, l.Addr().String())
		client, err = net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if server, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		for _, conn := range []net.Conn{client, server} {
			_ = conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			if n, err := conn.Write(make([]byte, 64<<20)); err == nil {
				t.Fatalf("%d bytes in nobody's hands", n)
			}
		}
		if n := p.Conns(); n != 1 {
			t.Fatalf("%d connections", n)
		}
	})
}
