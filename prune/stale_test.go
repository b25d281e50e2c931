package prune_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// ageAll makes channels look as if they were seen in one write a while ago.
func ageAll(t *testing.T, n *node, channels []*groups.Channel, ago time.Duration) {
	t.Helper()
	client := n.Store().Client()
	now, err := client.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	members := make([]redis.Z, len(channels))
	for i, c := range channels {
		_, short, _ := groups.SplitChannel(c.Name())
		members[i] = redis.Z{Score: float64(now.Add(-ago).UnixMilli()), Member: short}
	}
	for shard := range n.Store().Shards() { // in all where they are
		if err := client.ZAddXX(t.Context(), n.Store().Presences(shard, n.Layer.NodeID()), members...).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// leave has a channel leave with a grace that ended a while ago, or ends in so long.
func (n *node) leave(t *testing.T, room string, c *groups.Channel, ends time.Duration) {
	t.Helper()
	if _, err := n.LeaveAllAfter(t.Context(), c.Name(), presence.Left, time.Hour); err != nil {
		t.Fatal(err)
	}
	n.deadline(t, room, c, ends)
}

// deadline says when the grace of a channel ends, whether it is in one or not.
func (n *node) deadline(t *testing.T, room string, c *groups.Channel, in time.Duration) {
	t.Helper()
	store, shard := n.Store(), n.Store().Shard(room)
	now, err := store.Now(t.Context(), shard)
	if err != nil {
		t.Fatal(err)
	}
	ends := redis.Z{Score: float64(now.Add(in).UnixMilli()), Member: string([]byte{byte(len(room))}) + room + c.Name()}
	if err := store.Client().ZAdd(t.Context(), store.Grace(shard), ends).Err(); err != nil {
		t.Fatal(err)
	}
}

// haunt has a node enter a room, and its lease lapse.
func haunt(t *testing.T, store *luascripts.Store, room, node, user string) {
	t.Helper()
	shard := store.Shard(room)
	r := luascripts.Registration{Node: node, Token: node, Lease: time.Minute, MaxAge: time.Hour}
	inc, err := store.Register(t.Context(), shard, r, "", false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Write(t.Context(), luascripts.Batch{Shard: shard, Node: node, Incarnation: inc.ID, Number: 1, Ops: []luascripts.Op{
		{Action: luascripts.Add, Room: room, Short: "1", Record: luascripts.Record{User: user}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	now, err := store.Now(t.Context(), shard)
	if err != nil {
		t.Fatal(err)
	}
	lapsed := redis.Z{Score: float64(now.Add(-61 * time.Second).UnixMilli()), Member: node}
	if err := store.Client().ZAdd(t.Context(), store.Nodes(shard), lapsed).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestStaleTellsWhatASweepThenDoes(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		// A node corrects what is merely written when it next flushes, which is far off.
		short, long := newNode(t, s, time.Hour), newNode(t, s, 24*time.Hour)
		const pages = 2*luascripts.MaxSweep + 50
		var together, apart []*groups.Channel
		for i := range pages {
			together = append(together, short.Enter(t, "crowd", fmt.Sprint("user", i)))
		}
		for i := range pages {
			apart = append(apart, short.Enter(t, "hall", fmt.Sprint("guest", i%10)))
		}
		ageAll(t, short, together, 2*time.Hour) // more than a page has one time
		for i, c := range apart {
			short.Age(t, c, time.Hour+time.Minute+time.Duration(i)*time.Millisecond)
		}
		short.Enter(t, "hall", "guest3") // stays, so that guest3 does not go
		short.Enter(t, "fresh", "ana")
		ageAll(t, long, []*groups.Channel{long.Enter(t, "long", "ben")}, 2*time.Hour)
		both := short.Enter(t, "mixed", "")
		if _, _, err := short.Add(t.Context(), "crowd", both.Name(), presence.Member{User: "user0"}); err != nil {
			t.Fatal(err)
		}
		short.Age(t, both, 3*time.Hour)
		for i := range luascripts.MaxSweep + 50 {
			short.leave(t, "wing", short.Enter(t, "wing", fmt.Sprint("guest", i%60)), -time.Duration(i/60+1)*time.Minute)
		}
		short.leave(t, "wing", short.Enter(t, "wing", "guest3"), time.Minute)     // stays, too
		short.deadline(t, "wing", short.Enter(t, "wing", "guest3"), -time.Minute) // and who is there
		haunt(t, short.Store(), "wing", "ghost", "gus")

		stale, err := short.pruner.Stale(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		again, err := long.pruner.Stale(t.Context(), 0)
		if err != nil || !reflect.DeepEqual(stale, again) {
			t.Errorf("a second look differs, %v", err)
		}
		if counts, err := short.CountsOf(t.Context(), "crowd", "hall", "mixed"); err != nil ||
			counts[0].Presences != pages+1 || counts[1].Presences != pages+1 || counts[2].Presences != 1 {
			t.Errorf("a look changed %+v, %v", counts, err)
		}

		changes, err := short.pruner.Presences(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		did := map[string]prune.StaleRoom{}
		for _, c := range changes {
			r := prune.StaleRoom{Room: c.Room, Users: c.UsersWent, Left: c.Counts.Presences}
			for _, d := range c.Removed {
				r.Channels = append(r.Channels, d.Channel)
			}
			slices.Sort(r.Channels)
			slices.Sort(r.Users)
			did[c.Room] = r
		}
		if rooms := slices.Sorted(maps.Keys(did)); fmt.Sprint(rooms) != "[crowd hall mixed wing]" || len(stale) != len(rooms) {
			t.Fatalf("rooms %v, told of %d", rooms, len(stale))
		}
		for _, told := range stale {
			if !reflect.DeepEqual(told, did[told.Room]) {
				t.Errorf("told %d channels, users %q, %d left of %q; did %d, %q, %d", len(told.Channels), told.Users, told.Left,
					told.Room, len(did[told.Room].Channels), did[told.Room].Users, did[told.Room].Left)
			}
		}
		if stale, err := short.pruner.Stale(t.Context(), 0); err != nil || len(stale) != 0 {
			t.Errorf("after the sweep %+v, %v", stale, err)
		}
	})
}

// Who has a key goes as that key: a sweep says so, and so does the look before it.
func TestStaleTellsOfKeys(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, time.Hour)
		enter := func(m presence.Member) *groups.Channel {
			t.Helper()
			return n.EnterAs(t, "lobby", m)
		}
		ageAll(t, n, []*groups.Channel{
			enter(presence.Member{User: "ann", Key: "ann/phone"}),
			enter(presence.Member{Key: "visitor"}),
			enter(presence.Member{User: "bob", Key: "bob/phone"}),
			enter(presence.Member{User: "cyd"}),
		}, 2*time.Hour)
		enter(presence.Member{User: "bob", Key: "bob/phone"}) // stays
		enter(presence.Member{User: "cyd", Key: "cyd/phone"}) // is another

		told, err := n.pruner.Stale(t.Context(), 0)
		if err != nil || len(told) != 1 {
			t.Fatalf("%+v, %v", told, err)
		}
		did, err := n.pruner.Presences(t.Context())
		if err != nil || len(did) != 1 {
			t.Fatalf("%+v, %v", did, err)
		}
		slices.Sort(did[0].UsersWent)
		want := []string{"ann/phone", "cyd", "visitor"}
		if !slices.Equal(told[0].Users, want) || !slices.Equal(did[0].UsersWent, want) {
			t.Errorf("told of %q, did %q, want %q", told[0].Users, did[0].UsersWent, want)
		}
	})
}

func TestStaleTakesAnAgeOfTheCallers(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, time.Minute)
		c := n.Enter(t, "lobby", "ana")
		n.Age(t, c, 10*time.Second)
		for _, bad := range []time.Duration{-time.Second, time.Microsecond} {
			var invalid *presence.InvalidError
			if _, err := n.pruner.Stale(t.Context(), bad); !errors.As(err, &invalid) {
				t.Errorf("age %v: %v", bad, err)
			}
		}
		for age, want := range map[time.Duration]int{0: 0, 20 * time.Second: 0, 5 * time.Second: 1} {
			if stale, err := n.pruner.Stale(t.Context(), age); err != nil || len(stale) != want {
				t.Errorf("age %v: %+v, %v", age, stale, err)
			}
		}
	})
}

func TestEmptyRoomsTellsWhatRoomsThenDeletes(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, time.Minute)
		n.Enter(t, "occupied", "ana")
		c := n.Enter(t, "again", "ana")
		for i := range luascripts.MaxSweep + 50 {
			c := n.Enter(t, fmt.Sprint("room", i), "ana")
			if _, err := n.LeaveAll(t.Context(), c.Name(), presence.Left); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := n.LeaveAll(t.Context(), c.Name(), presence.Left); err != nil {
			t.Fatal(err)
		}
		n.Enter(t, "again", "ben")
		told, err := n.pruner.EmptyRooms(t.Context())
		if err != nil || len(told) != luascripts.MaxSweep+50 {
			t.Fatalf("%d rooms, %v", len(told), err)
		}
		deleted, err := n.pruner.Rooms(t.Context())
		slices.Sort(deleted)
		if err != nil || !slices.Equal(told, deleted) {
			t.Errorf("told %d, deleted %d, %v", len(told), len(deleted), err)
		}
		if told, err := n.pruner.EmptyRooms(t.Context()); err != nil || len(told) != 0 {
			t.Errorf("after it %q, %v", told, err)
		}
	})
}

