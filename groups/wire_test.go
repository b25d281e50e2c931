package groups_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// listener records what it hears.
type listener struct {
	events chan string
	gaps   chan struct{}
}

func newListener() *listener {
	return &listener{events: make(chan string, 100), gaps: make(chan struct{}, 100)}
}

func (l *listener) Event(frame string) error { l.events <- frame; return nil }
func (l *listener) Gap()                     { l.gaps <- struct{}{} }

func await[T any](t testing.TB, what string, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatalf("no %s", what)
	}
	return v
}

func publish(t testing.TB, client redis.UniversalClient, topic, frame string) {
	t.Helper()
	if _, err := redistest.Publish(t.Context(), client, topic, frame); err != nil {
		t.Fatal(err)
	}
}

func TestRubbishIsCountedAndDropped(t *testing.T) {
	anywhere := []string{
		"", "\x01", "M", "\x00M\x01tx", "\x02M\x01tx", "\x01Z\x01tx", "\x01\x00", "\x01\xff", "garbage", "\xff\xff\xff",
	}
	lengths := []string{
		"", "\x05ab", "\x80", "\x80\x80\x80", "\x01", "\xff\xff\xff\xff\x0f", "\xff\xff\xff\xff\x7f",
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	}
	room := append([]string{"\x01D\x01a\x01tx"}, anywhere...)
	inbox := append([]string{"\x01M\x01tx", luascripts.EventPrefix + "5"}, anywhere...)
	for _, l := range lengths {
		room = append(room, "\x01M"+l)
		inbox = append(inbox, "\x01D"+l, "\x01D\x01a"+l)
	}
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l, other := newLayer(t, s), newLayer(t, s)
		c, client := newChannel(t, l, "g"), s.NewClient(t)
		for _, frame := range room {
			publish(t, client, l.Store().Room("g"), frame)
		}
		for _, frame := range inbox {
			publish(t, client, l.Store().Inbox(l.NodeID()), frame)
		}
		publish(t, client, l.Store().Inbox(l.NodeID()), "\x01D\x03zzz\x01tx") // sound, but nobody's
		groupSend(t, other, "g", "after")
		receive(t, c, "after") // topics of different shards keep no order
		send(t, other, c, "after 2")
		receive(t, c, "after 2")
		got := l.Stats()
		if want := uint64(len(room) + len(inbox)); got.Malformed != want || got.UnknownChannel != 1 {
			t.Fatalf("%+v, want %d malformed", got, want)
		}
	})
}

func TestListen(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := newLayer(t, s, func(o *groups.Options) { o.Linger = time.Millisecond })
		client, topic := s.NewClient(t), l.Store().Room("room")
		c, first, second := newChannel(t, l), newListener(), newListener()
		one, err := l.Listen("room", first)
		if err != nil {
			t.Fatal(err)
		}
		two, err := l.Listen("room", second)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(one.Wait(t.Context()), two.Wait(t.Context())); err != nil {
			t.Fatal(err)
		}
		// Events are for listeners, messages for members.
		if err := l.GroupAdd(t.Context(), "room", c.Name()); err != nil {
			t.Fatal(err)
		}
		frame := luascripts.EventPrefix + "the rest is not read here"
		publish(t, client, topic, frame)
		groupSend(t, l, "room", "message")
		receive(t, c, "message")
		for _, ls := range []*listener{first, second} {
			if got := await(t, "event", ls.events); got != frame {
				t.Fatalf("event %q", got)
			}
		}
		one.Close()
		one.Close()
		publish(t, client, topic, frame)
		await(t, "event", second.events)
		if len(first.events) != 0 {
			t.Fatal("an event after Close")
		}
		c.Close()
		subscribers(t, s, topic, 1)
		two.Close()
		subscribers(t, s, topic, 0)
		if got := l.Stats(); got.Dropped() != 0 {
			t.Fatalf("%+v", got)
		}
	})
}

