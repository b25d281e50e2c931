package presence

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

// Channels leave, one with a grace, while Redis refuses writes, and the node heals
// before it carries on with that. They leave as they were to.
func TestSurplusIsNotWhatIsOwed(t *testing.T) {
	s := redistest.Real(t)
	n := newStranger(t, s)
	ann, bob := enterLobby(t, n, "ann"), enterLobby(t, n, "bob")
	w, err := n.Watch(t.Context(), "lobby", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.Start()

	s.ReadOnly()
	if _, err := n.LeaveAllAfter(t.Context(), ann.Name(), Disconnected, time.Minute); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	if _, err := n.LeaveAll(t.Context(), bob.Name(), TimedOut); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	s.Promote()
	if err := n.writers[0].removeSurplus(); err != nil {
		t.Fatal(err)
	}
	n.carryOnAll()
	d, err := w.Next(t.Context())
	if err != nil || len(d.Removed) != 1 || d.Removed[0].Channel != bob.Name() || d.Removed[0].Reason != TimedOut {
		t.Fatalf("%+v, %v", d, err)
	}
	redistest.Eventually(t, defaultLease, func() error { return inGrace(t, n, ann) })
}

// A channel leaves with a grace when the node has read that Redis has it, and before
// that is compared with the ledger.
func TestSurplusIsNotWhatIsInGrace(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		wire := newReads()
		client := s.NewClient(t)
		client.AddHook(wire)
		n := newStrangerOn(t, client)
		ann := enterLobby(t, n, "ann")
		wire.then("hscan", func() {
			if _, err := n.LeaveAllAfter(t.Context(), ann.Name(), Disconnected, time.Minute); err != nil {
				t.Error(err)
			}
		})
		if err := n.writers[0].removeSurplus(); err != nil {
			t.Fatal(err)
		}
		if err := inGrace(t, n, ann); err != nil {
			t.Error(err)
		}
	})
}

func enterLobby(t *testing.T, n stranger, user string) *groups.Channel {
	t.Helper()
	c, err := n.layer.NewChannel()
	if err == nil {
		_, _, err = n.Add(t.Context(), "lobby", c.Name(), Member{User: user})
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// inGrace returns an error unless a channel is alone in the lobby, in grace.
func inGrace(t *testing.T, n stranger, c *groups.Channel) error {
	all, err := n.Presences(t.Context(), "lobby")
	if err == nil && (len(all) != 1 || all[0].Channel != c.Name() || all[0].LeavesAt.IsZero()) {
		err = fmt.Errorf("%+v", all)
	}
	return err
}