// What leaves the pages that were read already must not hide what comes after.
func TestPagesSkipNothingWhileOthersPrune(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, time.Minute)
		store := n.Store()
		key := store.Presences(0, n.Layer.NodeID())
		now := time.Now()
		var want []string
		for i := range 3 * luascripts.MaxSweep {
			member := fmt.Sprintf("c%04d", i)
			want = append(want, member)
			seen := now.Add(-time.Hour + time.Duration(i)*time.Second)
			if err := store.Client().ZAdd(t.Context(), key, redis.Z{Score: float64(seen.UnixMilli()), Member: member}).Err(); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for stale, err := range store.AllStale(t.Context(), 0, n.Layer.NodeID(), now) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, stale.Short)
			// All but the last of a page are pruned, or seen again.
			if i := len(got); i%10 != 0 {
				if i%2 == 0 {
					err = store.Client().ZRem(t.Context(), key, stale.Short).Err()
				} else {
					err = store.Client().ZAdd(t.Context(), key, redis.Z{Score: float64(now.Add(time.Hour).UnixMilli()), Member: stale.Short}).Err()
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d of %d, in order: %v", len(got), len(want), slices.IsSorted(got))
		}
		if err := store.Client().Del(t.Context(), key).Err(); err != nil {
			t.Fatal(err)
		}
	})
}
