package heartbeat_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/presence"
)

var errApp = errors.New("of the application")

func fail(context.Context) error { return fmt.Errorf("wrapped: %w", errApp) }
func kick(context.Context) error {
	return fmt.Errorf("wrapped: %w", heartbeat.CloseError{Code: 4001, Reason: "kicked"})
}
func closing(context.Context) error { return fmt.Errorf("wrapped: %w", groups.ErrClosed) }
func crash(context.Context) error   { panic(errApp) }
func exit(context.Context) error    { runtime.Goexit(); return nil }

func onConnect(f func(context.Context) error) handler { return handler{Connect: f} }

func onRun(f func(context.Context) error) handler { return handler{Run: f} }

func onReceive(f func(context.Context) error) handler {
	return handler{Receive: func(ctx context.Context, _ websocket.MessageType, _ []byte) error { return f(ctx) }}
}

func onDeliver(f func(context.Context) error) handler {
	return handler{Deliver: func(ctx context.Context, _ groups.Message) (websocket.MessageType, []byte, error) {
		return 0, nil, f(ctx)
	}}
}

// Each row: what ends the connection, what the peer is told, what Serve
// returns. That the channel leaves, and in which order, holds for all.
func TestServeEnds(t *testing.T) {
	say := func(t *testing.T, s *server, c *websocket.Conn) {
		if err := c.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
			t.Error(err)
		}
	}
	deliver := func(_ *testing.T, s *server, _ *websocket.Conn) { s.mailbox.queue <- groups.Message{} }
	nothing := func(*testing.T, *server, *websocket.Conn) {}
	peerCloses := func(code websocket.StatusCode) func(*testing.T, *server, *websocket.Conn) {
		return func(t *testing.T, s *server, c *websocket.Conn) {
			s.wait(t, "connect", 1)
			c.Close(code, "")
		}
	}
	cancelWith := func(cause error) func(*testing.T, *server, *websocket.Conn) {
		return func(t *testing.T, s *server, _ *websocket.Conn) {
			s.wait(t, "connect", 1)
			s.cancel(cause)
		}
	}
	closeWith := func(cause error) func(*testing.T, *server, *websocket.Conn) {
		return func(t *testing.T, s *server, _ *websocket.Conn) {
			s.wait(t, "connect", 1)
			s.mailbox.CloseWith(cause)
		}
	}
	long := heartbeat.CloseError{Code: 4002, Reason: strings.Repeat("x", 122) + "é, too long"}

	for _, row := range []struct {
		name    string
		handler handler
		act     func(*testing.T, *server, *websocket.Conn)
		code    websocket.StatusCode // zero: not looked at
		reason  string
		want    []error // nil: Serve returns nil
	}{
		{"peer closes, normal", handler{}, peerCloses(1000), 0, "", nil},
		{"peer closes, going away", handler{}, peerCloses(1001), 0, "", nil},
		{"peer closes, no code", handler{}, peerCloses(1005), 0, "", nil},
		{"peer closes, own code", handler{}, peerCloses(4000), 0, "",
			[]error{heartbeat.ErrConn, websocket.CloseError{Code: 4000}}},
		{"peer drops", handler{}, func(_ *testing.T, _ *server, c *websocket.Conn) { c.CloseNow() }, 0, "",
			[]error{heartbeat.ErrConn}},
		{"message too long", handler{}, func(t *testing.T, _ *server, c *websocket.Conn) {
			c.Write(t.Context(), websocket.MessageBinary, make([]byte, 32<<10+1))
		}, 1009, "read limited at 32769 bytes", []error{heartbeat.ErrConn}},

		{"connect fails", onConnect(fail), nothing, 1011, "internal error", []error{heartbeat.ErrHandler, errApp}},
		{"connect refuses", onConnect(kick), nothing, 4001, "kicked", []error{heartbeat.ErrHandler}},
		{"connect panics", onConnect(crash), nothing, 1011, "internal error", []error{heartbeat.ErrHandler, errApp}},
		{"connect exits", onConnect(exit), nothing, 1011, "internal error", []error{heartbeat.ErrHandler}},
		{"connect finds the node closing", onConnect(closing), nothing, 1001, "going away",
			[]error{heartbeat.ErrHandler, groups.ErrClosed}},
		{"run returns", onRun(func(context.Context) error { return nil }), peerCloses(1000), 0, "", nil},
		{"run fails", onRun(fail), nothing, 1011, "internal error", []error{heartbeat.ErrHandler, errApp}},
		{"run kicks", onRun(kick), nothing, 4001, "kicked", []error{heartbeat.ErrHandler}},
		{"run panics", onRun(crash), nothing, 1011, "internal error", []error{heartbeat.ErrHandler, errApp}},
		{"run exits", onRun(exit), nothing, 1011, "internal error", []error{heartbeat.ErrHandler}},
		{"run finds the node closing", onRun(closing), nothing, 1001, "going away",
			[]error{heartbeat.ErrHandler, groups.ErrClosed}},
		{"receive fails", onReceive(fail), say, 1011, "internal error", []error{heartbeat.ErrHandler, errApp}},
		{"receive kicks", onReceive(kick), say, 4001, "kicked", []error{heartbeat.ErrHandler}},
		{"receive panics", onReceive(crash), say, 1011, "internal error", []error{heartbeat.ErrHandler, errApp}},
		{"receive exits", onReceive(exit), say, 1011, "internal error", []error{heartbeat.ErrHandler}},
		{"deliver fails", onDeliver(fail), deliver, 1011, "internal error", []error{heartbeat.ErrHandler, errApp}},
		{"deliver kicks", onDeliver(kick), deliver, 4001, "kicked", []error{heartbeat.ErrHandler}},
		{"deliver panics", onDeliver(crash), deliver, 1011, "internal error", []error{heartbeat.ErrHandler, errApp}},

		{"context cancelled", handler{}, cancelWith(nil), 1001, "going away", []error{context.Canceled}},
		{"context with a cause", handler{}, cancelWith(errApp), 1001, "going away", []error{errApp}},
		{"context with a code", handler{}, cancelWith(heartbeat.CloseError{Code: 1012, Reason: "deploy"}),
			1012, "deploy", []error{heartbeat.CloseError{Code: 1012, Reason: "deploy"}}},

		{"channel closed", handler{}, closeWith(groups.ErrChannelClosed), 1008, "channel closed",
			[]error{heartbeat.ErrChannel, groups.ErrChannelClosed}},
		{"channel closed with a code", handler{}, closeWith(heartbeat.CloseError{Code: 4003, Reason: "banned"}),
			4003, "banned", []error{heartbeat.ErrChannel, heartbeat.CloseError{Code: 4003, Reason: "banned"}}},
		{"channel closed with a long reason", handler{}, closeWith(long), 4002, strings.Repeat("x", 122),
			[]error{heartbeat.ErrChannel, long}},
		{"layer closed", handler{}, closeWith(groups.ErrClosed), 1001, "going away",
			[]error{heartbeat.ErrChannel, groups.ErrClosed}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var s *server
			h := row.handler
			connect := h.Connect
			h.Connect = func(ctx context.Context) error {
				s.add("connect")
				if connect != nil {
					return connect(ctx)
				}
				return nil
			}
			h.Disconnect = func(ctx context.Context, _ error) {
				if ctx.Err() != nil {
					t.Error("the context of Disconnect is dead")
				}
				s.add("disconnect")
			}
			s = newServer(t, h, nil)
			client := s.connect(t)
			told := listen(t, client)
			row.act(t, s, client)

			err := <-s.result
			if len(row.want) == 0 && err != nil {
				t.Errorf("Serve returned %v", err)
			}
			for _, want := range row.want {
				if !errors.Is(err, want) {
					t.Errorf("Serve returned %v, want %v", err, want)
				}
			}
			var panicked *heartbeat.PanicError
			if errors.As(err, &panicked) != strings.Contains(row.name, "panics") {
				t.Errorf("Serve returned %v", err)
			}
			if got := <-told; row.code != 0 && (got.Code != row.code || got.Reason != row.reason) {
				t.Errorf("the peer was told %d %q", got.Code, got.Reason)
			}
			s.checkLeft(t)
		})
	}
}

