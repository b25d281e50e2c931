package groups_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

// patience is for what must happen, however busy the machine is.
const patience = 60 * time.Second

func newLayer(t testing.TB, s *redistest.Server, hooks ...func(*groups.Options)) *groups.Layer {
	t.Helper()
	opts := &groups.Options{}
	for _, hook := range hooks {
		hook(opts)
	}
	return newLayerOn(t, s.NewClient(t), opts)
}

func newLayerOn(t testing.TB, client redis.UniversalClient, opts *groups.Options) *groups.Layer {
	t.Helper()
	l, err := groups.New(t.Context(), client, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

// unhurried makes a client wait for answers without an end.
func unhurried(o *redis.UniversalOptions) { o.ReadTimeout = time.Hour }

func newChannel(t testing.TB, l *groups.Layer, in ...string) *groups.Channel {
	t.Helper()
	c, err := l.NewChannel()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range in {
		if err := l.GroupAdd(t.Context(), name, c.Name()); err != nil {
			t.Fatalf("add %s to %s: %v", c.Name(), name, err)
		}
	}
	return c
}

// beside returns another group of group's shard: what one sender sends to the
// two arrives in order, which on a cluster holds within a shard only.
func beside(l *groups.Layer, group string) string {
	for i := 0; ; i++ {
		other := fmt.Sprint(group, i)
		if l.Store().Shard(other) == l.Store().Shard(group) {
			return other
		}
	}
}

func text(typ string) groups.Message {
	return groups.Message{Type: typ, Payload: []byte("payload of " + typ)}
}

func groupSend(t testing.TB, l *groups.Layer, group string, types ...string) {
	t.Helper()
	for _, typ := range types {
		if err := l.GroupSend(t.Context(), group, text(typ)); err != nil {
			t.Fatalf("send %s to %s: %v", typ, group, err)
		}
	}
}

func send(t testing.TB, l *groups.Layer, to *groups.Channel, types ...string) {
	t.Helper()
	for _, typ := range types {
		if err := l.Send(t.Context(), to.Name(), text(typ)); err != nil {
			t.Fatalf("send %s to %s: %v", typ, to.Name(), err)
		}
	}
}

// receive fails unless the next messages of c are of these types.
func receive(t testing.TB, c *groups.Channel, types ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i, typ := range types {
		m, err := c.Receive(ctx)
		if err != nil {
			t.Fatalf("%s, message %d: want %s, got %v", c.Name(), i, typ, err)
		}
		if m.Type != typ || string(m.Payload) != "payload of "+typ {
			t.Fatalf("%s, message %d: want %s, got %s %q", c.Name(), i, typ, m.Type, m.Payload)
		}
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: got %v, want %v", what, err, want)
	}
}

// subscribers waits until so many connections are subscribed to a topic.
func subscribers(t testing.TB, s *redistest.Server, topic string, want int64) {
	t.Helper()
	client := s.NewClient(t)
	redistest.Eventually(t, patience, func() error {
		n, err := redistest.Subscribers(t.Context(), client, topic)
		if err == nil && n != want {
			err = fmt.Errorf("%d subscribers of %s, want %d", n, topic, want)
		}
		return err
	})
}
