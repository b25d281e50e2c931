package groups

import (
	"fmt"
	"testing"

	"go.uber.org/zap"
)

// crowd is a group with channels of this node in it, without a Redis.
func crowd(tb testing.TB, members int, o Options) (*group, []*Channel) {
	tb.Helper()
	l := &Layer{opts: o, log: zap.NewNop()}
	l.opts.NodeID = "node"
	g := &group{layer: l, name: "g", holds: 1}
	channels := make([]*Channel, members)
	for i := range channels {
		channels[i] = &Channel{layer: l, ready: make(chan struct{}, 1), done: make(chan struct{})}
		if err := g.join(channels[i]); err != nil {
			tb.Fatal(err)
		}
	}
	return g, channels
}

// One message to the channels of this node, decoded once. Their mailboxes are
// emptied off the clock.
func BenchmarkDeliver(b *testing.B) {
	frame := encodeMessage(Message{Type: "chat", Payload: make([]byte, 256)})
	for _, members := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			g, channels := crowd(b, members, Options{Capacity: 100})
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				g.Frame(frame)
				if n%64 < 63 {
					continue
				}
				b.StopTimer()
				for _, c := range channels {
					for {
						if _, ok := c.TryReceive(); !ok {
							break
						}
					}
				}
				b.StartTimer()
			}
		})
	}
}

// So many channels of one node enter one group, and leave it.
func BenchmarkCrowd(b *testing.B) {
	for _, members := range []int{100, 10_000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				g, channels := crowd(b, members, Options{Capacity: 100})
				for _, c := range channels {
					g.leave(c)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(members), "ns/member")
		})
	}
}
