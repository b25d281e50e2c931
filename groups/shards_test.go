package groups_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestShardsByDefault(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		want := 1
		if s.IsCluster() {
			want = 16
		}
		if got := newLayer(t, s).Store().Shards(); got != want {
			t.Errorf("%d shards, want %d", got, want)
		}
		if got := newLayer(t, s, func(o *groups.Options) { o.Shards = want }).Store().Shards(); got != want {
			t.Errorf("%d shards, want %d", got, want)
		}
	})
}

// The first number is recorded; another one is refused, whichever of the two is
// the greater, and nothing is written for it.
func TestShardsMismatch(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		for i, numbers := range [][2]int{{1, 16}, {16, 1}, {4, 1024}, {1024, 2}} {
			prefix := fmt.Sprint("p", i)
			first := newLayer(t, s, func(o *groups.Options) { o.Prefix, o.Shards = prefix, numbers[0] })
			for range 2 {
				_, err := groups.New(t.Context(), client, &groups.Options{Prefix: prefix, Shards: numbers[1]})
				if !errors.Is(err, groups.ErrMismatch) || errors.Is(err, groups.ErrUnavailable) ||
					!strings.Contains(err.Error(), fmt.Sprintf("for %d shards, the data has %d", numbers[1], numbers[0])) {
					t.Fatalf("%v: %v", numbers, err)
				}
			}
			newLayer(t, s, func(o *groups.Options) { o.Prefix, o.Shards = prefix, numbers[0] })

			if err := client.HSet(t.Context(), first.Store().Meta(0), "schema", "77").Err(); err != nil {
				t.Fatal(err)
			}
			_, err := groups.New(t.Context(), client, &groups.Options{Prefix: prefix, Shards: numbers[0]})
			if !errors.Is(err, groups.ErrMismatch) || !strings.Contains(err.Error(), "schema 77") {
				t.Fatalf("schema: %v", err)
			}
			newLayer(t, s, func(o *groups.Options) { o.Prefix, o.Shards = prefix+" other", numbers[1] })
		}
	})
}

// Of nodes that start for the first time at the same moment, with different
// numbers, those with one number go on.
func TestFirstStartOfSeveral(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		for round := range 10 {
			var mu sync.Mutex
			var started []*groups.Layer
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					l, err := groups.New(t.Context(), client, &groups.Options{Prefix: fmt.Sprint("p", round), Shards: 1 << (i % 3)})
					if err != nil {
						if !errors.Is(err, groups.ErrMismatch) {
							t.Error(err)
						}
						return
					}
					mu.Lock()
					defer mu.Unlock()
					started = append(started, l)
				})
			}
			wg.Wait()
			if len(started) == 0 {
				t.Error("none started")
			}
			for _, l := range started {
				if l.Store().Shards() != started[0].Store().Shards() {
					t.Errorf("%d shards and %d", l.Store().Shards(), started[0].Store().Shards())
				}
				if err := l.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
