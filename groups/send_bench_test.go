package groups_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

// Messages of 256 bytes to 64 groups, each with one member on another node: from
// the send until all are received.
func BenchmarkGroupSend(b *testing.B) {
	const rooms = 64
	s := redistest.Real(b)
	from, to := newLayer(b, s), newLayer(b, s, func(o *groups.Options) { o.Capacity = 4096 })
	ctx, cancel := context.WithCancel(b.Context())
	var receivers sync.WaitGroup
	var left atomic.Int64
	received := make(chan struct{}, 1)
	names := make([]string, rooms)
	for i := range names {
		names[i] = fmt.Sprint("room", i)
		c := newChannel(b, to, names[i])
		receivers.Go(func() {
			for {
				if _, err := c.Receive(ctx); err != nil {
					return
				}
				if left.Add(-1) == 0 {
					received <- struct{}{}
				}
			}
		})
	}
	defer receivers.Wait()
	defer cancel()
	m := groups.Message{Type: "m", Payload: make([]byte, 256)}
	for _, callers := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint(callers, " callers"), func(b *testing.B) {
			b.ReportAllocs()
			left.Store(int64(b.N))
			var next atomic.Int64
			var sending sync.WaitGroup
			for range callers {
				sending.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if err := from.GroupSend(ctx, names[i%rooms], m); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			sending.Wait()
			if lost := to.Stats().Dropped(); b.Failed() || lost > 0 {
				b.Fatal(lost, "lost")
			}
			<-received
		})
	}
}
