package heartbeat_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/internal/nodetest"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// gone is the connection of a peer whose close frame has been read but not yet
// told, of a library with types of its own.
type gone struct {
	told   chan struct{}
	reason error
}

type (
	kind    int
	code    int
	goodbye struct {
		Code   code
		Reason string
	}
)

func (goodbye) Error() string { return "goodbye" }

var errBrokenPipe = errors.New("broken pipe")

func (c gone) Read(context.Context) (kind, []byte, error) {
	<-c.told
	return 0, nil, fmt.Errorf("read: %w", c.reason)
}

func (c gone) Close(code, string) error { close(c.told); return nil }

func (c gone) CloseNow() error                         { return c.Close(0, "") }
func (gone) Write(context.Context, kind, []byte) error { return errBrokenPipe }
func (gone) Ping(context.Context) error                { return errBrokenPipe }
func (gone) SetReadLimit(int64)                        {}

// The writer may see before the reader that the peer is gone. What the reader
// knows about it counts.
func TestServePrefersWhatReaderKnows(t *testing.T) {
	for _, row := range []struct {
		name   string
		reason error
		want   error
	}{
		{"normal", goodbye{Code: 1000}, nil},
		{"going away", goodbye{Code: 1001}, nil},
		{"other code", goodbye{Code: 4000}, goodbye{Code: 4000}},
		{"no code", errBrokenPipe, errBrokenPipe},
		{"code of this package", heartbeat.CloseError{Code: 1000}, heartbeat.CloseError{Code: 1000}},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := newMailbox()
			m.queue <- groups.Message{}
			conn := gone{told: make(chan struct{}), reason: row.reason}
			err := heartbeat.Serve(t.Context(), conn, newTracker(), m, heartbeat.Handler[kind]{}, nil)
			if !errors.Is(err, row.want) {
				t.Errorf("Serve returned %v, want %v", err, row.want)
			}
			if row.want != nil && !errors.Is(err, heartbeat.ErrConn) {
				t.Errorf("Serve returned %v", err)
			}
		})
	}
}

// A handler that writes may be the first to see that the peer is gone. Its error is the
// cause, but the application did not end the connection.
func TestGraceThoughAHandlerFindsThePeerGone(t *testing.T) {
	for _, row := range []struct {
		err  error
		want time.Duration
	}{
		{net.ErrClosed, time.Minute},
		{&net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}, time.Minute},
		{&net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.ECONNRESET)}, time.Minute},
		{goodbye{Code: 1001}, time.Minute},
		{goodbye{Code: 4000}, 0},
		{errApp, 0},
	} {
		t.Run(row.err.Error(), func(t *testing.T) {
			p := newTracker()
			h := heartbeat.Handler[kind]{Run: func(context.Context) error { return fmt.Errorf("follow: %w", row.err) }}
			err := heartbeat.Serve(t.Context(), gone{told: make(chan struct{}), reason: row.err}, p, newMailbox(), h,
				&heartbeat.Options{Grace: time.Minute})
			if !errors.Is(err, heartbeat.ErrHandler) || !errors.Is(err, row.err) {
				t.Errorf("Serve returned %v", err)
			}
			if !slices.Equal(p.graces, []time.Duration{row.want}) {
				t.Errorf("left with a grace of %v, want %v", p.graces, row.want)
			}
		})
	}
}

// plain is the connection of a library whose codes have no type of their own, as those of
// a CloseError.
type plain struct{ gone }

func (c plain) Close(int, string) error { return c.gone.Close(0, "") }

func TestNoGraceWhenAHandlerAsksForAClose(t *testing.T) {
	p := newTracker()
	h := heartbeat.Handler[kind]{Run: func(context.Context) error { return heartbeat.CloseError{Code: 1000} }}
	_ = heartbeat.Serve(t.Context(), plain{gone{told: make(chan struct{}), reason: net.ErrClosed}}, p, newMailbox(), h,
		&heartbeat.Options{Grace: time.Minute})
	if !slices.Equal(p.graces, []time.Duration{0}) {
		t.Errorf("left with a grace of %v", p.graces)
	}
}

// Somebody may add the channel to a room when its connection has ended: nobody would ever
// take it out.
func TestNoAdditionAfterTheLeave(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := nodetest.Start(t, s.NewClient(t), nodetest.Options{}), nodetest.Start(t, s.NewClient(t), nodetest.Options{})
		c := a.Open(t)
		conn := gone{told: make(chan struct{}), reason: net.ErrClosed}
		h := heartbeat.Handler[kind]{
			Connect: func(context.Context) error { return errApp },
			Disconnect: func(ctx context.Context, _ error) {
				if _, _, err := b.Add(ctx, "lobby", c.Name(), presence.Member{User: "ana"}); err == nil {
					t.Error("added after the leave")
				}
			},
		}
		if err := heartbeat.Serve(t.Context(), conn, a.Tracker, c, h, nil); !errors.Is(err, errApp) {
			t.Errorf("Serve returned %v", err)
		}
		if counts, err := a.Counts(t.Context(), "lobby"); err != nil || counts.Presences != 0 {
			t.Errorf("%+v, %v", counts, err)
		}
	})
}

// late is a connection whose peer goes on sending when it is told to go, and
// that ends the session in the middle of its first write.
type late struct {
	gone
	end    context.CancelFunc
	writes []error
	once   *sync.Once
}

func (c *late) Read(ctx context.Context) (kind, []byte, error) {
	<-c.told
	var first bool
	c.once.Do(func() { first = true })
	if first {
		return 1, []byte("late"), ctx.Err()
	}
	return 0, nil, net.ErrClosed
}

func (c *late) Write(ctx context.Context, _ kind, _ []byte) error {
	c.end()
	c.writes = append(c.writes, ctx.Err())
	return nil
}

// What is under way when a session ends is not cut off, as libraries would drop
// the connection for it. But nothing new begins.
func TestServeBeginsNothingAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, m := newTracker(), newMailbox()
	for range 3 {
		m.queue <- groups.Message{}
	}
	conn := &late{gone: gone{told: make(chan struct{})}, end: cancel, once: new(sync.Once)}
	h := heartbeat.Handler[kind]{Receive: func(context.Context, kind, []byte) error {
		t.Error("handled a message after the end")
		return nil
	}}
	if err := heartbeat.Serve(ctx, conn, p, m, h, nil); err != context.Canceled {
		t.Errorf("Serve returned %v", err)
	}
	if !slices.Equal(conn.writes, []error{nil}) {
		t.Errorf("writes %v", conn.writes)
	}
	if got := p.all(); !slices.Equal(got, []string{"leave " + channel}) {
		t.Errorf("got %q", got)
	}
}
