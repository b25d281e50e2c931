package main_test

import (
	"strings"
	"testing"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

// A fleet that was ended in good order can begin again with another number of
// shards, which the command finds by itself.
func TestForget(t *testing.T) {
	program := build(t)
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		addrs := strings.Join(s.Addrs, ",")
		f := newFleet(t, s, "")
		f.add("lobby", "ana", 0)
		program.run(t, "", "-redis", addrs, "-rooms", "-forget").
			check(t, 1, "0 presences of 0 rooms removed, 0 rooms deleted\n", "in use")
		if err := f.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		program.run(t, "", "-redis", addrs, "-forget").check(t, 1, "0 presences of 0 rooms removed\n", "in use")
		program.run(t, "", "-redis", addrs, "-rooms", "-forget").
			check(t, 0, "room \"lobby\": deleted\n0 presences of 0 rooms removed, 1 room deleted\n"+
				map[bool]string{false: "1 shard", true: "16 shards"}[s.IsCluster()]+" forgotten\n")
		l, err := groups.New(t.Context(), s.NewClient(t), &groups.Options{Shards: 4})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		program.run(t, "", "-redis", addrs, "-forget").check(t, 0, "0 presences of 0 rooms removed\n4 shards forgotten\n")
	})
}
