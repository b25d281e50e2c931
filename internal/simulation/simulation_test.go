package simulation_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/prune"
)

var (
	seedFlag = flag.Uint64("simulation.seed", 0, "run this history alone")
	forFlag  = flag.Duration("simulation.for", 10*time.Second, "how long to run new histories")
)

// Random schedules of faults over five nodes: after each has healed, Redis, all
// views and the truth agree, and on the way nobody was told what is not so.
func TestSimulation(t *testing.T) {
	if *seedFlag != 0 {
		history(t, *seedFlag)
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // memory for speed
	var simulated atomic.Int64
	start := time.Now()
	t.Run("random", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for time.Since(start) < *forFlag {
					simulated.Add(int64(history(t, rand.Uint64())))
				}
			})
		}
	})
	took, hours := time.Since(start), time.Duration(simulated.Load()).Hours()
	t.Logf("%.1f hours in %v, %.1f hours a minute", hours, took.Round(time.Second), hours/took.Minutes())
}

// history runs one schedule, and returns how much time has passed in it.
func history(t *testing.T, seed uint64) (simulated time.Duration) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		f := newFleet(t, s, seed)
		for range 8 {
			f.episode()
			if t.Failed() {
				break
			}
		}
		simulated = time.Since(f.began)
		f.close()
		if t.Failed() {
			f.tell()
			t.FailNow()
		}
	})
	return simulated
}

// episode is a time of comings and goings with one to three faults, which are
// then mended, and looks at what has become of all.
func (f *fleet) episode() {
	var mend []func()
	for range 1 + f.rand.IntN(3) {
		for range 3 + f.rand.IntN(8) {
			f.step()
		}
		fault := faults[f.rand.IntN(len(faults))]
		f.log("%s", fault.name)
		heal, after := fault.cause(f)
		mend = append(mend, heal)
		for until := time.Now().Add(after); time.Now().Before(until); {
			f.step()
		}
		if f.rand.IntN(2) == 0 {
			heal()
			f.log("mended")
		}
	}
	for _, heal := range mend {
		heal()
	}
	f.s.Thaw()
	f.s.Start()
	for _, n := range f.nodes {
		n.heal()
	}
	f.log("all mended")
	redistest.Advance(f.t, settled)
	if f.rolled {
		f.rolled = false
		redistest.Advance(f.t, roll)
	}
	f.inspect()
	f.check()
}

// inspect has a Checker find nothing, once it has mended what only it can.
func (f *fleet) inspect() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	checker, err := prune.NewChecker(f.nodes[0].tracker, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	if f.damaged {
		f.damaged = false
		for p, err := range checker.Repair(ctx) {
			if err != nil || !p.Mended {
				f.fail("repair: %v, %v, %v", p, p.Why, err)
			}
			f.log("mended: %v", p)
		}
		redistest.Advance(f.t, 30*time.Second+2*sweep) // graces that were lost begin anew, and end
	}
	for p, err := range checker.Check(ctx) {
		f.fail("the checker finds %v, %v", p, err)
	}
}

// settled is when all must be right after the last fault: a hold, a lease, and
// two sweeps.
const settled = 60 * time.Second

// roll is how long nodes take to assert all that they hold again, which alone finds
// that an index is lost.
const roll = 5 * maxAge

// step is what happens all the time.
func (f *fleet) step() {
	f.forget()
	switch r := f.rand.IntN(10); {
	case len(f.people) < 5 || r < 5 && len(f.people) < 25:
		f.connect(f.any())
	case r < 8:
		f.disconnect()
	}
	time.Sleep(f.upTo(8 * time.Second))
}

// check compares Redis and the views of all nodes with the truth.
func (f *fleet) check() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, room := range rooms {
		want := f.truth.members(room)
		users := make(map[string]bool)
		anonymous := 0
		for _, user := range want {
			switch {
			case user == "":
				anonymous++
			case users[user] && room == sessions:
				f.fail("nobody was told that %s came again: %v", user, want)
			default:
				users[user] = true
			}
		}
		for _, n := range f.nodes {
			s, err := n.tracker.Snapshot(ctx, room)
			if err != nil {
				f.fail("%s: %v", n.name, err)
				return
			}
			got := make(map[string]string)
			for _, p := range s.Presences {
				got[p.Channel] = p.User
			}
			if !maps.Equal(got, want) {
				f.fail("%s has in %s\n %v, want\n %v", n.name, room, got, want)
			}
			if c := s.Counts; c.Presences != len(want) || c.Users != len(users) || c.Anonymous != anonymous || c.Healing {
				f.fail("%s counts %+v in %s, want %d, %d, %d", n.name, c, room, len(want), len(users), anonymous)
			}
			w, err := n.tracker.Watch(ctx, room, nil)
			if err != nil {
				f.fail("%s: %v", n.name, err)
				return
			}
			if got := w.Counts(); got != s.Counts {
				f.fail("%s: the view of %s has %+v, Redis %+v", n.name, room, got, s.Counts)
			}
			w.Close()
		}
	}
	f.truth.checkDepartures()
}

// close ends all, after which nothing must be left in Redis.
func (f *fleet) close() {
	for _, n := range f.nodes[1:] {
		n.deploy()
	}
	for _, p := range f.people {
		p.end()
	}
	redistest.Advance(f.t, settled) // whoever is in grace is swept by the last one
	last := f.nodes[0]
	last.fleet.truth.drained(last)
	last.end(0)
	f.ended.Wait()
	if left := leftOver(f.s.Mini().Keys()); len(left) > 0 && !f.t.Failed() {
		f.fail("left in Redis: %q", left)
	}
}

// leftOver drops what stays: the settings of the shard, and rooms that are still
// to be pruned.
func leftOver(keys []string) (left []string) {
	for _, key := range keys {
		switch key {
		case "presence:{0}:meta", "presence:{0}:rooms", "presence:{0}:empty":
			continue
		}
		stays := false
		for _, room := range rooms {
			stays = stays || key == fmt.Sprintf("presence:{0}:room:%s", room)
		}
		if !stays {
			left = append(left, key)
		}
	}
	return left
}