func TestServeRefusesOptions(t *testing.T) {
	for field, opts := range map[string]*heartbeat.Options{
		"PingTimeout":  {PingTimeout: -1},
		"WriteTimeout": {WriteTimeout: -1},
		"LeaveTimeout": {LeaveTimeout: -1},
		"Grace":        {Grace: -1},
	} {
		t.Run(field, func(t *testing.T) {
			var s *server
			s = newServer(t, handler{
				Connect:    func(context.Context) error { t.Error("connected"); return nil },
				Disconnect: func(context.Context, error) { s.add("disconnect") },
			}, opts)
			told := <-listen(t, s.connect(t))
			var invalid *groups.InvalidError
			if err := <-s.result; !errors.As(err, &invalid) || invalid.Field != field {
				t.Errorf("Serve returned %v", err)
			}
			if told.Code != websocket.StatusInternalError {
				t.Errorf("the peer was told %d %q", told.Code, told.Reason)
			}
			s.checkLeft(t)
		})
	}
}

// Somebody is sent away while a handler runs, which then fails for it.
func TestTheCauseOfTheChannelWins(t *testing.T) {
	for name, failing := range map[string]func(context.Context) error{"error": fail, "code": kick, "panic": crash} {
		for cause, code := range map[error]websocket.StatusCode{
			heartbeat.CloseError{Code: 4009, Reason: "replaced"}: 4009,
			groups.ErrClosed:        1001,
			groups.ErrChannelClosed: 1008,
		} {
			for _, h := range []func(func(context.Context) error) handler{onConnect, onReceive, onDeliver} {
				t.Run(fmt.Sprint(name, " ", code), func(t *testing.T) {
					var s *server
					s = newServer(t, h(func(ctx context.Context) error {
						s.mailbox.CloseWith(cause)
						return failing(ctx)
					}), nil)
					s.mailbox.queue <- groups.Message{}
					client := s.connect(t)
					_ = client.Write(t.Context(), websocket.MessageText, []byte("hello")) // too late for Connect
					if told := <-listen(t, client); told.Code != code {
						t.Errorf("the peer was told %d %q", told.Code, told.Reason)
					}
					if err := <-s.result; !errors.Is(err, heartbeat.ErrChannel) || !errors.Is(err, cause) || errors.Is(err, heartbeat.ErrHandler) {
						t.Errorf("Serve returned %v", err)
					}
				})
			}
		}
	}
}

