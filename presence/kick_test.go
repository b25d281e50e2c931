package presence_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

var blocked = groups.CloseError{Code: 4001, Reason: "blocked"}

// Who was pruned alive comes back with the next touch, unless a kick came before.
func TestKickOfAPrunedChannel(t *testing.T) {
	kicks := map[string]func(channel string) presence.Kick{
		"user":               func(string) presence.Kick { return presence.Kick{User: "ana", Close: blocked} },
		"key":                func(string) presence.Kick { return presence.Kick{Key: "phone", Close: blocked} },
		"user in a room":     func(string) presence.Kick { return presence.Kick{User: "ana", Room: "lobby", Close: blocked} },
		"channel":            func(c string) presence.Kick { return presence.Kick{Channel: c, Close: blocked} },
		"user, left open":    func(string) presence.Kick { return presence.Kick{User: "ana"} },
		"channel, left open": func(c string) presence.Kick { return presence.Kick{Channel: c} },
	}
	for name, kick := range kicks {
		t.Run(name, func(t *testing.T) {
			redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
				a, b := newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{})
				c, other := a.open(t), a.open(t)
				for channel, m := range map[string]presence.Member{c: {User: "ana", Key: "phone"}, other: {User: "ben"}} {
					if _, _, err := a.Add(t.Context(), "lobby", channel, m); err != nil {
						t.Fatal(err)
					}
				}
				ch, _ := a.Layer.Channel(c)
				pruneAll(t, b)
				k := kick(c)
				if _, err := b.Kick(t.Context(), k); err != nil {
					t.Fatal(err)
				}
				if k.Close != (groups.CloseError{}) && !errors.Is(ch.Err(), blocked) {
					t.Errorf("the channel was told %v", ch.Err())
				}
				a.Touch(c)
				a.Touch(other)
				redistest.Advance(t, time.Minute)
				only(t, b, "lobby", other)
			})
		})
	}
}

// A channel in grace is kicked by its name, too, by any node, and when its own is gone.
func TestKickOfAChannelInGrace(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{})
		for name, by := range map[string]*node{"its node": a, "another": b} {
			kicked, other := a.open(t), b.open(t)
			a.add(t, "lobby", kicked, "ana")
			b.add(t, "lobby", other, "ana")
			for n, c := range map[*node]string{a: kicked, b: other} {
				if _, err := n.LeaveAllAfter(t.Context(), c, presence.Disconnected, time.Hour); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := by.Kick(t.Context(), presence.Kick{Channel: kicked}); n != 1 || err != nil {
				t.Errorf("by %s: %d, %v", name, n, err)
			}
			only(t, b, "lobby", other)
			if _, err := b.Kick(t.Context(), presence.Kick{Channel: other}); err != nil {
				t.Fatal(err)
			}
		}

		gone := newNode(t, s, presence.Options{})
		left := gone.open(t)
		gone.add(t, "lobby", left, "ana")
		if _, err := gone.LeaveAllAfter(t.Context(), left, presence.Disconnected, time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(gone.Close(t.Context()), gone.Layer.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		redistest.Eventually(t, patience, func() error { // Redis notices that its connection has ended
			if err := a.Layer.Send(t.Context(), left, groups.Message{}); !errors.Is(err, presence.ErrUnknownChannel) {
				return fmt.Errorf("send: %v", err)
			}
			return nil
		})
		if n, err := a.Kick(t.Context(), presence.Kick{Channel: left}); n != 1 || err != nil {
			t.Errorf("its node is gone: %d, %v", n, err)
		}
		if n, err := a.Kick(t.Context(), presence.Kick{Channel: left}); n != 0 || !errors.Is(err, presence.ErrUnknownChannel) {
			t.Errorf("once more: %d, %v", n, err)
		}
	})
}

// After Redis lost everything, a kick finds whom its own node holds, and says that it may
// have missed others, until all nodes have registered again.
func TestKickAfterALoss(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		a, b := newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{})
		first, second := a.open(t), b.open(t)
		a.add(t, "lobby", first, "ana")
		b.add(t, "lobby", second, "ana")
		mine, _ := a.Layer.Channel(first)
		kick := presence.Kick{User: "ana", Close: blocked}
		redistest.Advance(t, time.Second) // what begins now is another epoch
		s.Flush()
		if _, err := a.Kick(t.Context(), kick); !errors.Is(err, presence.ErrUnavailable) || !errors.Is(mine.Err(), blocked) {
			t.Errorf("nobody has registered: %v, the channel was told %v", err, mine.Err())
		}
		for listed := 0; listed == 0; {
			redistest.Advance(t, 10*time.Millisecond)
			nodes, err := a.Nodes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			listed = len(nodes)
		}
		if _, err := a.Kick(t.Context(), kick); !errors.Is(err, presence.ErrUnavailable) {
			t.Errorf("not all have registered: %v", err)
		}
		redistest.Advance(t, time.Minute)
		only(t, b, "lobby", second)
		if n, err := a.Kick(t.Context(), kick); n != 1 || err != nil {
			t.Errorf("all have registered: %d, %v", n, err)
		}
		if counts, err := b.Counts(t.Context(), "lobby"); err != nil || counts.Presences != 0 {
			t.Errorf("%+v, %v", counts, err)
		}
	})
}

// pruneAll prunes all that is there, and has the nodes hear of it.
func pruneAll(t *testing.T, n *node) {
	t.Helper()
	pruner, err := prune.New(n.Tracker, nil)
	if err != nil {
		t.Fatal(err)
	}
	redistest.Advance(t, time.Second)
	if _, err := pruner.PresencesOlderThan(t.Context(), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	redistest.Advance(t, time.Millisecond)
}
