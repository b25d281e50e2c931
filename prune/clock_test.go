package prune_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// Redis's clock is an hour ahead for a while, and right again: a node that is killed
// before or after is swept as any, and nobody else.
func TestSweepsAfterTheClockWentBack(t *testing.T) {
	const lease, hold, every = 10 * time.Second, 12 * time.Second, 5 * time.Second
	for name, ahead := range map[string]time.Duration{
		"after a sweep":   time.Second,
		"after a renewal": lease / 2,
		"after the hold":  3 * lease,
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
				n := newNode(t, s, time.Minute)
				touched := n.Enter(t, "lobby", "ann").Name()
				store := n.Store()
				pass := func(d time.Duration) {
					t.Helper()
					for range d / time.Second {
						n.Touch(touched)
						if _, err := n.pruner.Presences(t.Context()); err != nil {
							t.Error(err)
						}
						redistest.Advance(t, time.Second)
					}
				}
				ghost := func(node string) {
					t.Helper()
					r := luascripts.Registration{Node: node, Token: node, Lease: lease, MaxAge: time.Minute}
					inc, err := store.Register(t.Context(), 0, r, "", false)
					if err == nil {
						_, err = store.Write(t.Context(), luascripts.Batch{Node: node, Incarnation: inc.ID, Number: 1, Ops: []luascripts.Op{
							{Action: luascripts.Add, Room: "lobby", Short: "1", Record: luascripts.Record{User: node}},
						}})
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				pass(lease)
				s.SkewClock(time.Hour)
				pass(ahead)
				ghost("before")
				if _, err := store.TakeTurn(t.Context(), 0, "dead"); err != nil && !errors.Is(err, luascripts.ErrHeld) {
					t.Fatal(err)
				}
				s.SkewClock(0)
				ghost("after")
				pass(lease + hold + every)
				users, err := n.Users(t.Context(), "lobby")
				if err != nil || fmt.Sprint(users) != "[ann]" {
					t.Errorf("there are %q, %v", users, err)
				}
				if evicted := n.Evicted(); len(evicted) > 0 {
					t.Errorf("evicted: %+v", evicted)
				}
			})
		})
	}
}

// A lease that was signed in what is now the future is no sign of life.
func TestADeadNodeIsNotAliveAfterTheClockWentBack(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, time.Minute)
		s.SkewClock(time.Hour)
		r := luascripts.Registration{Node: "dead", Token: "dead", Lease: 10 * time.Second, MaxAge: time.Minute}
		if _, err := n.Store().Register(t.Context(), 0, r, "", false); err != nil {
			t.Fatal(err)
		}
		s.SkewClock(0)
		nodes, err := n.Nodes(t.Context())
		if err != nil || len(nodes) != 2 {
			t.Fatalf("%+v, %v", nodes, err)
		}
		for _, node := range nodes {
			if node.ID == "dead" && node.Alive {
				t.Errorf("%+v", node)
			}
		}
	})
}
