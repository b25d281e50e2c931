package presence_test

import (
	"context"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// Who is in grace is as present as anyone, and Presences alone tells until when.
func TestPresencesTellWhoIsInGrace(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		ann, bob := n.open(t), n.open(t)
		n.add(t, "lobby", ann, "ann")
		n.add(t, "lobby", bob, "bob")
		if _, err := n.LeaveAllAfter(t.Context(), ann, presence.Disconnected, time.Minute); err != nil {
			t.Fatal(err)
		}
		list := func(what string, all []presence.Presence, err error) map[string]presence.Presence {
			t.Helper()
			if err != nil || len(all) != 2 {
				t.Fatalf("%s: %+v, %v", what, all, err)
			}
			byUser := make(map[string]presence.Presence)
			for _, p := range all {
				byUser[p.User] = p
			}
			return byUser
		}
		snapshot, err := n.Snapshot(t.Context(), "lobby")
		for user, p := range list("snapshot", snapshot.Presences, err) {
			if !p.LeavesAt.IsZero() {
				t.Errorf("a snapshot has when %s leaves: %v", user, p.LeavesAt)
			}
		}
		all, err := n.Presences(t.Context(), "lobby")
		is := list("presences", all, err)
		if p := is["ann"]; !p.LastSeen.IsZero() || p.LeavesAt.Sub(p.JoinedAt) < time.Minute || p.LeavesAt.Sub(p.JoinedAt) > 2*time.Minute {
			t.Errorf("in grace: %+v", p)
		}
		if p := is["bob"]; p.LastSeen.IsZero() || !p.LeavesAt.IsZero() {
			t.Errorf("not in grace: %+v", p)
		}

		// The record says that she is in grace, and nothing says until when.
		store := n.Store()
		if err := store.Client().Del(context.Background(), store.Grace(store.Shard("lobby"))).Err(); err != nil {
			t.Fatal(err)
		}
		all, err = n.Presences(t.Context(), "lobby")
		if p := list("presences", all, err)["ann"]; !p.LeavesAt.IsZero() {
			t.Errorf("no deadline: %+v", p)
		}
	})
}
