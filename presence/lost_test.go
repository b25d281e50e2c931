package presence_test

import (
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/presencetest"
)

// A failover has lost all but the first of a node's presences, and other nodes
// ask it for those that they miss, before it has noticed.
func TestAllAreConfirmedAfterLostWrites(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		const channels = 50
		n, client := newNode(t, s, presence.Options{}), s.NewClient(t)
		n.add(t, "lobby", n.open(t), "ana")
		rewind := save(t, client)
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
		n.mu.Lock()
		defer n.mu.Unlock()
		if len(n.evicted) > 0 {
			t.Errorf("evicted: %+v", n.evicted)
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
func save(t *testing.T, client redis.UniversalClient) (rewind func()) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	keys, err := client.Keys(ctx, "*").Result()
	must(err)
	pipe := client.TxPipeline()
	pipe.FlushAll(ctx)
	for _, key := range keys {
		kind, err := client.Type(ctx, key).Result()
		must(err)
		switch kind {
		case "hash":
			fields, err := client.HGetAll(ctx, key).Result()
			must(err)
			pipe.HSet(ctx, key, fields)
		case "set":
			members, err := client.SMembers(ctx, key).Result()
			must(err)
			for _, m := range members {
				pipe.SAdd(ctx, key, m)
			}
		case "zset":
			members, err := client.ZRangeWithScores(ctx, key, 0, -1).Result()
			must(err)
			pipe.ZAdd(ctx, key, members...)
		default:
			t.Fatalf("%q is a %s", key, kind)
		}
	}
	return func() {
		t.Helper()
		_, err := pipe.Exec(ctx)
		must(err)
	}
}
