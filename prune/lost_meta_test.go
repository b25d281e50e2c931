package prune_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

func rememberingNode(t *testing.T, s *redistest.Server) *node {
	t.Helper()
	layer, err := groups.New(t.Context(), s.NewClient(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{layer: layer}
	if n.Tracker, err = presence.New(t.Context(), layer, &presence.Options{RememberUsers: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if n.pruner, err = prune.New(n.Tracker, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(n.Close(context.Background()), layer.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return n
}

// A repair of meta does not know for how long the fleet remembers users: the nodes do.
func TestUsersAreRememberedAfterMetaWasRepaired(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := rememberingNode(t, s)
		ann := n.add(t, "lobby", "ann")
		store := n.Store()
		for shard := range store.Shards() {
			if err := store.Client().Del(t.Context(), store.Meta(shard)).Err(); err != nil {
				t.Fatal(err)
			}
		}
		checker, err := prune.NewChecker(n, nil)
		if err != nil {
			t.Fatal(err)
		}
		for p, err := range checker.Repair(t.Context()) {
			if err != nil || !p.Mended {
				t.Fatalf("%v: %v, %v", p, p.Why, err)
			}
		}
		if _, err := n.pruner.Presences(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Remove(t.Context(), "lobby", ann.Name()); err != nil {
			t.Fatal(err)
		}
		if went, err := n.LastSeen(t.Context(), "lobby", "ann"); err != nil || went[0].IsZero() {
			t.Errorf("ann went at %v, %v", went, err)
		}
	})
}
