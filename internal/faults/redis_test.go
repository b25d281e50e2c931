package faults_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

var redisRows = []row{
	{"03", "Redis restarts empty", redisRestarted, everywhere},
	{"04", "FLUSHALL", redisFlushed, everywhere},
	{"06", "Redis pauses", redisPauses, everywhere},
	{"07", "a busy script", redisBusy, everywhere},
	{"11", "SCRIPT FLUSH", scriptsFlushed, everywhere},
	{"18", "out of memory", outOfMemory, everywhere},
	{"19", "keys are evicted", evicted, everywhere},
	{"20", "Redis refuses", redisRefuses, everywhere},
}

// outage is for how long Redis is away: longer than a lease, so that all would
// expire if that time counted.
const outage = lease * 5 / 4

// back is when all is right after Redis has been away: the nodes ask for it every
// quarter of a second, and write again what is missing.
const back = lease + slack

// Replicas, which still have the data, cannot take over while no master is there, and
// then copy from their masters that there is none.
func redisRestarted(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3})
	f.load()
	last(time.Second)
	mark := f.mark()
	f.s.Kill()
	last(outage)
	f.s.Start()
	up := time.Now()
	f.lost(mark)
	f.calm()
	f.healed(up, 2*back, "")
	f.finish()
}

func redisFlushed(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3})
	f.load()
	last(time.Second)
	f.s.Flush()
	flushed := time.Now()
	last(200 * time.Millisecond)
	f.calm()
	f.healed(flushed, 2*back, "under load")
	f.s.Flush() // and when nobody writes
	f.healed(time.Now(), 2*back, "in silence")
	f.finish()
}

func redisPauses(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3})
	for what, pause := range map[string]func(){
		"DEBUG SLEEP":  func() { f.s.DebugSleep(outage); last(outage) },
		"CLIENT PAUSE": func() { f.s.ClientPause(outage); last(outage) },
		"kill -STOP":   func() { f.s.Freeze(); last(outage); f.s.Thaw() },
	} {
		f.load()
		last(300 * time.Millisecond)
		pause()
		over := time.Now()
		f.calm()
		f.healed(over, 2*back, what)
	}
	f.finish()
}

func redisBusy(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3})
	f.load()
	last(300 * time.Millisecond)
	f.s.BusyScript()
	last(outage)
	f.s.ScriptKill()
	over := time.Now()
	f.calm()
	f.healed(over, 2*back, "")
	f.finish()
}

func scriptsFlushed(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3})
	f.load()
	during(2*time.Second, 10*time.Millisecond, f.s.ScriptFlush)
	over := time.Now()
	f.calm()
	f.healed(over, back, "")
	f.finish()
}

// Who leaves while Redis is out of memory is gone at once, and who died is swept.
func outOfMemory(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3})
	f.load()
	last(300 * time.Millisecond)
	restore := f.s.SetConfig("maxmemory", "1")
	last(outage) // no touch and no lease is lost by it
	f.calm()
	start := time.Now()
	for _, m := range f.nodes {
		ask[int](f, m, "empty", 0)
	}
	f.healed(start, callBound, "removals")
	restore()
	f.join(2, joining{User: "ana", Rooms: rooms})
	restore = f.s.SetConfig("maxmemory", "1")
	f.kill(2)
	f.healed(f.nodes[2].killed, swept, "a node is killed")
	restore()
	over := time.Now()
	f.load()
	last(300 * time.Millisecond)
	f.calm()
	f.healed(over, back+slack, "after")
	f.finish()
}

func redisRefuses(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3})
	away := outage
	for _, c := range []struct {
		what   string
		refuse func() (mend func())
	}{
		{"READONLY", func() func() { f.s.ReadOnly(); return f.s.Promote }}, // row 10 has what a cluster does instead
		{"LOADING", func() func() { f.s.Load(away); return func() {} }},
		{"MISCONF", func() func() { f.s.BreakDisk(); return f.s.MendDisk }},
		{"NOREPLICAS", func() func() { return f.s.SetConfig("min-replicas-to-write", "9") }},
		{"NOAUTH", func() func() {
			mend := f.s.SetConfig("requirepass", "secret")
			f.s.DropClients()
			return mend
		}},
	} {
		if c.what == "READONLY" && f.s.IsCluster() {
			continue
		}
		f.load()
		last(300 * time.Millisecond)
		mend := c.refuse()
		last(away)
		away = lease / 2 // no need to wait for leases each time
		mend()
		over := time.Now()
		f.calm()
		f.healed(over, 2*back, c.what)
	}
	f.finish()
}

// Redis throws keys out to make room, whole ones and at random. What is lost is
// added again, and no half of a member stays.
func evicted(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3})
	f.load()
	last(300 * time.Millisecond)
	f.s.SetConfig("maxmemory-policy", "allkeys-random")
	before, err := f.client.DBSize(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	var restore []func()
	for i := range f.s.Nodes() { // no more than it has now
		master := f.s.Node(i)
		used, err := statistic(t.Context(), master.NewClient(t), "used_memory")
		if err != nil {
			t.Fatal(err)
		}
		restore = append(restore, master.SetConfig("maxmemory", fmt.Sprint(used)))
	}
	redistest.Eventually(t, patience, func() error {
		n, err := statistic(t.Context(), f.client, "evicted_keys")
		if err == nil && n < int(before)/2 {
			err = fmt.Errorf("%d keys evicted", n)
		}
		return err
	})
	for _, end := range restore {
		end()
	}
	over := time.Now()
	f.calm()
	f.healed(over, rolled, "")
	f.finish()
}

// rolled is when each node has asserted again all that it holds, in the
// background: five max ages.
const rolled = 5*maxAge + back
