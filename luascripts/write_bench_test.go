package luascripts_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// BenchmarkWrite tells what an operation costs Redis in CPU, by how many share a
// batch: one join or leave of its own in each of a thousand rooms, or all in one.
func BenchmarkWrite(b *testing.B) {
	info := []byte(strings.Repeat("i", 64))
	for _, rooms := range []int{1000, 1} {
		for _, size := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("%d rooms/batch of %d", rooms, size), func(b *testing.B) {
				s := redistest.Real(b)
				keys, err := luascripts.NewKeys("bench", 1)
				if err != nil {
					b.Fatal(err)
				}
				store, err := luascripts.Open(b.Context(), s.NewClient(b), keys)
				if err != nil {
					b.Fatal(err)
				}
				r := luascripts.Registration{Node: "0123456789abcdef", Token: "t", Lease: time.Hour, MaxAge: time.Hour}
				inc, err := store.Register(b.Context(), 0, r, "", false)
				if err != nil {
					b.Fatal(err)
				}
				number := int64(0)
				write := func(ops []luascripts.Op) {
					number++
					_, err := store.Write(b.Context(), luascripts.Batch{Node: r.Node, Incarnation: inc.ID, Number: number, Ops: ops})
					if err != nil {
						b.Fatal(err)
					}
				}
				total := 20000 / size * size
				if size == 1 {
					total = 5000
				}
				run := func(op func(i int) luascripts.Op) time.Duration {
					before := s.CPU()
					for i := 0; i < total; i += size {
						ops := make([]luascripts.Op, size)
						for j := range ops {
							ops[j] = op(i + j)
							ops[j].Room, ops[j].Short = fmt.Sprint("room", (i+j)%rooms), fmt.Sprint(i+j)
						}
						write(ops)
					}
					return s.CPU() - before
				}
				for b.Loop() {
					join := run(func(i int) luascripts.Op {
						return luascripts.Op{Action: luascripts.Add, Record: luascripts.Record{User: fmt.Sprint("user", i), Info: info}}
					})
					leave := run(func(int) luascripts.Op { return luascripts.Op{Action: luascripts.Remove, Reason: 'l'} })
					b.ReportMetric(float64(join.Microseconds())/float64(total), "join-µs/op")
					b.ReportMetric(float64(leave.Microseconds())/float64(total), "leave-µs/op")
				}
			})
		}
	}
}
