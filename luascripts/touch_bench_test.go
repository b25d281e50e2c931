package luascripts_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// BenchmarkTouch tells what a touched channel costs Redis in CPU, of a node that
// has 100,000, by the order in which they are written, and what its ZADD costs at least.
func BenchmarkTouch(b *testing.B) {
	const channels = 100_000
	for _, order := range []string{"as they come", "sorted", "sorted, ZADD alone"} {
		b.Run(order, func(b *testing.B) {
			s := redistest.Real(b)
			keys, err := luascripts.NewKeys("bench", 1)
			if err != nil {
				b.Fatal(err)
			}
			client := s.NewClient(b)
			store, err := luascripts.Open(b.Context(), client, keys)
			if err != nil {
				b.Fatal(err)
			}
			shorts, now := make([]string, channels), time.Now().UnixMilli()
			pipe := client.Pipeline()
			for i := range shorts {
				shorts[i] = fmt.Sprintf("%x", i+1)
				pipe.ZAdd(b.Context(), store.Presences(0, "n1"), redis.Z{Score: float64(now - 5000), Member: shorts[i]})
			}
			if _, err := pipe.Exec(b.Context()); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				rand.Shuffle(channels, func(i, j int) { shorts[i], shorts[j] = shorts[j], shorts[i] })
				if order != "as they come" {
					slices.Sort(shorts)
				}
				before := s.CPU()
				for chunk := range slices.Chunk(shorts, luascripts.MaxTouch) {
					if order == "sorted, ZADD alone" {
						zadd(b, client, store.Presences(0, "n1"), chunk)
					} else if missing, err := store.Touch(b.Context(), 0, "n1", chunk); err != nil || len(missing) > 0 {
						b.Fatal(missing, err)
					}
				}
				b.ReportMetric(float64((s.CPU()-before).Microseconds())/channels, "touch-µs/op")
			}
		})
	}
}

func zadd(b *testing.B, client redis.UniversalClient, key string, shorts []string) {
	b.Helper()
	members, now := make([]redis.Z, len(shorts)), float64(time.Now().UnixMilli())
	for i, short := range shorts {
		members[i] = redis.Z{Score: now, Member: short}
	}
	if err := client.ZAddArgs(b.Context(), key, redis.ZAddArgs{XX: true, GT: true, Members: members}).Err(); err != nil {
		b.Fatal(err)
	}
}
