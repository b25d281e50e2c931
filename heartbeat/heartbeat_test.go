package heartbeat_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/presence"
)

const touched = "touch " + channel

// messages are the rows of the decorators: what comes in, and whether the
// handler sees it. All of them touch.
var messages = []struct {
	name    string
	typ     websocket.MessageType
	data    string
	handled bool
}{
	{"heartbeat with its quotes", websocket.MessageText, `"heartbeat"`, false},
	{"heartbeat without quotes", websocket.MessageText, `heartbeat`, true},
	{"blank before", websocket.MessageText, ` "heartbeat"`, true},
	{"blank after", websocket.MessageText, `"heartbeat" `, true},
	{"newline", websocket.MessageText, "\"heartbeat\"\n", true},
	{"other case", websocket.MessageText, `"Heartbeat"`, true},
	{"heartbeat escaped", websocket.MessageText, `"\u0068eartbeat"`, true},
	{"other text", websocket.MessageText, `{"say":"hello"}`, true},
	{"empty text", websocket.MessageText, ``, true},
	{"binary", websocket.MessageBinary, "\x00\xff", true},
	{"binary heartbeat", websocket.MessageBinary, `"heartbeat"`, true},
}

func TestTouchPresence(t *testing.T) {
	for _, m := range messages {
		t.Run(m.name, func(t *testing.T) {
			p := newTracker()
			receive := heartbeat.TouchPresence(p, channel,
				func(_ context.Context, typ websocket.MessageType, data []byte) error {
					if typ != m.typ || string(data) != m.data {
						t.Errorf("got %v %q", typ, data)
					}
					p.add("handler")
					return errors.New("of the handler")
				})
			err := receive(t.Context(), m.typ, []byte(m.data))
			want := []string{touched}
			if m.handled {
				want = append(want, "handler")
			}
			if got := p.all(); !slices.Equal(got, want) || m.handled != (err != nil) {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		})
	}
	t.Run("without a handler", func(t *testing.T) {
		p := newTracker()
		if err := heartbeat.TouchPresence[int](p, channel, nil)(t.Context(), 1, []byte("text")); err != nil {
			t.Error(err)
		}
		if got := p.count(touched); got != 1 {
			t.Errorf("%d touches", got)
		}
	})
}

func TestServeTouches(t *testing.T) {
	for _, m := range messages {
		t.Run(m.name, func(t *testing.T) {
			got := make(chan string, 2)
			s := newServer(t, handler{
				Receive: func(_ context.Context, typ websocket.MessageType, data []byte) error {
					got <- typ.String() + string(data)
					return nil
				},
			}, nil)
			client := s.connect(t)
			if err := client.Write(t.Context(), m.typ, []byte(m.data)); err != nil {
				t.Fatal(err)
			}
			s.wait(t, touched, 1)
			// The next message shows that nothing of this one is still to come.
			if err := client.Write(t.Context(), websocket.MessageText, []byte("end")); err != nil {
				t.Fatal(err)
			}
			want := "MessageTextend"
			if m.handled {
				want = m.typ.String() + m.data
			}
			if got := <-got; got != want {
				t.Errorf("handler got %q, want %q", got, want)
			}
		})
	}
}

func TestRemovePresence(t *testing.T) {
	gone := errors.New("gone")
	failed := errors.New("failed")
	leaves := map[string]struct {
		leave func(context.Context) error
		want  error
		panic bool
	}{
		"leave succeeds": {},
		"leave fails":    {leave: func(context.Context) error { return failed }, want: failed},
		"leave panics":   {leave: func(context.Context) error { panic(failed) }, panic: true},
	}
	for name, l := range leaves {
		t.Run(name, func(t *testing.T) {
			p := newTracker()
			p.leave = l.leave
			disconnect := heartbeat.RemovePresence(p, channel, func(ctx context.Context, cause error) {
				if cause != gone || ctx.Err() != nil {
					t.Errorf("handler got %v, %v", ctx.Err(), cause)
				}
				p.add("disconnect")
			})
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			func() {
				defer func() {
					if v := recover(); (v != nil) != l.panic {
						t.Errorf("panic: %v", v)
					}
				}()
				if err := disconnect(ctx, gone); !errors.Is(err, l.want) {
					t.Errorf("got %v, want %v", err, l.want)
				}
			}()
			if got := p.all(); !slices.Equal(got, []string{"leave " + channel, "disconnect"}) {
				t.Errorf("got %q", got)
			}
		})
	}

	t.Run("handler panics", func(t *testing.T) {
		p := newTracker()
		defer func() {
			if v := recover(); v != "of the handler" || p.count("leave "+channel) != 1 {
				t.Errorf("got %v, %q", v, p.all())
			}
		}()
		heartbeat.RemovePresence(p, channel, func(context.Context, error) { panic("of the handler") })(t.Context(), nil)
	})

	t.Run("context of the leave", func(t *testing.T) {
		type key struct{}
		p := newTracker()
		p.leave = func(ctx context.Context) error {
			deadline, ok := ctx.Deadline()
			if left := time.Until(deadline); !ok || left <= 0 || left > heartbeat.DefaultLeaveTimeout {
				t.Errorf("deadline in %v", left)
			}
			if ctx.Value(key{}) != "value" {
				t.Error("the values are lost")
			}
			return ctx.Err()
		}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		cancel()
		if err := heartbeat.RemovePresence(p, channel, nil)(ctx, nil); err != nil {
			t.Error(err)
		}
	})

	t.Run("reason", func(t *testing.T) {
		p := newTracker()
		disconnect := heartbeat.RemovePresence(p, channel, nil)
		for _, cause := range []error{nil, gone, heartbeat.ErrDeadPeer} {
			if err := disconnect(t.Context(), cause); err != nil {
				t.Error(err)
			}
		}
		want := []presence.Reason{presence.Disconnected, presence.Disconnected, presence.TimedOut}
		if got := p.reasons(); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

type silent struct{}

func (silent) Touch(string) {}
func (silent) LeaveAllAfter(context.Context, string, presence.Reason, time.Duration) (map[string]presence.Revision, error) {
	return nil, nil
}

func TestTouchDoesNotAllocate(t *testing.T) {
	receive := heartbeat.TouchPresence(silent{}, channel, func(context.Context, int, []byte) error { return nil })
	for _, text := range []string{`"heartbeat"`, `{"say":"hello"}`} {
		data, ctx := []byte(text), t.Context()
		if n := testing.AllocsPerRun(100, func() { receive(ctx, 1, data) }); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}

func FuzzHeartbeat(f *testing.F) {
	for _, m := range messages {
		f.Add([]byte(m.data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := heartbeat.IsHeartbeat(data)
		if want := strings.Compare(string(data), `"heartbeat"`) == 0; got != want {
			t.Fatalf("%q: %v", data, got)
		}
		var s string
		if got && (json.Unmarshal(data, &s) != nil || s != "heartbeat") {
			t.Fatalf("%q is not the JSON string", data)
		}
	})
}
