package prune_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// reports notes of which shards the rooms are that a sweep reports together.
type reports struct {
	*presence.Tracker
	shards []map[int]bool
}

func (r *reports) Report(events []luascripts.RoomEvent) []presence.Change {
	shards := make(map[int]bool)
	for _, e := range events {
		shards[r.Store().Shard(e.Room)] = true
	}
	r.shards = append(r.shards, shards)
	return r.Tracker.Report(events)
}

// What was removed in one shard is told before the next is swept, as that may take long
// while others change the same rooms.
func TestEachShardIsReportedOnItsOwn(t *testing.T) {
	const rooms = 20
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, time.Minute)
		for i := range rooms {
			n.Age(t, n.Enter(t, fmt.Sprint("room ", i), "ana"), time.Hour)
		}
		r := &reports{Tracker: n.Tracker}
		pruner, err := prune.New(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		changes, err := pruner.Presences(t.Context())
		if err != nil || len(changes) != rooms {
			t.Fatalf("%d changes, %v", len(changes), err)
		}
		for _, shards := range r.shards {
			if len(shards) > 1 {
				t.Errorf("reported together: %v", shards)
			}
		}
	})
}
