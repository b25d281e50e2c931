package luascripts_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// What is under the prefix goes, however much it is, and what only looks like it
// stays.
func TestFlush(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		for _, prefix := range []string{"app", "a*"} {
			k, err := luascripts.NewKeys(prefix, 4)
			if err != nil {
				t.Fatal(err)
			}
			store, err := luascripts.Open(t.Context(), client, k)
			if err != nil {
				t.Fatal(err)
			}
			others := []string{"app2:{0}:rooms", prefix + ":test:{0}:rooms", "app", "my" + prefix + ":{0}:rooms", "abc:{0}:rooms"}
			for _, key := range others {
				if err := client.Set(t.Context(), key, "x", 0).Err(); err != nil {
					t.Fatal(err)
				}
			}
			var mine []string
			for i := range 2500 {
				mine = append(mine, store.Room(fmt.Sprint("room", i)))
			}
			for some := range slices.Chunk(mine, 100) { // miniredis takes its time under the race detector
				pipe := client.Pipeline()
				for _, key := range some {
					pipe.Set(t.Context(), key, "x", 0)
				}
				if _, err := pipe.Exec(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := store.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, key := range slices.Concat(others, mine[:5], mine[2495:]) {
				n, err := client.Exists(t.Context(), key).Result()
				if want := slices.Contains(others, key); err != nil || (n == 1) != want {
					t.Errorf("prefix %q: %q is there: %v, want %v, %v", prefix, key, n == 1, want, err)
				}
			}
		}
	})
}
