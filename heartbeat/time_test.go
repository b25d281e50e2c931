package heartbeat_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/presence"
)

// A peer that has vanished without a word: its kernel still takes the pings.
func TestServeNoticesDeadPeer(t *testing.T) {
	s := newServer(t, handler{}, &heartbeat.Options{PingInterval: 10 * time.Millisecond, PingTimeout: 30 * time.Millisecond})
	s.connectRaw(t)
	if err := <-s.result; !errors.Is(err, heartbeat.ErrDeadPeer) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Serve returned %v", err)
	}
	if got := s.reasons(); !slices.Equal(got, []presence.Reason{presence.TimedOut}) {
		t.Errorf("left because of %v", got)
	}
	if n := s.count(touched); n != 0 {
		t.Errorf("%d touches", n)
	}
}

func TestServeDeadPeerTakesNoLongerThanDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipeServer(t, handler{}, nil)
		raw := s.connectRaw(t)
		go io.Copy(io.Discard, raw)
		start := time.Now()
		if err := <-s.result; !errors.Is(err, heartbeat.ErrDeadPeer) {
			t.Errorf("Serve returned %v", err)
		}
		if took := time.Since(start); took < 10*time.Second || took > 30*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A browser that only listens stays present: no minute passes without a touch.
func TestServePongTouches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipeServer(t, handler{}, nil)
		listen(t, s.connect(t))
		for range 20 {
			before := s.count(touched)
			time.Sleep(30 * time.Second)
			synctest.Wait()
			if s.count(touched) == before {
				t.Fatal("no touch for 30 s")
			}
		}
		if n := s.count(touched); n > 31 {
			t.Errorf("%d touches in 10 minutes", n)
		}
	})
}

func TestServeWithoutPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipeServer(t, handler{}, &heartbeat.Options{PingInterval: -1})
		listen(t, s.connect(t))
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := s.all(); len(got) != 0 {
			t.Errorf("got %q", got)
		}
	})
}

// While a handler runs nobody reads the pongs. That must not look like death.
func TestServeSlowHandlerIsNotDeadPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *server
		s = newPipeServer(t, onReceive(func(ctx context.Context) error {
			select {
			case <-time.After(2 * time.Minute):
				s.add("handled")
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}), &heartbeat.Options{HandlerTimeout: -1})
		client := s.connect(t)
		listen(t, client)
		if err := client.Write(t.Context(), websocket.MessageText, []byte("work")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		select {
		case err := <-s.result:
			t.Errorf("Serve returned %v", err)
		default:
		}
		if s.count("handled") != 1 || s.count(touched) < 2 {
			t.Errorf("got %q", s.all())
		}
	})
}

// Run has the time of the connection, not that of a handler, and nothing of it is left
// when the channel leaves.
func TestRunLastsAsLongAsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *server
		s = newPipeServer(t, handler{
			Connect: func(context.Context) error { s.add("connect"); return nil },
			Run: func(ctx context.Context) error {
				s.add("run")
				<-ctx.Done()
				s.add("ran")
				return ctx.Err()
			},
			Disconnect: func(context.Context, error) { s.add("disconnect") },
		}, &heartbeat.Options{HandlerTimeout: time.Second, PingInterval: -1})
		client := s.connect(t)
		time.Sleep(time.Minute)
		if got := s.all(); !slices.Equal(got, []string{"connect", "run"}) {
			t.Errorf("a minute later: %q", got)
		}
		client.CloseNow()
		if err := <-s.result; !errors.Is(err, heartbeat.ErrConn) {
			t.Errorf("Serve returned %v", err)
		}
		if got := s.all(); !slices.Equal(got, []string{"connect", "run", "ran", "leave " + channel, "disconnect"}) {
			t.Errorf("in the end: %q", got)
		}
	})
}

func TestServeHandlerTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipeServer(t, onConnect(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }), nil)
		told := listen(t, s.connect(t))
		start := time.Now()
		if got := <-told; got.Code != websocket.StatusInternalError {
			t.Errorf("the peer was told %v", got)
		}
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("took %v", took)
		}
		if err := <-s.result; !errors.Is(err, heartbeat.ErrHandler) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Serve returned %v", err)
		}
	})
}

// A peer that takes nothing blocks the writer for one write timeout.
func TestServeStalledPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipeServer(t, handler{}, &heartbeat.Options{PingInterval: -1})
		s.connectRaw(t)
		start := time.Now()
		s.mailbox.queue <- groups.Message{Payload: []byte("hello")}
		if err := <-s.result; !errors.Is(err, heartbeat.ErrDeadPeer) {
			t.Errorf("Serve returned %v", err)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// The same for a handler that writes to it, though it heeds nothing but its
// context.
func TestServeHandlerWritesToStalledPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *server
		s = newPipeServer(t, onConnect(func(ctx context.Context) error {
			return s.conn.Write(ctx, websocket.MessageText, []byte("welcome"))
		}), nil)
		s.connectRaw(t)
		start := time.Now()
		if err := <-s.result; !errors.Is(err, heartbeat.ErrHandler) {
			t.Errorf("Serve returned %v", err)
		}
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// The same if the application closes its channel: it waits for one write, not
// for all that the mailbox holds.
func TestServeStalledPeerOfClosedChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipeServer(t, handler{
			Deliver: func(ctx context.Context, _ groups.Message) (websocket.MessageType, []byte, error) {
				time.Sleep(7 * time.Second)
				return 0, nil, nil
			},
		}, nil)
		listen(t, s.connect(t))
		for range 10 {
			s.mailbox.queue <- groups.Message{}
		}
		s.mailbox.CloseWith(errApp)
		start := time.Now()
		if err := <-s.result; !errors.Is(err, heartbeat.ErrChannel) || !errors.Is(err, errApp) {
			t.Errorf("Serve returned %v", err)
		}
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A peer that does not answer the close frame delays the return, not the leave.
func TestServeLeavesBeforePeerAnswersClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipeServer(t, handler{}, nil)
		raw := s.connectRaw(t)
		go io.Copy(io.Discard, raw)
		start := time.Now()
		s.cancel(nil)
		s.wait(t, "leave "+channel, 1)
		if took := time.Since(start); took != 0 {
			t.Errorf("leave took %v", took)
		}
		if err := <-s.result; err != context.Canceled {
			t.Errorf("Serve returned %v", err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A handler that ignores its context cannot keep the channel present, nor join
// a room behind the back of the leave, nor run beside Disconnect.
func TestServeStubbornHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *server
		h := onReceive(func(context.Context) error {
			s.add("begin")
			time.Sleep(time.Minute)
			s.add("end")
			return nil
		})
		h.Disconnect = func(context.Context, error) { s.add("disconnect") }
		s = newPipeServer(t, h, nil)
		client := s.connect(t)
		listen(t, client)
		if err := client.Write(t.Context(), websocket.MessageText, []byte("work")); err != nil {
			t.Fatal(err)
		}
		s.wait(t, "begin", 1)
		start := time.Now()
		s.cancel(nil)
		s.wait(t, "leave "+channel, 1)
		if took := time.Since(start); took != heartbeat.DefaultLeaveTimeout {
			t.Errorf("leave took %v", took)
		}
		<-s.result
		want := []string{touched, "begin", "leave " + channel, "end", "leave " + channel, "disconnect"}
		if got := s.all(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
