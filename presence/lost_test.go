package presence_test

import (
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/hashslot"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/presencetest"
)

// A failover has lost all but the first of a node's presences, and other nodes
// ask it for those that they miss, before it has noticed.
func TestAllAreConfirmedAfterLostWrites(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		const channels = 50
		n := newNode(t, s, presence.Options{})
		n.add(t, "lobby", n.open(t), "ana")
		rewind := save(t, s)
		for range channels - 1 {
			n.add(t, "lobby", n.open(t), "ben")
		}
		rewind()
		if err := n.Confirm(t.Context(), "lobby"); err != nil {
			t.Fatal(err)
		}
		counts, err := n.Counts(t.Context(), "lobby")
		if err != nil || counts.Presences != channels {
			t.Errorf("%d of %d presences are back, %v", counts.Presences, channels, err)
		}
		if evicted := n.Evicted(); len(evicted) > 0 {
			t.Errorf("evicted: %+v", evicted)
		}
	})
}

// An eviction takes the users of a room, whom only the members' records tell of.
func TestCountsOfAnEvictedKeyAreMended(t *testing.T) {
	presencetest.Run(t, 1, nil, func(t *testing.T, fleet *presencetest.Fleet) {
		n := fleet.Node(0).Tracker
		ana := fleet.Node(0).Connect(presence.Member{User: "ana"}, "lobby", "garden")
		fleet.Node(0).Connect(presence.Member{User: "ben"}, "lobby")
		if err := n.Store().Client().Del(t.Context(), n.Store().RoomUsers("lobby")).Err(); err != nil {
			t.Fatal(err)
		}
		fleet.Advance(5 * n.MaxAge())
		ana.Disconnect(0)
		counts, err := n.Counts(t.Context(), "lobby")
		if err != nil || counts.Users != 1 {
			t.Errorf("%+v, %v", counts, err)
		}
		users, err := n.Users(t.Context(), "lobby")
		if err != nil || !slices.Equal(users, []string{"ben"}) {
			t.Errorf("users %q, %v", users, err)
		}
	})
}

// save returns what makes Redis forget all that was written since.
func save(t *testing.T, s *redistest.Server) (rewind func()) {
	t.Helper()
	ctx, client := t.Context(), s.NewClient(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// A transaction has the keys of one slot.
	keys := func() map[int][]string {
		bySlot := map[int][]string{}
		for i := range s.Nodes() {
			all, err := s.Node(i).NewClient(t).Keys(ctx, "*").Result()
			must(err)
			for _, key := range all {
				bySlot[hashslot.Of(key)] = append(bySlot[hashslot.Of(key)], key)
			}
		}
		return bySlot
	}
	restore := map[int][]func(redis.Pipeliner){}
	for slot, keys := range keys() {
		for _, key := range keys {
			restore[slot] = append(restore[slot], copyOf(t, client, key))
		}
	}
	return func() {
		t.Helper()
		for slot, keys := range keys() {
			_, err := client.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Del(ctx, keys...)
				for _, f := range restore[slot] {
					f(p)
				}
				return nil
			})
			must(err)
		}
	}
}

// copyOf returns what makes a key anew.
func copyOf(t *testing.T, client redis.UniversalClient, key string) func(redis.Pipeliner) {
	t.Helper()
	ctx := t.Context()
	kind, err := client.Type(ctx, key).Result()
	var restore func(redis.Pipeliner)
	switch kind {
	case "hash":
		var fields map[string]string
		fields, err = client.HGetAll(ctx, key).Result()
		restore = func(p redis.Pipeliner) { p.HSet(ctx, key, fields) }
	case "set":
		var members []string
		members, err = client.SMembers(ctx, key).Result()
		restore = func(p redis.Pipeliner) {
			for _, m := range members {
				p.SAdd(ctx, key, m)
			}
		}
	case "zset":
		var members []redis.Z
		members, err = client.ZRangeWithScores(ctx, key, 0, -1).Result()
		restore = func(p redis.Pipeliner) { p.ZAdd(ctx, key, members...) }
	}
	if err != nil || restore == nil {
		t.Fatalf("%q is a %q, %v", key, kind, err)
	}
	return restore
}
