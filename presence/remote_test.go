package presence_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

func TestOperationsOnAChannelOfAnotherNode(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		owner, other := newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{})
		c := owner.open(t)
		p, r1, err := other.Add(t.Context(), "lobby", c, presence.Member{User: "ana", Info: []byte("x")})
		if err != nil || r1 == 0 || p.Channel != c || p.User != "ana" || string(p.Info) != "x" {
			t.Fatalf("add: %+v, %d, %v", p, r1, err)
		}
		if err := other.Layer.GroupSend(t.Context(), "lobby", groups.Message{Type: "hi"}); err != nil {
			t.Fatal(err)
		}
		ch, _ := owner.Layer.Channel(c)
		if m, err := ch.Receive(t.Context()); err != nil || m.Type != "hi" {
			t.Errorf("received %+v, %v", m, err)
		}
		r2, err := other.Update(t.Context(), "lobby", c, []byte("y"))
		if err != nil || r2 <= r1 {
			t.Errorf("update: %d, %v", r2, err)
		}
		other.add(t, "garden", c, "ana")
		if r3, err := other.Remove(t.Context(), "lobby", c); err != nil || r3 <= r2 {
			t.Errorf("remove: %d, %v", r3, err)
		}
		left, err := other.LeaveAll(t.Context(), c, presence.RemovedByOther)
		if err != nil || len(left) != 1 || left["garden"] == 0 {
			t.Errorf("leave all: %v, %v", left, err)
		}
		changes := owner.heard(t, 5)
		if reason := changes[len(changes)-1].Removed[0].Reason; reason != presence.RemovedByOther {
			t.Errorf("reason %v", reason)
		}
		other.heard(t, 0)

		_, err = other.Update(t.Context(), "lobby", c, nil)
		if !errors.Is(err, presence.ErrNotPresent) {
			t.Errorf("update where it is not: %v", err)
		}
		closed := owner.Layer.NodeID() + "!zz"
		if _, _, err := other.Add(t.Context(), "lobby", closed, presence.Member{}); !errors.Is(err, presence.ErrUnknownChannel) {
			t.Errorf("add of a channel that its node does not know: %v", err)
		}
		if err := other.Layer.GroupAdd(t.Context(), "g", c); err != nil {
			t.Error(err)
		}
		if err := other.Layer.GroupDiscard(t.Context(), "g", c); err != nil {
			t.Error(err)
		}
	})
}

func TestOperationsOnAChannelOfADeadNode(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		for name, call := range map[string]func(context.Context) error{
			"add": func(ctx context.Context) error {
				_, _, err := n.Add(ctx, "lobby", "dead!1", presence.Member{})
				return err
			},
			"remove":   func(ctx context.Context) error { _, err := n.Remove(ctx, "lobby", "dead!1"); return err },
			"leaveall": func(ctx context.Context) error { _, err := n.LeaveAll(ctx, "dead!1", presence.Left); return err },
			"group":    func(ctx context.Context) error { return n.Layer.GroupAdd(ctx, "lobby", "dead!1") },
		} {
			if err := call(t.Context()); !errors.Is(err, presence.ErrUnknownChannel) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if counts, err := n.Counts(t.Context(), "lobby"); err != nil || counts.Presences != 0 {
			t.Errorf("counts %+v, %v: something stays", counts, err)
		}

		// A node that hears and does not answer, as when it is frozen.
		redistest.Subscribe(t, s.NewClient(t), n.Store().Inbox("deaf"))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, _, err := n.Add(ctx, "lobby", "deaf!1", presence.Member{}); !errors.Is(err, presence.ErrNoAnswer) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("silent owner: %v", err)
		}
	})
}
