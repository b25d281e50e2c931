package luascripts_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// Where a part of a cluster is down, shard 0 among it, the others tell how many shards
// there are; who finds nothing recorded there has nothing to go by.
func TestWhatIsRecordedWhileAPartIsDown(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	s := redistest.Cluster(t, "--cluster-require-full-coverage", "no")
	const shards = 4
	w := newWorldOf(t, s, shards, "n1")
	var away []int
	master := s.Owner(s.Slot(w.Meta(0)))
	for shard := range shards {
		if s.Owner(s.Slot(w.Meta(shard))) == master {
			away = append(away, shard)
		}
	}
	s.Node(master).Kill()

	client := s.NewClient(t)
	open := func(prefix string, shards int) *luascripts.Store {
		t.Helper()
		keys, err := luascripts.NewKeys(prefix, shards)
		w.must(err)
		store, err := luascripts.Open(t.Context(), client, keys)
		w.must(err)
		return store
	}
	for _, n := range []int{1, 2, 4, 16} {
		store := open("test", n)
		if n > 1 { // of which all are away
			if _, err := store.Claim(t.Context()); (n == shards) != (err == nil) || err != nil && !errors.Is(err, luascripts.ErrMismatch) {
				t.Errorf("claimed with %d shards: %v", n, err)
			}
		}
		err := store.Adopt(t.Context())
		if n > 1 && (err != nil || store.Shards() != shards) {
			t.Errorf("%d shards were taken for %d: %v", shards, store.Shards(), err)
		}
		var partial *luascripts.PartialError
		if n == 1 && !errors.As(err, &partial) {
			t.Errorf("the only shard that is looked at is away: %v", err)
		}
	}
	found, err := open("test", shards).Survey(t.Context(), nil)
	w.must(err)
	var partial *luascripts.PartialError
	if !errors.As(found.Err(), &partial) || !slices.Equal(partial.Shards, away) || len(partial.Errs) != len(away) {
		t.Errorf("%v; away are %v", found.Err(), away)
	}
	if _, err := open("new", shards).Claim(t.Context()); !errors.As(err, &partial) {
		t.Errorf("claimed where nothing is recorded: %v", err)
	}
	known := errors.New("known")
	found, err = open("test", shards).Survey(t.Context(), func(shard int) error {
		if slices.Contains(away, shard) {
			return known
		}
		return nil
	})
	w.must(err)
	for _, shard := range away {
		if found[shard] != known {
			t.Errorf("shard %d was asked for what is known: %v", shard, found[shard])
		}
	}
}

func TestPartialError(t *testing.T) {
	if err := (luascripts.Away{}).Err(); err != nil {
		t.Error(err)
	}
	why := errors.New("why")
	for want, away := range map[string]luascripts.Away{
		"shard 3 is away: why":                       {3: why},
		"shards 0, 3, 12 are away, the first: other": {12: why, 3: why, 0: fmt.Errorf("other")},
	} {
		if err := away.Err(); err.Error() != want || !errors.Is(err, why) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
