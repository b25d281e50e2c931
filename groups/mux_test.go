package groups_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

func ignore(context.Context, groups.Message) error { return nil }

func TestMuxDispatch(t *testing.T) {
	errHandler := errors.New("of the handler")
	var heard []string
	note := func(who string, err error) func(context.Context, groups.Message) error {
		return func(_ context.Context, m groups.Message) error {
			heard = append(heard, who+" "+string(m.Payload))
			return err
		}
	}
	var mux groups.Mux
	mux.Handle("forward.message", note("forward", nil))
	mux.Handle("kick", note("kick", errHandler))
	send := func(typ string) error {
		heard = nil
		return mux.Dispatch(t.Context(), groups.Message{Type: typ, Payload: []byte("x")})
	}
	check := func(typ, wantHeard string, want error) {
		t.Helper()
		if err := send(typ); !errors.Is(err, want) || strings.Join(heard, ",") != wantHeard {
			t.Errorf("type %q: heard %q, %v; want %q, %v", typ, heard, err, wantHeard, want)
		}
	}
	check("forward.message", "forward x", nil)
	check("kick", "kick x", errHandler)
	for _, unknown := range []string{"forward_message", "Forward.message", "forward.message ", "ev\nil", ""} {
		check(unknown, "", groups.ErrNoHandler)
		if err := send(unknown); !strings.Contains(err.Error(), fmt.Sprintf("%q", unknown)) {
			t.Errorf("error %q does not name type %q", err, unknown)
		}
	}
	mux.Default(note("default", nil))
	check("forward.message", "forward x", nil)
	check("forward_message", "default x", nil)
	check("", "default x", nil)
}

func TestMuxRefusesRegistrationsThatMakeNoSense(t *testing.T) {
	for name, register := range map[string]func(*groups.Mux){
		"empty type":   func(x *groups.Mux) { x.Handle("", ignore) },
		"nil handler":  func(x *groups.Mux) { x.Handle("a", nil) },
		"twice":        func(x *groups.Mux) { x.Handle("a", ignore); x.Handle("a", ignore) },
		"nil default":  func(x *groups.Mux) { x.Default(nil) },
		"two defaults": func(x *groups.Mux) { x.Default(ignore); x.Default(ignore) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "rollcall: ") {
					t.Errorf("panic %q", text)
				}
			}()
			register(groups.NewMux())
		})
	}
}

func TestMuxServe(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		layer, err := groups.New(t.Context(), s.NewClient(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = layer.Close(context.Background()) })
		open := func(t *testing.T, types ...string) *groups.Channel {
			t.Helper()
			c, err := layer.NewChannel()
			if err != nil {
				t.Fatal(err)
			}
			for _, typ := range types {
				if err := layer.Send(t.Context(), c.Name(), groups.Message{Type: typ}); err != nil {
					t.Fatal(err)
				}
			}
			return c
		}
		recorder := func(heard *[]string) *groups.Mux {
			mux := groups.NewMux()
			mux.Default(func(_ context.Context, m groups.Message) error {
				*heard = append(*heard, m.Type)
				return nil
			})
			return mux
		}

		t.Run("what is left is handled before a closed channel ends it", func(t *testing.T) {
			var heard []string
			c, cause := open(t, "a", "b", "c"), errors.New("kicked")
			c.CloseWith(cause)
			if err := recorder(&heard).Serve(t.Context(), c); err != cause || fmt.Sprint(heard) != "[a b c]" {
				t.Errorf("heard %v, %v", heard, err)
			}
		})
		t.Run("handler's error ends it and the channel stays open", func(t *testing.T) {
			var heard []string
			c, failure := open(t, "a", "bad", "c"), errors.New("failure")
			mux := recorder(&heard)
			mux.Handle("bad", func(context.Context, groups.Message) error { return failure })
			if err := mux.Serve(t.Context(), c); err != failure || c.Err() != nil {
				t.Errorf("%v; the channel: %v", err, c.Err())
			}
			if m, ok := c.TryReceive(); !ok || m.Type != "c" {
				t.Errorf("left %+v, %v", m, ok)
			}
		})
		t.Run("unknown type ends it", func(t *testing.T) {
			if err := groups.NewMux().Serve(t.Context(), open(t, "a")); !errors.Is(err, groups.ErrNoHandler) {
				t.Error(err)
			}
		})
		t.Run("context ends it though there is more to receive", func(t *testing.T) {
			var heard []string
			ctx, cancel := context.WithCancel(t.Context())
			mux := recorder(&heard)
			mux.Handle("last", func(context.Context, groups.Message) error { cancel(); return nil })
			if err := mux.Serve(ctx, open(t, "a", "last", "b")); err != context.Canceled || len(heard) != 1 {
				t.Errorf("heard %v, %v", heard, err)
			}
		})
		t.Run("one mux serves many channels of a group", func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			var heard atomic.Int32
			mux := groups.NewMux()
			mux.Handle("forward.message", func(context.Context, groups.Message) error { heard.Add(1); return nil })
			mux.Handle("bye", func(context.Context, groups.Message) error { return context.Canceled })
			var serving sync.WaitGroup
			for range 20 {
				c := open(t)
				if err := layer.GroupAdd(ctx, "lobby", c.Name()); err != nil {
					t.Fatal(err)
				}
				serving.Go(func() {
					if err := mux.Serve(ctx, c); err != context.Canceled {
						t.Error(err)
					}
				})
			}
			for _, typ := range []string{"forward.message", "forward.message", "bye"} {
				if err := layer.GroupSend(ctx, "lobby", groups.Message{Type: typ}); err != nil {
					t.Fatal(err)
				}
			}
			serving.Wait()
			if heard.Load() != 40 {
				t.Errorf("%d messages handled, want 40", heard.Load())
			}
		})
	})
}
