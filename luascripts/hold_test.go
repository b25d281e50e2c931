package luascripts_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// sweeps are the ways to remove somebody, and whether they obey a hold.
func (w *world) sweeps() map[string]error {
	w.t.Helper()
	stale := []luascripts.Stale{{Short: "9", Rooms: []string{"nowhere"}}}
	graced := []luascripts.Graced{{Room: "nowhere", Channel: "n9!9"}}
	_, prune := w.Prune(w.ctx, luascripts.Sweep{Node: "n1", MaxAge: time.Minute, Reason: 'e', Stale: stale})
	_, lost := w.Prune(w.ctx, luascripts.Sweep{Node: "n1", Reason: 'n', Stale: stale})
	_, ungrace := w.Ungrace(w.ctx, 0, graced, 0)
	_, turn := w.TakeTurn(w.ctx, 0, "sweeper")
	w.must(w.EndTurn(w.ctx, 0, "sweeper")) // which may always be given back
	_, kick := w.Ungrace(w.ctx, 0, graced, 'k')
	w.must(kick) // of a person, and no sweep
	return map[string]error{"prune": prune, "lost": lost, "ungrace": ungrace, "turn": turn}
}

func (w *world) mustHold(want bool) {
	w.t.Helper()
	for name, err := range w.sweeps() {
		if errors.Is(err, luascripts.ErrHeld) != want || !want && err != nil {
			w.t.Fatalf("%s: %v, want a hold: %v", name, err, want)
		}
	}
}

// holdLasts tells until when the hold is.
func (w *world) holdLasts() time.Duration {
	w.t.Helper()
	until, err := strconv.ParseInt(w.meta("hold"), 10, 64)
	w.must(err)
	return time.UnixMilli(until).Sub(w.now())
}

// endHold makes the hold one that is over.
func (w *world) endHold() {
	w.t.Helper()
	w.must(w.c.HSet(w.ctx, w.Meta(0), "hold", w.now().Add(-time.Millisecond).UnixMilli()).Err())
}

