package faults_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

var nodeRows = []row{
	{"01", "a node is killed", nodeKilled, everywhere},
	{"02", "a node is frozen, and awakes", nodeFrozen, everywhere},
	{"22", "two processes with one node id", nodeTwice, everywhere},
	{"29", "nodes are shut down", nodeShutDown, everywhere},
}

// forgiven is when views give up members whom Redis has lost, and whose node is
// gone: they keep them for the lease and 5 s since a read did not find them.
const forgiven = lease + 5*time.Second + 2*slack

// swept is when the members of a dead node are gone: after the lease, which is
// shorter here than the 5 s for which a node that died while it swept keeps the
// others from it, and a sweep.
const swept = 5*time.Second + sweep + slack

const slack = 4 * time.Second // of a busy machine

// Each member of a killed node departs once, for each watcher and for the
// handlers together, within the lease and a sweep.
func nodeKilled(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3})
	f.load()
	last(time.Second)
	f.calm()
	f.agreed(time.Now(), patience, "")
	dead := f.nodes[0]
	members := presences(ask[report](f, dead, "report", 0))
	f.kill(0)
	f.healed(dead.killed, swept, "")
	left, came := f.departed(dead, dead.killed, "diff", 2*members, 0)
	f.exactly("departures told to watchers", left, 2*members)
	left, _ = f.departed(dead, dead.killed, "change", members, 0)
	f.exactly("departures told to handlers", left, members)
	f.exactly("returns", came, 0)
	f.finish()
}

func presences(r report) (n int) {
	for _, own := range r.Own {
		n += len(own)
	}
	return n
}

// departed is departures once so many are told, which may be after views have them.
func (f *fleet) departed(of *member, since time.Time, kind string, wantLeft, wantCame int) (left, came map[string]int) {
	_ = poll(func() error {
		if left, came = f.departures(of, since, kind); len(left) < wantLeft || len(came) < wantCame {
			return errors.New("there is more to come")
		}
		return nil
	})
	return left, came
}

// exactly tells whether so many presences are counted, once each.
func (f *fleet) exactly(what string, counted map[string]int, want int) {
	f.t.Helper()
	if len(counted) != want {
		f.t.Errorf("row %s: %d %s, want %d: %v", f.row, len(counted), what, want, counted)
	}
	for who, n := range counted {
		if n != 1 {
			f.t.Errorf("row %s: %s: %d of %s", f.row, what, n, who)
		}
	}
}

// A frozen node's members are gone within the lease and a sweep. When it awakes,
// each comes back once.
func nodeFrozen(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3})
	frozen := f.nodes[0]
	members := presences(ask[report](f, frozen, "report", 0))
	awake := f.excuse(0)
	start := time.Now()
	frozen.Freeze()
	frozen.away = true
	f.healed(start, swept, "gone")
	frozen.Thaw()
	frozen.away = false
	thawed := time.Now()
	f.healed(thawed, lease+slack, "back")
	awake()
	left, came := f.departed(frozen, start, "change", members, members)
	f.exactly("departures told to handlers", left, members)
	f.exactly("returns told to handlers", came, members)
	f.finish()
}

// A second process with the id of a living one is refused, and harms nobody. Once
// the first is dead, its id can be had.
func nodeTwice(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 1})
	twin := setup{nodes: 2, args: nodeArgs{ID: "twin"}}
	first := f.start(twin)
	ask[string](f, first, "ready", 0)
	f.join(1, joining{User: "ana", Rooms: rooms})
	f.load()
	start := time.Now()
	second := f.start(twin)
	f.nodes = f.nodes[:2]
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := second.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if told := redistest.Events[event](second.Proc); len(told) != 1 || told[0].Kind != "refused" {
		t.Errorf("row %s: the second process told %v", r, told)
	}
	f.calm()
	f.healed(start, 2*time.Second+slack, "")
	first.base = f.nodes[0].base // it came when people were in
	f.finish()
}

// Nodes end by a signal, under load and with Redis away, in bounded time. They
// take their members with them at once, or else by their lease.
func nodeShutDown(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 4})
	f.load()
	last(500 * time.Millisecond)
	f.end(0, "under load", time.Second)
	f.calm()
	f.healed(time.Now(), slack, "under load")
	left, _ := f.departures(f.nodes[0], f.nodes[0].killed, "change")
	for who, n := range left {
		if n != 1 {
			t.Errorf("row %s: %d departures of %s", r, n, who)
		}
	}

	// Redis comes back empty, so that no sweep finds the members: views let them go
	// when the node has had the time to come back.
	f.s.Kill()
	f.end(1, "Redis down", callBound)
	f.s.Start()
	f.healed(time.Now(), forgiven, "Redis down")

	f.s.Freeze()
	f.end(2, "Redis frozen", callBound)
	f.s.Thaw()
	f.healed(time.Now(), 2*lease+sweep+slack, "Redis frozen")
	f.finish()
}

// end ends a node by a signal, and sees that it does within a bound.
func (f *fleet) end(i int, how string, bound time.Duration) {
	f.t.Helper()
	m := f.nodes[i]
	start := time.Now()
	m.Term()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	if err := m.Wait(ctx); err != nil {
		f.t.Error(err)
	}
	m.killed = start
	took := time.Since(start)
	if took > bound+slack+m.stood(start) {
		f.t.Errorf("row %s: ended %s in %v", f.row, how, took)
	}
	f.note(fmt.Sprint(" ", how), "ended in", took, bound+slack)
}
