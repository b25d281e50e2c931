package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

const beat = `"heartbeat"`

// frameType is a websocket library's; theirs have these values.
type frameType int

const (
	text   frameType = 1
	binary frameType = 2
)

var decoratorRows = []row{
	{"touch_presence", `text "heartbeat" with its quotes`, func(t *testing.T, s *redistest.Server) {
		touched(t, s, text, beat, false)
	}},
	{"touch_presence", "other text", func(t *testing.T, s *redistest.Server) {
		for _, data := range []string{"heartbeat", " " + beat, beat + " ", beat + "\n", `"Heartbeat"`, "", "hello"} {
			touched(t, s, text, data, true)
		}
	}},
	{"touch_presence", "binary frame", func(t *testing.T, s *redistest.Server) {
		touched(t, s, binary, "\x00\xff", true)
		touched(t, s, binary, beat, true)
	}},
	{"touch_presence", "async handler", touchAnyHandler},
	{"remove_presence", "leave_all, then the handler", removeThenHandler},
	{"remove_presence", "whatever the handler does", removeWhateverTheHandlerDoes},
}

// touched sends a frame through the decorator, and waits for the touch.
func touched(t *testing.T, s *redistest.Server, typ frameType, data string, wantCall bool) {
	t.Helper()
	n := newNode(t, s, flushing())
	ch := n.Enter(t, "lobby", "ana")
	n.Age(t, ch, 30*time.Second)
	var got []string
	errHandler := errors.New("the handler's")
	receive := heartbeat.TouchPresence(n.Tracker, ch.Name(), func(_ context.Context, typ frameType, data []byte) error {
		got = append(got, fmt.Sprint(typ, string(data)))
		return errHandler
	})
	err := receive(t.Context(), typ, []byte(data))
	if wantCall && (!errors.Is(err, errHandler) || !slices.Equal(got, []string{fmt.Sprint(typ, data)})) {
		t.Errorf("%q: the handler got %q, and %v was returned", data, got, err)
	}
	if !wantCall && (err != nil || len(got) != 0) {
		t.Errorf("%q: the handler got %q, and %v was returned", data, got, err)
	}
	redistest.Eventually(t, patience, func() error {
		if ago := serverTime(t, n.Client).Sub(n.lastSeen(t, "lobby", ch)); ago > 20*time.Second {
			return fmt.Errorf("%q: last seen %v ago", data, ago)
		}
		return nil
	})
}

// A handler may be a method, run on any goroutine, or be missing.
func touchAnyHandler(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, config{})
	ch := n.Enter(t, "lobby", "ana")
	if err := heartbeat.TouchPresence[frameType](n.Tracker, ch.Name(), nil)(t.Context(), text, []byte("hello")); err != nil {
		t.Error(err)
	}
	got := make(chan string, 10)
	receive := heartbeat.TouchPresence(n.Tracker, ch.Name(), func(_ context.Context, _ frameType, data []byte) error {
		got <- string(data)
		return nil
	})
	for range cap(got) {
		go receive(t.Context(), text, []byte("hello")) // the handler returns nil
	}
	for range cap(got) {
		if data := <-got; data != "hello" {
			t.Errorf("handler got %q", data)
		}
	}
}

func removeThenHandler(t *testing.T, s *redistest.Server) {
	n, probe := newNode(t, s, config{}), newProber(t, s, nil)
	ch := n.Enter(t, "lobby", "ana")
	n.add(t, "garden", ch, "ana")
	cause := errors.New("connection reset")
	called := false
	disconnect := heartbeat.RemovePresence(n.Tracker, ch.Name(), func(ctx context.Context, got error) {
		called = true
		counts, err := n.CountsOf(ctx, "lobby", "garden")
		if err != nil || counts[0].Presences+counts[1].Presences != 0 {
			t.Errorf("when the handler is called: %+v, %v", counts, err)
		}
		probe.mustReach(t, "lobby", []*groups.Channel{ch})
		if !errors.Is(got, cause) {
			t.Errorf("cause %v", got)
		}
	})
	dead, cancel := context.WithCancel(t.Context())
	cancel() // as a connection's context is by then
	if err := disconnect(dead, cause); err != nil {
		t.Error(err)
	}
	if !called {
		t.Error("the handler was not called")
	}
	left := 0
	for _, c := range n.heard(t, 4) { // in order for each room alone
		if len(c.Added) == 0 && len(c.Removed) == 1 && c.Removed[0].Reason == presence.Disconnected {
			left++
		}
	}
	if left != 2 {
		t.Errorf("%d departures, want 2", left)
	}
}

func removeWhateverTheHandlerDoes(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, config{})
	ch := n.Enter(t, "lobby", "ana")
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is the caller's")
			}
		}()
		_ = heartbeat.RemovePresence(n.Tracker, ch.Name(), func(context.Context, error) { panic("handler") })(t.Context(), nil)
	}()
	if state, err := present(t.Context(), n, "lobby"); err != nil || len(state) != 0 {
		t.Errorf("present %q, %v", state, err)
	}
	// The leave fails, and the handler is called all the same.
	ch = n.Enter(t, "lobby", "ana")
	n.Wire.lose(asked, "write", always)
	defer n.Wire.heal()
	called := false
	err := heartbeat.RemovePresence(n.Tracker, ch.Name(), func(context.Context, error) { called = true })(t.Context(), nil)
	if !errors.Is(err, presence.ErrUnavailable) || !called {
		t.Errorf("called %v, %v", called, err)
	}
}
