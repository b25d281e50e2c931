package presence_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// deaf is a wire on which what is sent to an inbox is heard by nobody, so many times.
type deaf struct {
	inbox atomic.Pointer[string]
	left  atomic.Int64
}

func (*deaf) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*deaf) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (d *deaf) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		inbox := d.inbox.Load()
		if inbox == nil || len(cmds[0].Args()) < 2 || cmds[0].Args()[1] != *inbox || d.left.Add(-1) < 0 {
			return next(ctx, cmds)
		}
		for _, cmd := range cmds {
			cmd.(interface{ SetVal(int64) }).SetVal(0)
		}
		return nil
	}
}

func (d *deaf) make(n *node, times int64) {
	inbox := n.Store().Inbox(n.Layer.NodeID())
	d.left.Store(times)
	d.inbox.Store(&inbox)
}

// A node may lose its subscriptions for a moment. That does not mean that it is gone.
func TestOperationsOnANodeThatDoesNotHear(t *testing.T) {
	for name, call := range map[string]func(context.Context, *node, string) error{
		"kick of a user": func(ctx context.Context, n *node, _ string) error {
			_, err := n.Kick(ctx, presence.Kick{User: "ana"})
			return err
		},
		"kick of a channel": func(ctx context.Context, n *node, c string) error {
			_, err := n.Kick(ctx, presence.Kick{Channel: c})
			return err
		},
		"remove": func(ctx context.Context, n *node, c string) error { _, err := n.Remove(ctx, "lobby", c); return err },
		"leave all": func(ctx context.Context, n *node, c string) error {
			_, err := n.LeaveAll(ctx, c, presence.Left)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
				client, wire := s.NewClient(t), &deaf{}
				client.AddHook(wire)
				a, b := startNode(t, client, nil, presence.Options{}), newNode(t, s, presence.Options{})
				c := b.open(t)
				b.add(t, "lobby", c, "ana")

				wire.make(b, 1<<30)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := call(ctx, a, c); !errors.Is(err, presence.ErrNoAnswer) {
					t.Errorf("while it does not hear: %v", err)
				}
				only(t, a, "lobby", c)

				wire.make(b, 3)
				if err := call(t.Context(), a, c); err != nil {
					t.Errorf("once it hears: %v", err)
				}
				if counts, err := a.Counts(t.Context(), "lobby"); err != nil || counts.Presences != 0 {
					t.Errorf("%+v, %v", counts, err)
				}
			})
		})
	}
}

// A node works on what it hears late for no longer than somebody waits for it.
func TestTimeOfARequestThatIsHeardLate(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		client, wire := s.NewClient(t), &deaf{}
		client.AddHook(wire)
		a, b := startNode(t, client, nil, presence.Options{}), newNode(t, s, presence.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		asked, _ := ctx.Deadline()
		b.Layer.Respond("tell", func(ctx context.Context, _ []byte) (any, error) {
			ends, ok := ctx.Deadline()
			return ok && !ends.After(asked), nil
		})
		wire.make(b, 20)
		inTime := false
		if err := a.Layer.AskNode(ctx, b.Layer.NodeID(), "tell", nil, &inTime); err != nil || !inTime {
			t.Errorf("it works on it for longer: %v", err)
		}
	})
}

// Messages are sent once: whoever sends one learns that it is lost, and that the channel
// may be there.
func TestAMessageToANodeThatDoesNotHear(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		client, wire := s.NewClient(t), &deaf{}
		client.AddHook(wire)
		a, b := startNode(t, client, nil, presence.Options{}), newNode(t, s, presence.Options{})
		c := b.open(t)
		wire.make(b, 1)
		if err := a.Layer.Send(t.Context(), c, groups.Message{Type: "lost"}); !errors.Is(err, presence.ErrNoAnswer) {
			t.Errorf("while it does not hear: %v", err)
		}
		if err := a.Layer.Send(t.Context(), c, groups.Message{Type: "received"}); err != nil {
			t.Errorf("once it hears: %v", err)
		}
	})
}