// The lease is a minute, in which a node signs three times.
func TestSilenceHoldsSweeps(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *world)
		held   bool
	}{
		{"a node has just signed", func(*world) {}, false},
		{"less than half a lease ago", func(w *world) { w.silence(20 * time.Second) }, false},
		{"longer ago", func(w *world) { w.silence(31 * time.Second) }, true},
		{"a day ago", func(w *world) { w.silence(time24) }, true},
		{"longer ago, and a node signs again", func(w *world) {
			w.silence(time.Hour)
			w.must(w.renew(w.inc[0]))
		}, true},
		{"longer ago, and a node registers", func(w *world) {
			w.silence(time.Hour)
			w.another("n2")
		}, true},
		{"longer ago, and a node registers again", func(w *world) {
			w.silence(time.Hour)
			w.register()
		}, true},
		{"longer ago, and the hold is over", func(w *world) {
			w.silence(time.Hour)
			w.mustHold(true)
			w.endHold()
		}, false},
		{"the hold is over, and a node signs", func(w *world) {
			w.silence(time.Hour)
			w.mustHold(true)
			w.endHold()
			w.must(w.renew(w.inc[0]))
		}, false},
		{"silent a second time", func(w *world) {
			w.silence(2 * time.Hour)
			w.mustHold(true)
			w.endHold()
			w.must(w.renew(w.inc[0]))
			w.silence(time.Hour)
		}, true},
		{"meta is lost", func(w *world) { w.must(w.c.Del(w.ctx, w.Meta(0)).Err()) }, true},
		{"meta is lost, and a node signs again", func(w *world) {
			w.must(w.c.Del(w.ctx, w.Meta(0)).Err())
			w.must(w.renew(w.inc[0]))
		}, true},
		{"longer ago, a node signs again, and meta is lost with the hold", func(w *world) {
			w.silence(time.Hour)
			w.must(w.renew(w.inc[0]))
			w.must(w.c.Del(w.ctx, w.Meta(0)).Err())
		}, true},
		{"longer ago, and meta is lost", func(w *world) {
			w.leased(6 * time.Second)
			w.must(w.c.Del(w.ctx, w.Meta(0)).Err())
		}, true},
		{"the hold after that is over", func(w *world) {
			w.leased(time.Hour)
			w.must(w.c.Del(w.ctx, w.Meta(0)).Err())
			start := time.Now()
			w.mustHold(true)
			if got := w.holdLasts(); got > 12*time.Second || got < 12*time.Second-time.Since(start)-10*time.Millisecond {
				w.t.Errorf("it lasts %v", got)
			}
			w.endHold()
		}, false},
		{"longer ago, meta is lost, and a node signs again", func(w *world) {
			w.leased(time.Hour)
			w.must(w.c.Del(w.ctx, w.Meta(0)).Err())
			w.must(w.renew(w.inc[0]))
		}, true},
		{"no node is left, and meta is lost", func(w *world) { w.must(w.c.Del(w.ctx, w.Meta(0), w.Nodes(0)).Err()) }, false},
		{"the last node has retired", func(w *world) {
			w.silence(time.Hour)
			if ok, err := w.Retire(w.ctx, 0, "n1", w.inc[0]); !ok || err != nil {
				w.t.Fatal(ok, err)
			}
		}, false},
		{"one of two nodes has retired", func(w *world) {
			o := w.another("n2")
			w.silence(time.Hour)
			if ok, err := o.Retire(w.ctx, 0, "n2", o.inc[0]); !ok || err != nil {
				w.t.Fatal(ok, err)
			}
		}, true},
		{"somebody signed a moment ahead, and the clock went back", func(w *world) { w.silence(-29 * time.Second) }, false},
		{"somebody signed an hour ahead, and the clock went back", func(w *world) { w.silence(-time.Hour) }, true},
		{"an hour ahead, and a node signs again", func(w *world) {
			w.silence(-time.Hour)
			w.must(w.renew(w.inc[0]))
		}, true},
		{"an hour ahead, and the hold is over", func(w *world) {
			w.silence(-time.Hour)
			w.mustHold(true)
			w.endHold()
		}, false},
		{"a fenced node asks to sign", func(w *world) {
			w.silence(time.Hour)
			if err := w.renew("1"); !errors.Is(err, luascripts.ErrFenced) {
				w.t.Fatal(err)
			}
			if w.meta("hold") != "" {
				w.t.Error("it has made a hold")
			}
		}, true},
		{"the lease of who signed last counts", func(w *world) {
			r := w.registration()
			r.Node, r.Lease = "n2", 3*time.Minute
			if _, err := w.Register(w.ctx, 0, r, "", false); err != nil {
				w.t.Fatal(err)
			}
			w.silence(75 * time.Second)
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				tt.change(w)
				w.mustHold(tt.held)
				w.mustHold(tt.held) // as one look is as the next
			})
		})
	}
}

// A sweep during a hold does nothing, though there is something to do.
func TestHoldKeepsThePresences(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""), add("lobby", "2", "bob", ""))
		w.write(grace("lobby", "2", 0))
		w.seen("1", time.Hour)
		w.leased(time.Hour)
		sweep, graced := w.sweep(0, "n1"), w.allGraced()
		lost := luascripts.Sweep{Node: "n1", Reason: 'n', Stale: sweep.Stale}
		want := w.header("lobby")
		w.silence(time.Hour)
		_, errPrune := w.Prune(w.ctx, sweep)
		_, errLost := w.Prune(w.ctx, lost)
		_, errUngrace := w.Ungrace(w.ctx, 0, graced, 0)
		for _, err := range []error{errPrune, errLost, errUngrace} {
			if !errors.Is(err, luascripts.ErrHeld) {
				t.Fatal(err)
			}
		}
		w.agree("n1")
		if w.header("lobby") != want {
			t.Fatalf("%+v, was %+v", w.header("lobby"), want)
		}
		reply, err := w.Write(w.ctx, w.batch(add("lobby", "3", "cyd", ""))) // its incarnation stands
		if err != nil || statuses(reply) != "+" {
			t.Fatal(reply, err)
		}
		w.expect(w.ungrace('k', graced...), "lobby -k,2=bob <bob 2/2/0")
		w.endHold()
		w.expect(w.prune(sweep), "lobby -e,1=ann <ann 1/1/0")
	})
}