// checkLeft checks that the channel has left, once, on a living context, and
// that Disconnect was called after it, and last.
func (s *server) checkLeft(t *testing.T) {
	t.Helper()
	entries := s.all()
	if len(entries) < 2 || !slices.Equal(entries[len(entries)-2:], []string{"leave " + channel, "disconnect"}) ||
		s.count("leave "+channel) != 1 || s.count("disconnect") != 1 {
		t.Errorf("got %q", entries)
	}
	if got := s.reasons(); !slices.Equal(got, []presence.Reason{presence.Disconnected}) {
		t.Errorf("left because of %v", got)
	}
	if s.mailbox.Err() == nil {
		t.Error("the channel is open")
	}
}

func TestServeLeavesOnLivingContext(t *testing.T) {
	var s *server
	s = newServer(t, handler{Connect: func(context.Context) error { s.add("connect"); return nil }}, nil)
	alive := make(chan error, 1)
	s.leave = func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("no deadline")
		}
		alive <- ctx.Err()
		return nil
	}
	told := listen(t, s.connect(t))
	s.wait(t, "connect", 1)
	s.cancel(nil)
	if err := <-alive; err != nil {
		t.Error(err)
	}
	<-told
	if err := <-s.result; err != context.Canceled {
		t.Errorf("Serve returned %v", err)
	}
}

