package presence_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// A channel leaves while Redis is away, and leaves once more before that is written: it
// leaves as it was first to, unless it is kicked.
func TestWhoOwesADepartureLeavesAsBefore(t *testing.T) {
	const short, long = 30 * time.Second, 10 * time.Minute
	type step = func(ctx context.Context, n *node, channel string) error
	remove := func(ctx context.Context, n *node, channel string) error {
		_, err := n.Remove(ctx, "lobby", channel)
		return err
	}
	kick := func(ctx context.Context, n *node, channel string) error {
		_, err := n.Kick(ctx, presence.Kick{Channel: channel})
		return err
	}
	after := func(grace time.Duration) step {
		return func(ctx context.Context, n *node, channel string) error {
			_, err := n.LeaveAllAfter(ctx, channel, presence.Disconnected, grace)
			return err
		}
	}
	leave := func(ctx context.Context, n *node, channel string) error {
		_, err := n.LeaveAll(ctx, channel, presence.Left)
		return err
	}
	drain := func(ctx context.Context, n *node, _ string) error { return n.Drain(ctx, long) }
	shut := func(ctx context.Context, n *node, _ string) error { return n.Close(ctx) }
	kicked := func(ctx context.Context, n *node, channel string) error {
		_ = after(short)(ctx, n, channel)
		return kick(ctx, n, channel)
	}
	nothing := func(context.Context, *node, string) error { return nil }
	for name, c := range map[string]struct {
		first, then step
		reason      presence.Reason
		grace       time.Duration
	}{
		"remove, then after a grace": {remove, after(long), presence.Left, 0},
		"remove, then drain":         {remove, drain, presence.Left, 0},
		"kick, then after a grace":   {kick, after(long), presence.Kicked, 0},
		"kick, then remove":          {kick, remove, presence.Kicked, 0},
		"after a grace, then close":  {after(short), shut, presence.Disconnected, short},
		"after a grace, then drain":  {after(short), drain, presence.Disconnected, short},
		"after a grace, then remove": {after(short), remove, presence.Disconnected, short},
		"drain, then at once":        {drain, leave, presence.Drained, long},
		"after a grace, but kicked":  {kicked, nothing, presence.Kicked, 0},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
				link := s.NewLink(t)
				goes, stays := startNode(t, link.NewClient(t), nil, presence.Options{}), newNode(t, s, presence.Options{})
				channel := goes.open(t)
				goes.add(t, "lobby", channel, "ann")
				w := watch(t, stays, "lobby", nil)

				link.Cut()
				redistest.Advance(t, 10*time.Second) // it is known now, so nothing is sent
				if err := c.first(t.Context(), goes, channel); !errors.Is(err, presence.ErrUnavailable) {
					t.Fatal(err)
				}
				link.Heal()
				_ = c.then(t.Context(), goes, channel) // it may be known yet that Redis is away
				redistest.Advance(t, 5*time.Second)

				pruner, err := prune.New(stays.Tracker, nil)
				if err != nil {
					t.Fatal(err)
				}
				if c.grace > 0 {
					list, err := stays.Presences(t.Context(), "lobby")
					if err != nil || len(list) != 1 {
						t.Fatalf("%+v, %v", list, err)
					}
					if left := time.Until(list[0].LeavesAt); left <= c.grace-10*time.Second || left > c.grace {
						t.Errorf("stays for %v", left)
					}
					redistest.Advance(t, c.grace)
				}
				if _, err := pruner.Presences(t.Context()); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				d, err := w.Next(ctx)
				if err != nil || len(d.Removed) != 1 || d.Removed[0].Reason != c.reason {
					t.Errorf("%+v, %v", d, err)
				}
			})
		})
	}
}
