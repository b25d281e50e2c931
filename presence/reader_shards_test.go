package presence_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/nodetest"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// A reader finds the data in whatever number of shards it is.
func TestReaderAdoptsTheNumberOfShards(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		for _, shards := range []int{1, 4, 64} {
			prefix := fmt.Sprint("p", shards)
			reader := func(shards int) (*presence.Reader, error) {
				return presence.NewReader(t.Context(), client, &presence.ReaderOptions{Prefix: prefix, Shards: shards})
			}
			if r, err := reader(0); err != nil || r.Store().Shards() != map[bool]int{true: 16, false: 1}[s.IsCluster()] {
				t.Fatalf("nothing recorded: %v", err)
			}
			layer, err := groups.New(t.Context(), client, &groups.Options{Prefix: prefix, Shards: shards})
			if err != nil {
				t.Fatal(err)
			}
			defer layer.Close(t.Context())
			for _, n := range []int{0, shards} {
				if r, err := reader(n); err != nil || r.Store().Shards() != shards {
					t.Fatalf("told %d: %v", n, err)
				}
			}
			if _, err := reader(2); !errors.Is(err, presence.ErrMismatch) || !strings.Contains(err.Error(), fmt.Sprintf("for 2 shards, the data has %d", shards)) {
				t.Fatal(err)
			}
			var invalid *presence.InvalidError
			if _, err := reader(3); !errors.As(err, &invalid) || invalid.Field != "Shards" {
				t.Fatal(err)
			}
			if err := client.HSet(t.Context(), layer.Store().Meta(0), "shards", "12").Err(); err != nil {
				t.Fatal(err)
			}
			if _, err := reader(0); !errors.Is(err, presence.ErrMismatch) || !strings.Contains(err.Error(), `"12"`) {
				t.Fatal(err)
			}
		}
	})
}

func TestReaderReadsAllShards(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		n := nodetest.Start(t, client, nodetest.Options{Groups: &groups.Options{Shards: 32}})
		c := n.Open(t)
		var want []string
		for i := range 200 {
			want = append(want, fmt.Sprint("room ", i))
			if _, _, err := n.Add(t.Context(), want[i], c.Name(), presence.Member{User: "ann"}); err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(want)
		reader, err := presence.NewReader(t.Context(), client, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for room, err := range reader.Rooms(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, room)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%d rooms, want %d", len(got), len(want))
		}
		counts, err := reader.CountsOf(t.Context(), want...)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range counts {
			if n.Presences != 1 || n.Users != 1 {
				t.Errorf("%q: %+v", want[i], n)
			}
		}
		if nodes, err := reader.Nodes(t.Context()); err != nil || len(nodes) != 1 || !nodes[0].Alive {
			t.Errorf("nodes %+v, %v", nodes, err)
		}
	})
}

// The counts of many rooms, in all shards, are one round trip to each master.
func TestCountsOfManyRoomsAreOneRoundTripPerMaster(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		var sent trips
		client := s.NewClient(t)
		if cluster, ok := client.(*redis.ClusterClient); ok {
			cluster.OnNewNode(func(node *redis.Client) { node.AddHook(&sent) })
		} else {
			client.AddHook(&sent)
		}
		reader, err := presence.NewReader(t.Context(), client, &presence.ReaderOptions{Shards: 256})
		if err != nil {
			t.Fatal(err)
		}
		rooms := make([]string, 1000)
		for i := range rooms {
			rooms[i] = fmt.Sprint("room ", i)
		}
		for range 3 {
			sent.commands.Store(0)
			sent.pipelines.Store(0)
			if _, err := reader.CountsOf(t.Context(), rooms...); err != nil {
				t.Fatal(err)
			}
			if sent.commands.Load() != 0 || sent.pipelines.Load() != int64(len(s.Addrs)) {
				t.Errorf("%d commands, %d pipelines, to %d masters", sent.commands.Load(), sent.pipelines.Load(), len(s.Addrs))
			}
		}
	})
}
