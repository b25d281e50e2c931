package luascripts_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

func TestSameNumberReturnsTheStoredReplyAndDoesNothingTwice(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""))
		b := w.batch(add("lobby", "1", "bob", "x"), add("lobby", "2", "cyd", "y"), remove("den", "1"))
		first, err := w.Write(w.ctx, b)
		w.must(err)
		want := w.header("lobby")
		heard := w.listen("lobby", "den")
		for _, again := range []bool{false, true} {
			b.Again = again
			reply, err := w.Write(w.ctx, b)
			if err != nil || !reflect.DeepEqual(reply, first) {
				t.Fatalf("again %v: %+v, %v, want %+v", again, reply, err, first)
			}
		}
		heard(nil)
		if w.header("lobby") != want {
			t.Fatalf("%+v, was %+v", w.header("lobby"), want)
		}
		w.agree("n1")
	})
}

func TestFence(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *world, b *luascripts.Batch)
	}{
		{"a number left out", func(_ *world, b *luascripts.Batch) { b.Number++ }},
		{"lower number", func(_ *world, b *luascripts.Batch) { b.Number = 4 }},
		{"lower number with fewer digits", func(w *world, b *luascripts.Batch) {
			w.reach(9)
			w.write(add("lobby", "1", "ann", "old"))
			b.Number = 9
		}},
		{"earlier incarnation", func(w *world, b *luascripts.Batch) {
			w.register()
			b.Number = 1
		}},
		{"other incarnation", func(_ *world, b *luascripts.Batch) { b.Incarnation += "0" }},
		{"no incarnation", func(_ *world, b *luascripts.Batch) { b.Incarnation = "" }},
		{"unknown node", func(_ *world, b *luascripts.Batch) { b.Node = "n2" }},
		{"retired node", func(w *world, _ *luascripts.Batch) {
			w.number[0]-- // the batch under test has not run
			w.write(remove("lobby", "1"))
			if ok, err := w.Retire(w.ctx, 0, "n1", w.inc[0]); !ok || err != nil {
				w.t.Fatal(ok, err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				w.reach(4)
				w.write(add("lobby", "1", "ann", "old"))
				b := w.batch(add("lobby", "1", "bob", "new"), add("den", "1", "bob", "new"))
				tt.change(w, &b)
				want := w.header("lobby")
				heard := w.listen("lobby", "den")
				for _, again := range []bool{false, true} {
					b.Again = again
					reply, err := w.Write(w.ctx, b)
					if !errors.Is(err, luascripts.ErrFenced) || reply.Results != nil {
						t.Fatalf("again %v: %+v, %v", again, reply, err)
					}
				}
				heard(nil)
				if w.header("lobby") != want {
					t.Fatalf("%+v, was %+v", w.header("lobby"), want)
				}
				w.agree("n1")
			})
		})
	}
}

func TestAgainRunsABatchThatNeverRan(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", "hi"))
		b := w.batch(add("den", "1", "ann", ""), remove("lobby", "1"))
		b.Again = true
		reply, err := w.Write(w.ctx, b)
		w.must(err)
		w.expect(reply.Events, "den +1=ann >ann 1/1/0", "lobby -l,1=ann <ann 0/0/0")
		w.agree("n1")
	})
}

// Where Redis has lost batches, as in a failover, the next one says so.
func TestABatchThatFollowsLostOnesIsFenced(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		lost := w.batch(add("den", "1", "ann", ""))
		next := w.batch(add("lobby", "1", "ann", "hi"))
		if _, err := w.Write(w.ctx, next); !errors.Is(err, luascripts.ErrFenced) {
			t.Fatal(err)
		}
		if err := w.renew(w.inc[0]); !errors.Is(err, luascripts.ErrFenced) {
			t.Fatal(err)
		}
		lost.Again = true
		_, err := w.Write(w.ctx, lost)
		w.must(err)
		_, err = w.Write(w.ctx, next)
		w.must(err)
		w.must(w.renew(w.inc[0]))
		w.agree("n1")
	})
}

// Numbers begin anew with an incarnation, and so do replies: the first batch
// must not get that of an earlier process.
func TestANewIncarnationBeginsWithoutReplies(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", "hi"))
		w.register()
		w.expect(w.write(add("lobby", "2", "bob", "")).Events, "lobby +2=bob >bob 2/2/0")
	})
}
