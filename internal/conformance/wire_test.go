package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// wire stands between a node and Redis. It counts the scripts that are called,
// and loses the connection before or after one of them, or waits there for the
// test to break something.
type wire struct {
	mu    sync.Mutex
	calls []string // the script of each call
	cut   cut
	on    string // the script that is cut
	left  int    // how many calls are still cut
	at    chan struct{}
	next  chan struct{}
}

// cut says where the wire is cut.
type cut int

const (
	nowhere  cut = iota
	asked        // the script is not called
	answered     // the script was carried out, and its reply is lost
)

// script tells which script a call is of, by its keys and arguments.
func script(args []any) string {
	keys, _ := args[2].(int)
	first, _ := args[3].(string)
	_, number := args[min(3+keys+2, len(args)-1)].(int64)
	switch {
	case strings.Contains(first, ":presences:"):
		return "touch"
	case strings.HasSuffix(first, ":meta") && keys == 1:
		return "clock"
	case strings.HasSuffix(first, ":meta") && keys == 3:
		return "register"
	case strings.HasSuffix(first, ":grace"):
		return "ungrace"
	case strings.HasSuffix(first, ":sweep"):
		return "turn"
	case strings.HasSuffix(first, ":rooms"):
		return "prune rooms"
	case !strings.Contains(first, ":node:"):
	case keys == 5 && len(args) == 3+keys+2:
		return "retire"
	case keys == 5:
		return "renew"
	case keys >= 8 && number:
		return "write"
	case keys >= 8:
		return "prune"
	}
	panic(fmt.Sprintf("unknown script with the keys %q", args[3:3+keys]))
}

// lose loses the next calls of a script.
func (w *wire) lose(where cut, script string, calls int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut, w.on, w.left = where, script, calls
	w.at, w.next = nil, nil
}

// hold loses the next calls, the first of them once the test has broken what it
// wants: at is closed when that one is there, and the test closes next.
func (w *wire) hold(where cut, script string, calls int) (at <-chan struct{}, next chan<- struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut, w.on, w.left = where, script, calls
	w.at, w.next = make(chan struct{}), make(chan struct{})
	return w.at, w.next
}

// always is more calls than are made while a test looks.
const always = 1 << 30

// heal ends what lose or hold began.
func (w *wire) heal() { w.lose(nowhere, "", 0) }

// count returns how often a script was called.
func (w *wire) count(script string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, call := range w.calls {
		if call == script {
			n++
		}
	}
	return n
}

func (w *wire) drop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = w.calls[:max(0, len(w.calls)-1)]
}

func (w *wire) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = nil
}

// take notes a call, and tells whether it is cut.
func (w *wire) take(script string) (where cut, wait func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, script)
	if w.left == 0 || script != w.on {
		return nowhere, nil
	}
	w.left--
	at, next := w.at, w.next
	w.at, w.next = nil, nil
	return w.cut, func() {
		if at != nil {
			close(at)
			<-next
		}
	}
}

// DialHook implements redis.Hook.
func (w *wire) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessPipelineHook implements redis.Hook.
func (w *wire) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook implements redis.Hook.
func (w *wire) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !slices.Contains([]string{"eval", "evalsha"}, cmd.Name()) || len(cmd.Args()) < 4 {
			return next(ctx, cmd)
		}
		where, wait := w.take(script(cmd.Args()))
		if where == nowhere {
			err := next(ctx, cmd)
			if redis.HasErrorPrefix(err, "NOSCRIPT") {
				w.drop() // it comes again, with its text
			}
			return err
		}
		if where == answered {
			_ = next(ctx, cmd)
		}
		wait()
		cmd.SetErr(io.EOF)
		return io.EOF
	}
}

// The wire knows each script by the name that the other tests use.
func TestTheWireKnowsTheScripts(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, config{presence: presence.Options{MaxAge: time.Second, Lease: time.Second}})
		graced, touched := n.Enter(t, "lobby", "ana"), n.Enter(t, "garden", "cyd")
		n.Enter(t, "lobby", "ben") // is silent from here on
		if _, err := n.LeaveAllAfter(t.Context(), graced.Name(), presence.Disconnected, time.Nanosecond); err != nil {
			t.Fatal(err)
		}
		redistest.Eventually(t, patience, func() error {
			n.Touch(touched.Name())
			_, err := n.Pruner.Presences(t.Context())
			for _, script := range []string{"touch", "renew", "prune", "ungrace"} {
				if n.Wire.count(script) == 0 {
					err = errors.Join(err, fmt.Errorf("no %s", script))
				}
			}
			return err
		})
		if _, err := n.Pruner.Rooms(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := n.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, script := range []string{"register", "write", "turn", "clock", "prune rooms", "retire"} {
			if n.Wire.count(script) == 0 {
				t.Errorf("no %s", script)
			}
		}
	})
}
