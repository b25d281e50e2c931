package presence_test

import (
	"context"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// What a node puts back after a loss is told as that, and a true arrival is not.
func TestTheHandlerIsToldOfWhatIsRestored(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		n.add(t, "lobby", n.open(t), "ana")
		n.add(t, "lobby", n.open(t), "ben")
		n.heard(t, 2)
		s.Flush()
		time.Sleep(20 * time.Second)
		n.add(t, "lobby", n.open(t), "cyd")
		changes := n.heard(t, 5)
		for _, c := range changes[2:4] {
			if !c.Restored || !c.Counts.Healing || len(c.Added) != 1 || len(c.UsersCame) != 0 {
				t.Errorf("put back: %+v", c)
			}
		}
		if c := changes[4]; c.Restored || c.Counts.Healing || len(c.UsersCame) != 1 {
			t.Errorf("arrived: %+v", c)
		}
	})
}

// A node that was frozen comes back, as the others were told that it had gone.
func TestWhoComesBackIsNotRestored(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		n.add(t, "lobby", n.open(t), "ana")
		n.heard(t, 1)
		store := n.Store()
		if err := store.Client().Del(t.Context(), store.Node(0, n.Layer.NodeID())).Err(); err != nil {
			t.Fatal(err)
		}
		if err := store.Client().Del(t.Context(), store.Room("lobby"), store.RoomUsers("lobby")).Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		if c := n.heard(t, 2)[1]; c.Restored || len(c.UsersCame) != 1 {
			t.Errorf("%+v", c)
		}
	})
}

// While nodes put back what was lost, the numbers that are told say so.
func TestCountsTellThatARoomHeals(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var nodes []*node
		var channels []string
		for range 3 {
			n := newNode(t, s, presence.Options{})
			c := n.open(t)
			n.add(t, "lobby", c, "")
			nodes, channels = append(nodes, n), append(channels, c)
		}
		w, err := nodes[0].WatchCounts(t.Context(), "lobby", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		for range 5 { // whichever node is the first to find out
			for i, n := range nodes {
				n.Touch(channels[i])
			}
			s.Flush()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			var last presence.Counts
			for {
				c, err := w.Next(ctx)
				if err != nil {
					break
				}
				if last = c; c.Presences < len(nodes) && !c.Healing {
					t.Errorf("told %+v", c)
				}
			}
			cancel()
			if last.Presences != len(nodes) || last.Healing {
				t.Errorf("told last %+v", last)
			}
		}
	})
}
