package prune_test

import (
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// A node that lives may have a lease far longer than by default, and sign late in it.
func TestANodeThatIsListedAgainHasTheLeaseOfTheFleet(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		f := newShelf(t, s, 4)
		shard := f.Shard("lobby")
		for _, tt := range []struct {
			name  string
			lease string // in meta
			lost  func()
			want  time.Duration
		}{
			{"presences are there", "60000", func() {}, time.Minute},
			{"a record alone is there", "60000", func() { f.do("DEL", f.Presences(shard, "n2"), f.Index(shard, "n2")) }, time.Minute},
			{"the fleet's is short", "1000", func() {}, 10 * time.Second},
			{"the fleet's is lost", "", func() {}, 10 * time.Second},
		} {
			t.Run(tt.name, func(t *testing.T) {
				f.t = t
				f.fill()
				f.do("ZREM", f.Nodes(shard), "n2")
				f.do("DEL", f.Node(shard, "n2"))
				tt.lost()
				f.do("HSET", f.Meta(shard), "lease", tt.lease)
				if tt.lease == "" {
					f.do("HDEL", f.Meta(shard), "lease")
				}
				f.repair()
				lease, err := f.c.HGet(f.ctx, f.Node(shard, "n2"), "lease").Int64()
				if err != nil || lease != tt.want.Milliseconds() {
					t.Errorf("its lease is %d ms, %v", lease, err)
				}
			})
		}
	})
}