func TestServeDisconnectsThoughLeaveFails(t *testing.T) {
	for name, leave := range map[string]func(context.Context) error{"error": fail, "panic": crash} {
		t.Run(name, func(t *testing.T) {
			var s *server
			s = newServer(t, handler{Disconnect: func(_ context.Context, cause error) {
				if cause != nil {
					t.Errorf("cause %v", cause)
				}
				s.add("disconnect")
			}}, nil)
			s.leave = leave
			s.connect(t).Close(websocket.StatusNormalClosure, "")
			if err := <-s.result; !errors.Is(err, errApp) {
				t.Errorf("Serve returned %v", err)
			}
			s.checkLeft(t)
		})
	}
}

func TestServeReportsPanicOfDisconnect(t *testing.T) {
	core, logs := observer.New(zap.ErrorLevel)
	s := newServer(t, handler{Disconnect: func(context.Context, error) { panic("late") }},
		&heartbeat.Options{Logger: zap.New(core)})
	s.connect(t).Close(websocket.StatusNormalClosure, "")
	var panicked *heartbeat.PanicError
	if err := <-s.result; !errors.Is(err, heartbeat.ErrHandler) || !errors.As(err, &panicked) || panicked.Value != "late" {
		t.Errorf("Serve returned %v", err)
	}
	if s.count("leave "+channel) != 1 || s.mailbox.Err() == nil {
		t.Errorf("got %q", s.all())
	}
	logged := logs.All()
	if len(logged) != 1 || !strings.Contains(fmt.Sprint(logged[0].ContextMap()["stack"]), "serve_test.go") {
		t.Errorf("logged %v", logged)
	}
}

func TestServeDelivers(t *testing.T) {
	s := newServer(t, handler{}, nil)
	client := s.connect(t)
	s.mailbox.queue <- groups.Message{Type: "chat", Payload: []byte(`{"say":"hello"}`)}
	typ, data, err := client.Read(t.Context())
	if err != nil || typ != websocket.MessageText || string(data) != `{"say":"hello"}` {
		t.Errorf("got %v %q, %v", typ, data, err)
	}
}

func TestServeDeliversAsTold(t *testing.T) {
	s := newServer(t, handler{
		Deliver: func(_ context.Context, m groups.Message) (websocket.MessageType, []byte, error) {
			if m.Type == "skip" {
				return 0, nil, nil
			}
			return websocket.MessageBinary, append([]byte(m.Type+":"), m.Payload...), nil
		},
	}, nil)
	client := s.connect(t)
	s.mailbox.queue <- groups.Message{Type: "skip", Payload: []byte("1")}
	s.mailbox.queue <- groups.Message{Type: "chat", Payload: []byte("2")}
	typ, data, err := client.Read(t.Context())
	if err != nil || typ != websocket.MessageBinary || string(data) != "chat:2" {
		t.Errorf("got %v %q, %v", typ, data, err)
	}
}

// Whoever closes a channel may send a last word first, even if what runs beside the
// connection then fails.
func TestServeDeliversWhatClosedChannelHolds(t *testing.T) {
	failed := make(chan struct{})
	s := newServer(t, handler{
		Run: func(context.Context) error { defer close(failed); return errApp },
		Deliver: func(_ context.Context, m groups.Message) (websocket.MessageType, []byte, error) {
			<-failed
			return websocket.MessageText, m.Payload, nil
		},
	}, nil)
	for range 3 {
		s.mailbox.queue <- groups.Message{Payload: []byte("word")}
	}
	s.mailbox.CloseWith(heartbeat.CloseError{Code: 4000, Reason: "done"})
	client := s.connect(t)
	for range 3 {
		if _, data, err := client.Read(t.Context()); err != nil || string(data) != "word" {
			t.Errorf("got %q, %v", data, err)
		}
	}
	if _, _, err := client.Read(t.Context()); websocket.CloseStatus(err) != 4000 {
		t.Error(err)
	}
}
