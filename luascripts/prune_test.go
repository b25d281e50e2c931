package luascripts_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// sweep is for what was not seen for a minute.
func (w *world) sweep(shard int, node string) luascripts.Sweep {
	w.t.Helper()
	stale, err := w.Stale(w.ctx, shard, node, w.now().Add(-time.Minute))
	w.must(err)
	return luascripts.Sweep{Shard: shard, Node: node, MaxAge: time.Minute, Reason: 'e', Stale: stale}
}

func (w *world) prune(s luascripts.Sweep) []luascripts.RoomEvent {
	w.t.Helper()
	events, err := w.Prune(w.ctx, s)
	w.must(err)
	if !w.rarely {
		w.agree(w.node)
	}
	return events
}

func (w *world) pruneAll(shard int, node string) []luascripts.RoomEvent {
	w.t.Helper()
	return w.prune(w.sweep(shard, node))
}

func TestPruneSeveralRoomsAndChannels(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(
			add("a", "1", "ann", "hi"), add("b", "1", "ann", ""), add("a", "2", "ann", ""),
			add("b", "3", "bob", ""), add("b", "4", "", ""), add("c", "3", "bob", ""),
		)
		for _, short := range []string{"1", "2", "4"} {
			w.seen(short, time.Hour)
		}
		heard := w.listen("a", "b", "c")
		events := w.pruneAll(0, "n1")
		w.expect(events, "a -e,1=ann -e,2=ann <ann 0/0/0", "b -e,1=ann -e,4= <ann 1/1/0")
		heard(events)
		if got := w.pruneAll(0, "n1"); got != nil {
			t.Fatalf("again: %+v", got)
		}
	})
}

func TestPruneGivesTheReason(t *testing.T) {
	for _, reason := range []byte{'e', 'n', 'x'} {
		t.Run(string(reason), func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				w.write(add("lobby", "1", "ann", ""))
				w.seen("1", time.Hour)
				sweep := w.sweep(0, "n1")
				sweep.Reason = reason
				w.expect(w.prune(sweep), fmt.Sprintf("lobby -%c,1=ann <ann 0/0/0", reason))
			})
		})
	}
}

func TestTouchedInBetweenIsKept(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""), add("lobby", "2", "bob", ""), add("den", "1", "ann", ""))
		w.seen("1", time.Hour)
		w.seen("2", time.Hour)
		sweep := w.sweep(0, "n1")
		_, err := w.Touch(w.ctx, 0, "n1", []string{"1"})
		w.must(err)
		w.expect(w.prune(sweep), "lobby -e,2=bob <bob 1/1/0")
	})
}

func TestRemovedInBetweenIsNoEvent(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""))
		w.seen("1", time.Hour)
		sweep := w.sweep(0, "n1")
		w.write(remove("lobby", "1"))
		w.expect(w.prune(sweep))
	})
}

// A room that the sweeper did not know of keeps the channel, and its index.
func TestPruneKeepsRoomsItWasNotGiven(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("a", "1", "ann", ""))
		w.seen("1", time.Hour)
		sweep := w.sweep(0, "n1")
		w.write(add("b", "1", "ann", ""))
		w.seen("1", time.Hour)
		w.expect(w.prune(sweep), "a -e,1=ann <ann 0/0/0")
		w.expect(w.pruneAll(0, "n1"), "b -e,1=ann <ann 0/0/0")
	})
}

// With the clock held, to the millisecond: as old as the limit is not stale.
func TestPruneIsForStrictlyOlder(t *testing.T) {
	s := redistest.Mini(t)
	s.Mini().SetTime(time.UnixMilli(1_800_000_000_000))
	w := newWorld(t, s)
	w.write(add("lobby", "1", "ann", ""), add("lobby", "2", "bob", ""))
	w.seen("1", time.Minute)
	w.seen("2", time.Minute+time.Millisecond)
	if got := w.stale(time.Minute); !slices.Equal(got, []string{"2"}) {
		t.Fatalf("stale %q", got)
	}
	sweep := w.sweep(0, "n1")
	sweep.Stale = []luascripts.Stale{{Short: "1", Rooms: []string{"lobby"}}, {Short: "2", Rooms: []string{"lobby"}}}
	w.expect(w.prune(sweep), "lobby -e,2=bob <bob 1/1/0")
}

