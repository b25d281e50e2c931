package luascripts_test

import (
	"errors"
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// The number of shards can be another one once nobody is there, and not before.
func TestForget(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorldOf(t, s, 4, "n1")
		keys, err := luascripts.NewKeys("test", 8)
		w.must(err)
		other, err := luascripts.Open(w.ctx, w.c, keys)
		w.must(err)
		claim := func(s *luascripts.Store) error {
			_, err := s.Claim(w.ctx)
			return err
		}
		refused := func(what string) {
			t.Helper()
			if err := w.Forget(w.ctx); !errors.Is(err, luascripts.ErrInUse) {
				t.Fatalf("%s: %v", what, err)
			}
			for _, do := range []func() error{
				func() error { return claim(other) },
				func() error { return other.Forget(w.ctx) },
			} {
				if err := do(); !errors.Is(err, luascripts.ErrMismatch) {
					t.Fatalf("%s: %v", what, err)
				}
			}
		}
		refused("a node")
		w.write(add("lobby", "1", "ann", ""))
		refused("a presence")
		w.write(remove("lobby", "1"))
		for shard := range w.Shards() {
			if ok, err := w.Retire(w.ctx, shard, "n1", w.inc[shard]); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		refused("a room")
		if gone, err := w.PruneRooms(w.ctx, w.Shard("lobby"), []string{"lobby"}); err != nil || len(gone) != 1 {
			t.Fatal(gone, err)
		}
		w.must(w.Forget(w.ctx))
		if left := w.allKeys(); len(left) != 0 {
			t.Fatalf("left over: %q", left)
		}
		w.must(w.Forget(w.ctx))
		w.must(claim(other))
		if err := claim(w.Store); !errors.Is(err, luascripts.ErrMismatch) {
			t.Fatal(err)
		}
	})
}
