package luascripts_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// BenchmarkMemory tells what a presence takes in each kind of key, in bytes.
func BenchmarkMemory(b *testing.B) {
	info := []byte(strings.Repeat("i", 64))
	for _, rooms := range []int{1, 200, 20000} {
		b.Run(fmt.Sprintf("%d rooms of %d", rooms, 20000/rooms), func(b *testing.B) {
			s := redistest.Real(b)
			c := s.NewClient(b)
			keys, err := luascripts.NewKeys("bench", 1)
			if err != nil {
				b.Fatal(err)
			}
			store, err := luascripts.Open(b.Context(), c, keys)
			if err != nil {
				b.Fatal(err)
			}
			r := luascripts.Registration{Node: "0123456789abcdef", Token: "t", Lease: time.Hour, MaxAge: time.Hour}
			const total, size = 20000, 200
			for b.Loop() {
				s.Flush()
				inc, err := store.Register(b.Context(), 0, r, "", false)
				if err != nil {
					b.Fatal(err)
				}
				for i := 0; i < total; i += size {
					ops := make([]luascripts.Op, size)
					for j := range ops {
						ops[j] = luascripts.Op{
							Action: luascripts.Add, Room: fmt.Sprint("room", (i+j)%rooms), Short: fmt.Sprint(i + j),
							Record: luascripts.Record{User: fmt.Sprint("user", i+j), Info: info},
						}
					}
					batch := luascripts.Batch{Node: r.Node, Incarnation: inc.ID, Number: int64(i/size) + 1, Ops: ops}
					if _, err := store.Write(b.Context(), batch); err != nil {
						b.Fatal(err)
					}
				}
				parse, bytes := store.Parser(), map[string]int64{"room": 0, "users": 0, "index": 0, "presences": 0, "rooms": 0}
				it := c.Scan(b.Context(), 0, store.KeyPattern(), 1000).Iterator()
				for it.Next(b.Context()) {
					key, _ := parse(it.Val())
					if _, ok := bytes[key.Kind]; !ok {
						continue
					}
					n, err := c.MemoryUsage(b.Context(), it.Val(), 0).Result()
					if err != nil {
						b.Fatal(err)
					}
					bytes[key.Kind] += n
				}
				if it.Err() != nil {
					b.Fatal(it.Err())
				}
				for kind, n := range bytes {
					b.ReportMetric(float64(n)/total, kind+"-B/presence")
				}
			}
		})
	}
}