func TestPruneAge(t *testing.T) {
	for _, tt := range []struct {
		name  string
		age   time.Duration // the node's own is a minute
		seen  time.Duration
		stale bool
	}{
		{"the node's own, younger", time.Minute, 50 * time.Second, false},
		{"the node's own, older", time.Minute, time.Minute + time.Second, true},
		{"a longer one, younger", time.Hour, 59 * time.Minute, false},
		{"a longer one, older", time.Hour, 61 * time.Minute, true},
		{"a shorter one, older", 10 * time.Second, 11 * time.Second, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				w.write(add("lobby", "1", "ann", ""))
				w.seen("1", tt.seen)
				sweep := luascripts.Sweep{Node: "n1", MaxAge: tt.age, Reason: 'e'}
				sweep.Stale = []luascripts.Stale{{Short: "1", Rooms: []string{"lobby"}}}
				if got := w.prune(sweep); (len(got) == 1) != tt.stale {
					t.Fatalf("%+v", got)
				}
			})
		})
	}
}

// A channel without an entry in the index is forgotten, and so is one whose
// rooms do not know it.
func TestPruneRepairs(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		old := float64(w.now().Add(-time.Hour).UnixMilli())
		w.must(w.c.ZAdd(w.ctx, w.Presences(0, "n1"), redis.Z{Score: old, Member: "1"}, redis.Z{Score: old, Member: "2"}).Err())
		w.must(w.c.HSet(w.ctx, w.Index(0, "n1"), "2", "\x05lobby").Err())
		sweep := w.sweep(0, "n1")
		if len(sweep.Stale) != 2 {
			t.Fatalf("%+v", sweep)
		}
		w.expect(w.prune(sweep)) // and w.agree finds neither, nor a room
	})
}

func TestStaleIsBounded(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		const rooms = luascripts.MaxSweep + 50
		var batch []luascripts.Op
		for i := range rooms {
			batch = append(batch, add(fmt.Sprint("r", i), "1", "ann", ""))
		}
		for i := range 10 {
			batch = append(batch, add("lobby", fmt.Sprint("c", i), "ann", ""))
		}
		w.write(batch...)
		w.seen("1", 2*time.Hour) // the oldest comes first
		for i := range 10 {
			w.seen(fmt.Sprint("c", i), time.Hour)
		}
		all := 0
		for stale, err := range w.AllStale(w.ctx, 0, "n1", w.now().Add(-time.Minute)) {
			w.must(err)
			all += len(stale.Rooms)
		}
		if all != rooms+10 {
			t.Fatalf("%d presences in all", all)
		}
		for i, want := range []int{luascripts.MaxSweep, 51, 0} {
			sweep, n := w.sweep(0, "n1"), 0
			for _, stale := range sweep.Stale {
				n += len(stale.Rooms)
			}
			if n > luascripts.MaxSweep {
				t.Fatalf("step %d: %d presences", i, n)
			}
			if got := w.prune(sweep); len(got) != want {
				t.Fatalf("step %d: %d rooms, want %d", i, len(got), want)
			}
		}
		unique := make(map[string]bool)
		for room, err := range w.AllEmptyRooms(w.ctx, 0, w.now().Add(time.Minute)) {
			w.must(err)
			unique[room] = true
		}
		empty, err := w.EmptyRooms(w.ctx, 0)
		if err != nil || len(unique) != rooms+1 || len(empty) != luascripts.MaxSweep {
			t.Fatal(len(empty), err)
		}
		if gone, err := w.PruneRooms(w.ctx, 0, empty); err != nil || len(gone) != len(empty) {
			t.Fatal(len(gone), err)
		}
		w.agree("n1")
	})
}

func TestPruneRoomsKeepsAnOccupiedOne(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("a", "1", "ann", ""), add("b", "1", "ann", ""))
		w.write(remove("a", "1"), remove("b", "1"))
		empty, err := w.EmptyRooms(w.ctx, 0)
		w.must(err)
		if !slices.Equal(empty, []string{"a", "b"}) {
			t.Fatalf("%q", empty)
		}
		w.write(add("b", "2", "", ""))
		want := w.header("b")
		w.must(w.c.HSet(w.ctx, w.RoomUsers("a"), "stray", 1).Err()) // is left over no longer
		gone, err := w.PruneRooms(w.ctx, 0, append(empty, "unknown"))
		if err != nil || slices.Contains(gone, "b") || !slices.Contains(gone, "a") {
			t.Fatalf("%q, %v", gone, err)
		}
		if w.header("b") != want {
			t.Fatalf("%+v, was %+v", w.header("b"), want)
		}
		w.agree("n1")
	})
}
