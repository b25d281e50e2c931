package luascripts_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

func equal(a, b []luascripts.RoomEvent) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

func TestRevisionsRiseAndChain(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		var last luascripts.Header
		for i, op := range []luascripts.Op{
			add("lobby", "1", "ann", ""), add("lobby", "2", "", ""), update("lobby", "1", "x"),
			remove("lobby", "1"), remove("lobby", "2"), add("lobby", "1", "bob", ""), add("lobby", "1", "cyd", ""),
		} {
			reply := w.write(op)
			e := reply.Events[0]
			if e.Previous != last.Revision || e.Revision <= last.Revision {
				t.Fatalf("step %d: %d after %d, was %d", i, e.Revision, e.Previous, last.Revision)
			}
			if i == 0 {
				last.Birth = e.Revision
			}
			if e.Birth != last.Birth {
				t.Fatalf("step %d: birth %d, was %d", i, e.Birth, last.Birth)
			}
			if e.Header != w.header("lobby") || reply.Results[0].Revision != e.Revision {
				t.Fatalf("step %d: %+v, stored %+v", i, reply, w.header("lobby"))
			}
			last = e.Header
		}
	})
}

func TestRevisionStaysWhereNothingChanges(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", "hi"))
		want := w.header("lobby")
		for _, op := range []luascripts.Op{
			add("lobby", "1", "ann", "x"), update("lobby", "1", "hi"), update("lobby", "2", ""), remove("lobby", "2"),
		} {
			if r := w.write(op); w.header("lobby") != want || r.Results[0].Revision != want.Revision {
				t.Fatalf("%c: %+v, %+v", op.Action, r, w.header("lobby"))
			}
		}
		if r := w.write(remove("nowhere", "1")); r.Results[0].Revision != 0 {
			t.Fatalf("unknown room: %+v", r)
		}
	})
}

// A new room begins at Redis's time in microseconds, so that a room made again
// after it was deleted goes on above its old revisions.
func TestRevisionBeginsAtTheTime(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		before := w.now().UnixMicro()
		e := w.write(add("lobby", "1", "ann", "")).Events[0]
		if e.Revision < before || e.Revision > w.now().UnixMicro() || e.Birth != e.Revision || e.Previous != 0 {
			t.Fatalf("%+v, before %d", e, before)
		}
		w.write(remove("lobby", "1"))
		old := w.header("lobby")
		gone, err := w.PruneRooms(w.ctx, 0, []string{"lobby"})
		if err != nil || len(gone) != 1 {
			t.Fatal(gone, err)
		}
		e = w.write(add("lobby", "1", "ann", "")).Events[0]
		if e.Birth <= old.Birth || e.Revision <= old.Revision || e.Previous != 0 {
			t.Fatalf("%+v, was %+v", e, old)
		}
	})
}

// Where the clock went back, revisions count on by one; Lua's tostring would
// round numbers like these.
func TestRevisionsAreExact(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""))
		for _, revision := range []int64{1_999_999_999_999_998, 4_123_456_789_012_345, 9_007_199_254_740_900} {
			header := fmt.Sprintf("%d %d 1 1 0", revision, revision-1)
			w.must(w.c.HSet(w.ctx, w.Room("lobby"), "", header).Err())
			for i := range int64(3) {
				r := w.write(update("lobby", "1", fmt.Sprint(revision, i)))
				e, want := r.Events[0], revision+i+1
				if e.Revision != want || e.Previous != want-1 || e.Birth != revision-1 ||
					r.Results[0].Revision != want || w.header("lobby").Revision != want {
					t.Fatalf("want %d: %+v", want, r)
				}
			}
		}
	})
}

func TestBatchNumbersAreExact(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.reach(9_007_199_254_740_000)
		for i := range 3 {
			w.write(add("lobby", fmt.Sprint(i), "ann", ""))
		}
		if got, err := w.c.HGet(w.ctx, w.Node(0, "n1"), "number").Result(); err != nil || got != "9007199254740003" {
			t.Fatal(got, err)
		}
	})
}

// A record's time has 13 digits, also where the time has only 12, as it has in
// a bubble.
func TestRecordsKeepTheirWidthBefore2001(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.expect(w.write(add("lobby", "1", "ann", "hi")).Events, "lobby +1=ann:hi >ann 1/1/0")
		if at := w.record("lobby", "1").JoinedAt; at != w.now().UnixMilli() {
			t.Fatalf("joined at %d, now %d", at, w.now().UnixMilli())
		}
		w.expect(w.write(update("lobby", "1", "yo")).Events, "lobby ~1=ann:yo 1/1/0")
		w.expect(w.write(remove("lobby", "1")).Events, "lobby -l,1=ann <ann 0/0/0")
	})
}