func TestHowLongAHoldLasts(t *testing.T) {
	for _, tt := range []struct {
		name               string
		lease, maxAge, min time.Duration
	}{
		{"a lease, and to ask who serves", time.Minute, time.Minute, 61 * time.Second},
		{"two of the longest flush intervals", time.Minute, 10 * time.Minute, 2 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				r := w.registration()
				r.Lease, r.MaxAge = tt.lease, tt.maxAge
				inc, err := w.Register(w.ctx, 0, r, "", false)
				w.must(err)
				check := func() {
					t.Helper()
					w.mustHold(true)
					if left := w.holdLasts(); left > tt.min+time.Millisecond || // which is rounded
						left < tt.min-20*time.Second {
						t.Fatalf("lasts for %v, want %v", left, tt.min)
					}
				}
				w.silence(time.Hour)
				check()
				w.endHold()
				_, _, err = w.Renew(w.ctx, 0, r, inc.ID, 0)
				w.must(err)
				w.silence(time.Hour)
				_, _, err = w.Renew(w.ctx, 0, r, inc.ID, 0)
				w.must(err)
				check()
			})
		})
	}
}

// A node that is refused has not signed, and so makes no hold.
func TestARefusedNodeMakesNoHold(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.silence(time.Hour)
		at := w.meta("leased")
		r := w.registration()
		r.Token = "other"
		if _, err := w.Register(w.ctx, 0, r, "", false); !errors.Is(err, luascripts.ErrNodeTaken) {
			t.Fatal(err)
		}
		if w.meta("hold") != "" || w.meta("leased") != at {
			t.Fatalf("hold %q, leased %q", w.meta("hold"), w.meta("leased"))
		}
	})
}

// To the millisecond: half a lease is no silence, and at its end a hold
// is over.
func TestHoldToTheMillisecond(t *testing.T) {
	s := redistest.Mini(t)
	start := time.UnixMilli(1_800_000_000_000)
	s.Mini().SetTime(start)
	w := newWorld(t, s)
	for _, step := range []struct {
		at   time.Duration
		held bool
	}{
		{30 * time.Second, false},
		{30*time.Second + time.Millisecond, true},
		{91 * time.Second, true},
		{91*time.Second + time.Millisecond, false},
	} {
		s.Mini().SetTime(start.Add(step.at))
		if err := w.sweeps()["turn"]; errors.Is(err, luascripts.ErrHeld) != step.held {
			t.Errorf("after %v: %v", step.at, err)
		}
	}
}

// A clock that was ahead has left a hold that ends later than any can: it lasts as
// long as one that begins now.
func TestAHoldOfAClockThatWasAhead(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		r := w.registration()
		r.Node, r.MaxAge = "n2", 10*time.Minute
		inc, err := w.Register(w.ctx, 0, r, "", false) // holds of two minutes
		w.must(err)
		w.silence(time.Hour)
		_, _, err = w.Renew(w.ctx, 0, r, inc.ID, 0)
		w.must(err)
		w.must(w.renew(w.inc[0])) // whose own would be shorter
		w.mustHold(true)
		left := func(least, most time.Duration) {
			t.Helper()
			if got := w.holdLasts(); got < least || got > most+time.Millisecond { // which is rounded
				t.Fatalf("it lasts for %v", got)
			}
		}
		left(100*time.Second, 2*time.Minute)
		w.must(w.c.HSet(w.ctx, w.Meta(0), "hold", w.now().Add(time.Hour).UnixMilli()).Err())
		w.mustHold(true)
		left(100*time.Second, 2*time.Minute)
	})
}

