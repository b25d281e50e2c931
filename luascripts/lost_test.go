package luascripts_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// orphans is a sweep of a node that is dead.
func (w *world) orphans() luascripts.Sweep {
	w.t.Helper()
	stale, err := w.Orphans(w.ctx, 0, w.node)
	w.must(err)
	return luascripts.Sweep{Node: w.node, Reason: 'n', Stale: stale}
}

func TestPruneOfADeadNode(t *testing.T) {
	everything := []string{"den -n,2= 0/0/0", "lobby -n,1=ann <ann 0/0/0"}
	for _, tt := range []struct {
		name    string
		between func(w *world) // the look at the node and the sweep
		events  []string
		fenced  bool // the node
	}{
		{"its lease has lapsed", func(w *world) { w.leased(61 * time.Second) }, everything, true},
		{"its lease has just not lapsed", func(w *world) { w.leased(50 * time.Second) }, nil, false},
		{"it has renewed", func(w *world) {
			w.leased(time.Hour)
			w.must(w.renew(w.inc[0]))
		}, nil, false},
		{"it has registered again", func(w *world) {
			w.leased(time.Hour)
			w.register()
		}, nil, false},
		{"its row is lost", func(w *world) {
			w.leased(61 * time.Second)
			w.must(w.c.Del(w.ctx, w.Node(0, "n1")).Err())
		}, everything, true},
		{"its row is lost, and it was there a moment ago", func(w *world) {
			w.must(w.c.Del(w.ctx, w.Node(0, "n1")).Err())
		}, nil, true},
		{"a channel has left", func(w *world) {
			w.leased(time.Hour)
			w.write(remove("lobby", "1"))
		}, everything[:1], true},
		{"a channel was touched", func(w *world) {
			w.leased(time.Hour)
			_, err := w.Touch(w.ctx, 0, "n1", []string{"1", "2"})
			w.must(err)
		}, everything, true},
		{"a channel left with a grace", func(w *world) {
			w.leased(time.Hour)
			w.write(grace("lobby", "1", time.Minute))
		}, everything[:1], true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				w.write(add("lobby", "1", "ann", "hi"), add("den", "2", "", ""))
				sweep := w.orphans()
				slices.SortFunc(sweep.Stale, func(a, b luascripts.Stale) int { return -slices.Compare([]string{a.Short}, []string{b.Short}) })
				tt.between(w)
				heard := w.listen("lobby", "den")
				events := w.prune(sweep)
				w.expect(events, tt.events...)
				heard(events)
				_, err := w.Write(w.ctx, w.batch(add("late", "1", "ann", "")))
				if errors.Is(err, luascripts.ErrFenced) != tt.fenced || !tt.fenced && err != nil {
					t.Fatalf("a late write: %v", err)
				}
				if err := w.renew(w.inc[0]); errors.Is(err, luascripts.ErrFenced) != tt.fenced || errors.Is(err, luascripts.ErrLost) {
					t.Fatalf("a late signature: %v", err)
				}
				w.agree("n1")
			})
		})
	}
}

// A dead node that was swept may be forgotten, and may come back.
func TestADeadNodeIsForgotten(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		o := w.another("n2")
		o.rarely, w.rarely = true, true
		w.write(add("lobby", "1", "ann", ""))
		o.write(add("lobby", "1", "ann", ""))
		w.leased(time.Hour)
		if ok, err := w.Retire(w.ctx, 0, "n1", ""); ok || err != nil {
			t.Fatalf("with presences: %v, %v", ok, err)
		}
		w.expect(w.prune(w.orphans()), "lobby -n,1=ann 1/1/0")
		o.expect(o.prune(o.orphans())) // it is alive
		if ok, err := w.Retire(w.ctx, 0, "n1", ""); !ok || err != nil {
			t.Fatal(ok, err)
		}
		w.agree("n2")
		w.register()
		o.expect(w.write(add("lobby", "2", "bob", "")).Events, "lobby +n1!2=bob >bob 2/2/0")
		w.agree("n1", "n2")
	})
}

// An unknown node is not dead: there is nobody to be told.
func TestPruneOfAnUnknownNode(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""))
		sweep := w.orphans()
		w.must(w.c.ZRem(w.ctx, w.Nodes(0), "n1").Err())
		w.expect(w.prune(sweep))
		w.must(w.renew(w.inc[0]))
	})
}

// A room that the sweeper did not know of keeps the channel, for the next step.
func TestPruneOfADeadNodeTakesWhatItWasGiven(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("a", "1", "ann", ""))
		sweep := w.orphans()
		w.write(add("b", "1", "ann", ""), add("b", "2", "bob", ""))
		w.leased(time.Hour)
		w.expect(w.prune(sweep), "a -n,1=ann <ann 0/0/0")
		w.expect(w.prune(w.orphans()), "b -n,1=ann -n,2=bob <ann <bob 0/0/0")
		if sweep := w.orphans(); sweep.Stale != nil {
			t.Fatalf("%+v", sweep)
		}
	})
}

func TestOrphansAreBoundedAndAllIndexedAreNot(t *testing.T) {
	for _, tt := range []struct{ channels, rooms int }{
		{1, luascripts.MaxSweep + 50}, {2 * luascripts.MaxSweep, 1}, {30, 20}, {1, 1}, {0, 0},
	} {
		t.Run(fmt.Sprintf("%d in %d", tt.channels, tt.rooms), func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				w.rarely = true
				want := make(map[string]bool)
				for i := range tt.channels {
					var batch ops
					for j := range tt.rooms {
						batch = append(batch, add(fmt.Sprint("r", j), fmt.Sprint("c", i), "ann", ""))
						want[fmt.Sprint("c", i, " in r", j)] = true
					}
					w.write(batch...)
				}
				all := make(map[string]bool)
				for found, err := range w.AllIndexed(w.ctx, 0, "n1") {
					w.must(err)
					for _, room := range found.Rooms {
						all[found.Short+" in "+room] = true
					}
				}
				if len(all) != len(want) {
					t.Fatalf("%d indexed, want %d", len(all), len(want))
				}
				w.leased(time.Hour)
				removed := 0
				for sweep := w.orphans(); len(sweep.Stale) > 0; sweep = w.orphans() {
					n := 0
					for _, stale := range sweep.Stale {
						for _, room := range stale.Rooms {
							n++
							if key := stale.Short + " in " + room; !want[key] {
								t.Fatalf("%q comes again, or is unknown", key)
							} else {
								delete(want, key)
							}
						}
					}
					if n == 0 || n > luascripts.MaxSweep {
						t.Fatalf("%d presences in a step", n)
					}
					for _, e := range w.prune(sweep) {
						removed += len(e.Items)
					}
				}
				if len(want) != 0 || removed != tt.channels*tt.rooms {
					t.Fatalf("%d left, %d removed", len(want), removed)
				}
				w.agree("n1")
			})
		})
	}
}

// Who stops looking gets no more, and an error ends it.
func TestAllIndexedEnds(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("a", "1", "ann", ""), add("a", "2", "ann", ""), add("a", "3", "ann", ""))
		n := 0
		for range w.AllIndexed(w.ctx, 0, "n1") {
			n++
			break
		}
		for range w.AllIndexed(w.ctx, 0, "n2") {
			n++
		}
		w.must(w.c.Close())
		var last error
		for _, err := range w.AllIndexed(w.ctx, 0, "n1") {
			n, last = n+1, err
		}
		if n != 2 || last == nil {
			t.Fatal(n, last)
		}
		if stale, err := w.Orphans(w.ctx, 0, "n1"); stale != nil || err == nil {
			t.Fatal(stale, err)
		}
	})
}
