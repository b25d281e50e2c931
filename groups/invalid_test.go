package groups_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
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

// version answers INFO as a server of that version would.
type version string

func (v version) DialHook(next redis.DialHook) redis.DialHook { return next }

func (v version) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if s, ok := cmd.(*redis.StringCmd); ok && cmd.Name() == "info" {
			s.SetVal("# Server\r\nredis_version:" + string(v) + "\r\nredis_mode:standalone\r\n")
			return nil
		}
		return next(ctx, cmd)
	}
}

func (v version) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestServerVersion(t *testing.T) {
	s := redistest.Mini(t)
	for v, ok := range map[version]bool{
		"2.8.24": false, "5.0.14": false, "6.2.99": false, "nonsense": false,
		"7.0.0": true, "7.4.1": true, "8.0.0": true, "10.0.0": true, "255.255.255": true,
	} {
		client := s.NewClient(t)
		client.AddHook(v)
		l, err := groups.New(t.Context(), client, nil)
		if ok != (err == nil) || !ok && !errors.Is(err, luascripts.ErrServer) {
			t.Errorf("%s: %v", v, err)
		}
		if errors.Is(err, groups.ErrUnavailable) {
			t.Errorf("%s: %v", v, err)
		}
		if err == nil {
			if err := l.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestRingIsRefused(t *testing.T) {
	s := redistest.Mini(t)
	ring := redis.NewRing(&redis.RingOptions{
		Addrs: map[string]string{"one": s.Addrs[0]},
		NewClient: func(o *redis.Options) *redis.Client {
			o.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
			return redis.NewClient(o)
		},
	})
	defer ring.Close()
	_, err := groups.New(t.Context(), ring, nil)
	wantErr(t, "ring", err, luascripts.ErrServer)
}
