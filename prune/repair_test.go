package prune_test

import (
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/prune"
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

// What stands in the way of a repair may be mended after it: each problem comes once,
// as it is at the end.
func TestWhatALaterPassMendsIsNotLeft(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		f := newShelf(t, s, 4)
		f.fill()
		shard := f.Shard("lobby")
		f.do("DEL", f.Index(shard, "n2"))
		f.do("SET", f.Index(shard, "n2"), "x")
		f.do("ZADD", f.Nodes(shard), f.now().Add(-76*time.Second).UnixMilli(), "n2")
		told := make(map[prune.Kind]int)
		for _, p := range f.repair() {
			if told[p.Kind]++; !p.Mended {
				t.Errorf("left: %v: %v", p, p.Why)
			}
		}
		if told[prune.NodeOverdue] != 1 || told[prune.WrongType] != 1 {
			t.Errorf("told of %v", told)
		}
		if left := f.check(); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}
