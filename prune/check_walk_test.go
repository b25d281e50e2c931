package prune_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// crowd makes a room too large for one step.
func (f *shelf) crowd(room string) {
	f.t.Helper()
	fields := map[string]any{"": fmt.Sprint("2 1 ", stadium, " 1 0")}
	for i := range stadium {
		fields[fmt.Sprint("n1!", i)] = luascripts.Record{JoinedAt: 1, User: "ann"}.Encode()
	}
	f.must(f.c.HSet(f.ctx, f.Room(room), fields).Err())
	f.do("SADD", f.Rooms(f.Shard(room)), room)
	f.do("HSET", f.RoomUsers(room), "ann", stadium)
}

// A large room of which nothing can be counted hides no other room, and is mended.
func TestALargeRoomWithAKeyOfTheWrongTypeEndsNoWalk(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		f := newShelf(t, s, 1)
		f.node("n1")
		f.crowd("stadium")
		f.do("DEL", f.RoomUsers("stadium"))
		f.do("SET", f.RoomUsers("stadium"), "x")
		const rooms = 300
		for i := range rooms {
			room := fmt.Sprint("room", i)
			f.do("HSET", f.Room(room), "", "2 1 7 0 7")
			f.do("SADD", f.Rooms(0), room)
			f.do("ZADD", f.Empty(0), 1, room)
		}
		wrong := 0
		for _, p := range f.check() {
			if p.Kind == prune.CountsDiffer && p.Room != "stadium" {
				wrong++
			}
		}
		if wrong != rooms {
			t.Errorf("%d of %d rooms with wrong counts are found", wrong, rooms)
		}
		f.repair()
		if left := f.check(); len(left) > 0 {
			t.Errorf("%d left, such as %v", len(left), left[0])
		}
	})
}

// Of the large rooms in a page, no more than one is in memory: the next is read when the
// one before has been judged.
func TestLargeRoomsAreReadOneByOne(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		f := newShelf(t, s, 1)
		f.node("n1")
		for _, room := range []string{"arena", "stadium"} {
			f.crowd(room)
			f.recount(room, 7, 1, 0)
		}
		differ := 0
		for p, err := range f.checker.Check(f.ctx) {
			f.must(err)
			if p.Kind != prune.CountsDiffer {
				continue
			}
			differ++
			other := map[string]string{"arena": "stadium", "stadium": "arena"}[p.Room]
			f.do("DEL", f.Room(other))
		}
		if differ != 1 {
			t.Errorf("%d rooms were read before one was judged", differ)
		}
	})
}

// While the slot of a shard is moving, the other shards of its master are looked at.
func TestAMovingShardHidesNoOther(t *testing.T) {
	s := redistest.Cluster(t)
	f := newShelf(t, s, 16)
	f.node("n1")
	moving := f.Shard("lobby")
	owner := func(shard int) int { return s.Owner(s.Slot(f.Rooms(shard))) }
	var beside []int
	for shard := range f.Shards() {
		if shard != moving && owner(shard) == owner(moving) {
			beside = append(beside, shard)
		}
	}
	wrong := make(map[string]bool)
	for i := range 100 {
		room := fmt.Sprint("room", i)
		if slices.Contains(beside, f.Shard(room)) {
			f.do("HSET", f.Room(room), "", "2 1 7 0 7")
			wrong[room] = true
		}
	}
	f.write(luascripts.Add, "lobby", "n1!1", "ann")
	m := s.BeginMigration(s.Slot(f.Room("lobby")), (owner(moving)+1)%3)
	m.MoveKeys(f.RoomUsers("lobby"))

	var away *presence.PartialError
	for p, err := range f.checker.Check(f.ctx) {
		if err != nil && (!errors.As(err, &away) || !slices.Equal(away.Shards, []int{moving})) {
			t.Errorf("%v", err)
		}
		if p.Kind == prune.CountsDiffer {
			delete(wrong, p.Room)
		}
	}
	if away == nil || len(wrong) > 0 {
		t.Errorf("%v is told, and not %v", away, wrong)
	}
	m.Finish()
}

// A node whose data is damaged keeps no other from being swept.
func TestADamagedNodeStopsNoSweep(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		f := newShelf(t, s, 1)
		f.fill()
		for node, channel := range map[string]string{"n1": "1", "n2": "1"} {
			f.do("ZADD", f.Presences(0, node), 1, channel)
		}
		f.do("HSET", f.Room("lobby"), "n1!1", "junk")
		pruner, err := prune.New(target{f}, nil)
		f.must(err)
		if _, err := pruner.Presences(t.Context()); err == nil {
			t.Error("nobody is told of the damage")
		}
		if f.c.HExists(t.Context(), f.Room("lobby"), "n2!1").Val() {
			t.Error("another node was not swept")
		}
	})
}