func TestGapAndNewSubscriptionAfterKill(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l, other := newLayer(t, s), newLayer(t, s)
		c, quiet := newChannel(t, l, "room", "second"), newListener()
		ls := newListener()
		listening, err := l.Listen("room", ls)
		if err != nil {
			t.Fatal(err)
		}
		defer listening.Close()
		elsewhere, err := l.Listen("elsewhere", quiet)
		if err != nil {
			t.Fatal(err)
		}
		defer elsewhere.Close()
		if err := elsewhere.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		for round := range 3 {
			if s.Real() {
				for i := range s.Nodes() {
					if err := s.Node(i).NewClient(t).ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
						t.Fatal(err)
					}
				}
			} else {
				s.DropClients()
			}
			await(t, "gap", ls.gaps)
			await(t, "gap", quiet.gaps)
			// A new member is sure to be heard on the new connection.
			late := newChannel(t, l, "second")
			redistest.Eventually(t, patience, func() error {
				return other.Send(t.Context(), late.Name(), text("direct"))
			})
			receive(t, late, "direct")
			typ := fmt.Sprint("round ", round)
			publish(t, s.NewClient(t), l.Store().Room("room"), luascripts.EventPrefix+typ)
			if got := await(t, "event", ls.events); got != luascripts.EventPrefix+typ {
				t.Fatal(got)
			}
			redistest.Eventually(t, patience, func() error {
				return other.GroupSend(t.Context(), "second", text(typ))
			})
			receive(t, c, typ)
			receive(t, late, typ)
			late.Close()
		}
		if len(ls.gaps) != 0 {
			t.Errorf("%d gaps more than kills", len(ls.gaps))
		}
	})
}

func TestRedisAway(t *testing.T) {
	for name, fault := range map[string][2]func(*redistest.Server){
		"stopped": {(*redistest.Server).Stop, (*redistest.Server).Start},
		"frozen":  {(*redistest.Server).Freeze, (*redistest.Server).Thaw},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				l := newLayerOn(t, s.NewClient(t, unhurried), nil)
				c := newChannel(t, l, "g")
				fault[0](s)
				for what, f := range map[string]func(context.Context) error{
					"group send": func(ctx context.Context) error { return l.GroupSend(ctx, "g", text("x")) },
					"send":       func(ctx context.Context) error { return l.Send(ctx, "other!1", text("x")) },
					"add":        func(ctx context.Context) error { return l.GroupAdd(ctx, "new", c.Name()) },
				} {
					ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
					begin := time.Now()
					wantErr(t, what, f(ctx), groups.ErrUnavailable)
					cancel()
					if took := time.Since(begin); took > patience {
						t.Errorf("%s took %v", what, took)
					}
				}
				send(t, l, c, "local") // needs no Redis
				receive(t, c, "local")
				fault[1](s)
				if name == "frozen" {
					return // what was sent meanwhile may still come
				}
				redistest.Eventually(t, patience, func() error {
					if err := l.GroupSend(t.Context(), "g", text("back")); err != nil {
						return err
					}
					if _, ok := c.TryReceive(); !ok {
						return errors.New("not received yet")
					}
					return nil
				})
			})
		})
	}
}

func TestNewWithoutServer(t *testing.T) {
	s := redistest.Mini(t)
	client := s.NewClient(t)
	s.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := groups.New(ctx, client, nil)
	wantErr(t, "new", err, groups.ErrUnavailable)
}

func TestCloseWithFrozenServer(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l, err := groups.New(t.Context(), s.NewClient(t, unhurried), nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Freeze()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		wantErr(t, "send", l.GroupSend(ctx, "g", text("x")), groups.ErrUnavailable)
		begin := time.Now()
		wantErr(t, "close", l.Close(ctx), context.DeadlineExceeded)
		if took := time.Since(begin); took > patience {
			t.Errorf("close took %v", took)
		}
		s.Thaw()
	})
}

// lossy loses the connection after the server has carried out a PUBLISH, and
// before its reply arrives.
type lossy struct {
	*net.TCPConn // go-redis asks it for its descriptor
	armed        *atomic.Bool
	hit          bool
}

func (c *lossy) Write(b []byte) (int, error) {
	if bytes.Contains(bytes.ToLower(b), []byte("publish")) && c.armed.CompareAndSwap(true, false) {
		c.hit = true
	}
	return c.TCPConn.Write(b)
}

func (c *lossy) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if c.hit {
		_ = c.Close()
		return 0, io.EOF
	}
	return n, err
}

func TestAtMostOnceWhenTheReplyIsLost(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		var armed atomic.Bool
		client := s.NewClient(t, func(o *redis.UniversalOptions) {
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return &lossy{TCPConn: conn.(*net.TCPConn), armed: &armed}, nil
			}
		})
		sender, err := groups.New(t.Context(), client, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer sender.Close(context.Background())
		l := newLayer(t, s)
		c := newChannel(t, l, "g")
		armed.Store(true)
		err = sender.GroupSend(t.Context(), "g", text("once"))
		wantErr(t, "send", err, groups.ErrUnavailable)
		groupSend(t, sender, "g", "next")
		receive(t, c, "once", "next")
	})
}
