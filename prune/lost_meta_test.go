package prune_test

import (
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// A repair of meta does not know for how long the fleet remembers users: the nodes do.
func TestUsersAreRememberedAfterMetaWasRepaired(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := startNode(t, s, presence.Options{RememberUsers: time.Hour}, nil)
		ann := n.Enter(t, "lobby", "ann")
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
