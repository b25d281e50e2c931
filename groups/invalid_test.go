package groups_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

func wantInvalid(t testing.TB, what string, err error) {
	t.Helper()
	var invalid *groups.InvalidError
	if !errors.As(err, &invalid) || invalid.Field == "" || invalid.Reason == "" || len(invalid.Value) > 65 {
		t.Errorf("%s: %v", what, err)
	}
}

// With the server away, an answer that is no ErrUnavailable came without it.
func TestInvalidArguments(t *testing.T) {
	s := redistest.Mini(t)
	l := newLayer(t, s, func(o *groups.Options) { o.MaxPayload = 10 })
	c := newChannel(t, l)
	s.Stop()
	ctx := t.Context()
	for _, name := range []string{"", strings.Repeat("n", 256), "\xff"} {
		wantInvalid(t, "add", l.GroupAdd(ctx, name, c.Name()))
		wantInvalid(t, "discard", l.GroupDiscard(ctx, name, c.Name()))
		wantInvalid(t, "send", l.GroupSend(ctx, name, text("x")))
		_, err := l.Listen(name, &listener{})
		wantInvalid(t, "listen", err)
	}
	for _, m := range []groups.Message{
		{Payload: make([]byte, 11)},
		{Type: strings.Repeat("t", 256)},
	} {
		wantInvalid(t, "group send", l.GroupSend(ctx, "g", m))
		wantInvalid(t, "local send", l.Send(ctx, c.Name(), m))
		wantInvalid(t, "remote send", l.Send(ctx, "other!1", m))
	}
	for _, name := range []string{"", "!", "x", "x!", "!x", l.NodeID() + "!zz"} {
		wantErr(t, "send to "+name, l.Send(ctx, name, groups.Message{}), groups.ErrUnknownChannel)
		wantErr(t, "add "+name, l.GroupAdd(ctx, "g", name), groups.ErrUnknownChannel)
		wantErr(t, "discard "+name, l.GroupDiscard(ctx, "g", name), groups.ErrUnknownChannel)
	}
}

func TestInvalidOptions(t *testing.T) {
	for name, opts := range map[string]*groups.Options{
		"prefix":      {Prefix: "a{b"},
		"node":        {NodeID: "a!b"},
		"long node":   {NodeID: strings.Repeat("n", 65)},
		"capacity":    {Capacity: -1},
		"overflow":    {Overflow: groups.CloseChannel + 1},
		"underflow":   {Overflow: -1},
		"max payload": {MaxPayload: -1},
		"linger":      {Linger: -1},
		"shards":      {Shards: 3},
		"no shards":   {Shards: -1},
		"many shards": {Shards: 2048},
	} {
		_, err := groups.New(t.Context(), nil, opts) // a nil client would panic
		wantInvalid(t, name, err)
	}
}

func TestSendToDeadNode(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := newLayer(t, s), newLayer(t, s)
		c := newChannel(t, b)
		send(t, a, c, "alive")
		receive(t, c, "alive")
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		subscribers(t, s, b.Store().Inbox(b.NodeID()), 0)
		wantErr(t, "send", a.Send(t.Context(), c.Name(), text("x")), groups.ErrUnknownChannel)
	})
}

// A call that its caller gave up says nothing about Redis.
func TestACancelledCallIsNoOutage(t *testing.T) {
	l := newLayer(t, redistest.Mini(t))
	c := newChannel(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"group send":  l.GroupSend(ctx, "g", text("x")),
		"remote send": l.Send(ctx, "other!1", text("x")),
		"group add":   l.GroupAdd(ctx, "new", c.Name()),
	} {
		if !errors.Is(err, context.Canceled) || errors.Is(err, groups.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := groups.New(ctx, l.Store().Client(), nil); !errors.Is(err, context.Canceled) || errors.Is(err, groups.ErrUnavailable) {
		t.Errorf("new: %v", err)
	}
}