// Who signed in what is the future now, and has not signed since, is dead.
func TestALeaseOfAClockThatWasAhead(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""))
		w.seen("1", time.Hour)
		sweep := w.sweep(0, "n1")
		lost := luascripts.Sweep{Node: "n1", Reason: 'n', Stale: sweep.Stale}
		for _, tt := range []struct {
			ahead time.Duration
			want  []string
		}{
			{time.Minute - time.Second, nil},
			{time.Hour, []string{"lobby -n,1=ann <ann 0/0/0"}},
		} {
			w.leased(-tt.ahead)
			rows, now, err := w.NodeRows(w.ctx, 0)
			w.must(err)
			if len(rows) != 1 || rows[0].Lapsed(now) != (tt.want != nil) {
				t.Errorf("%v ahead: %+v", tt.ahead, rows)
			}
			w.expect(w.prune(lost), tt.want...)
		}
	})
}

// Whose turn ends later than any can has died before the clock went back.
func TestATurnOfAClockThatWasAhead(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		for _, tt := range []struct {
			ends time.Duration
			mine bool
		}{{4 * time.Second, false}, {time.Hour, true}, {-time.Second, true}} {
			w.must(w.c.HSet(w.ctx, w.Sweep(0), "token", "dead", "until", w.now().Add(tt.ends).UnixMilli()).Err())
			if mine, err := w.TakeTurn(w.ctx, 0, "mine"); mine != tt.mine || err != nil {
				t.Errorf("it ends in %v: %v, %v", tt.ends, mine, err)
			}
		}
	})
}

// What was seen in what is the future now counts as seen when its node signs again,
// so that it is stale in time.
func TestAgesOfAClockThatWasAhead(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""), add("lobby", "2", "bob", ""))
		w.seen("1", -time.Hour)
		w.seen("2", time.Second)
		was := w.c.ZScore(w.ctx, w.Presences(0, "n1"), "2").Val()
		before := w.now()
		w.must(w.renew(w.inc[0]))
		got := time.UnixMilli(int64(w.c.ZScore(w.ctx, w.Presences(0, "n1"), "1").Val()))
		if got.Before(before.Truncate(time.Millisecond)) || got.After(w.now()) {
			t.Errorf("it was seen at %v", got)
		}
		if is := w.c.ZScore(w.ctx, w.Presences(0, "n1"), "2").Val(); is != was {
			t.Errorf("who was seen before is seen %v ms later", is-was)
		}
	})
}

// Data that was lost while the clock was ahead is not missing for as long as it was, nor
// is it found at once.
func TestHealingOfAClockThatWasAhead(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		lasts := func(least, most time.Duration) {
			t.Helper()
			until, err := strconv.ParseInt(w.meta(luascripts.Healing), 10, 64)
			if left := time.UnixMilli(until).Sub(w.now()); err != nil || left < least || left > most+time.Millisecond { // which is rounded
				t.Errorf("for %v, %v", left, err)
			}
		}
		w.must(w.c.HSet(w.ctx, w.Meta(0), "epoch", w.since(-time.Hour)).Err())
		if _, err := w.Register(w.ctx, 0, w.registration(), w.since(time.Hour), false); err != nil {
			t.Fatal(err)
		}
		lasts(time.Second, 61*time.Second)
		for _, ahead := range []time.Duration{time.Hour, 62 * time.Second} {
			w.must(w.c.HSet(w.ctx, w.Meta(0), luascripts.Healing, w.now().Add(ahead).UnixMilli()).Err())
			w.register()
			w.must(w.renew(w.inc[0]))
			lasts(time.Second, 61*time.Second)
		}
	})
}
