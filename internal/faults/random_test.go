package faults_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

var (
	randomFor  = flag.Duration("faults.for", 0, "how long to mix faults at random; 0: one history")
	randomSeed = flag.Uint64("faults.seed", 0, "mix this history of faults alone")
)

var randomRows = []row{
	{"32", "everything at random", everything, everywhere},
}

// everything runs histories of random faults under load: one that has shown a bug,
// or where there are more servers one in which those fail too; and new ones as long
// as asked for.
func everything(t *testing.T, r run) {
	seeds := []uint64{1}
	if r.name != server.name {
		seeds = []uint64{4}
	}
	if *randomSeed != 0 {
		seeds = []uint64{*randomSeed}
	}
	start := time.Now()
	for _, seed := range seeds {
		mixed(t, r, seed)
	}
	for *randomSeed == 0 && time.Since(start) < *randomFor {
		mixed(t, r, rand.Uint64())
	}
}

// mix is a fleet behind links, on masters with replicas.
type mix struct {
	*fleet
	random *rand.Rand
	setup  setup
}

func mixed(t *testing.T, r run, seed uint64) {
	t.Run(fmt.Sprint(seed), func(t *testing.T) {
		m := &mix{random: rand.New(rand.NewPCG(seed, 32)), setup: setup{nodes: 4, linked: true, replicas: true}}
		m.fleet = newFleet(t, r, m.setup)
		m.rewound = true
		for range 4 {
			m.round()
			if t.Failed() {
				t.Logf("again with -faults.seed %d", seed)
				return
			}
		}
		m.finish()
		if t.Failed() {
			t.Logf("again with -faults.seed %d", seed)
		}
	})
}

// round has one or two faults at once, and sees that all is right after them.
func (m *mix) round() {
	m.t.Helper()
	m.load()
	last(m.upTo(lease / 2))
	what := m.wreck()
	over := time.Now()
	m.calm()
	m.replace()
	m.settled(over, forgiven+back, what)
}

// settled is healed, but that a node which others may take for lost may still be
// swept at the moment at which it comes back.
func (m *mix) settled(since time.Time, bound time.Duration, what string) {
	m.t.Helper()
	what = " " + what
	for {
		took := m.agreed(since, bound, what)
		wrong := false
		during(brief, brief/4, func() { wrong = wrong || m.agree() != nil })
		if !wrong {
			m.note(what, "healed in", took, bound)
			return
		}
	}
}

// wreck causes faults, mends them, and returns their names.
func (m *mix) wreck() string {
	what := ""
	var mends []func()
	for i, of := 0, append(ofNodes[:len(ofNodes):len(ofNodes)], ofRedis...); i <= m.random.IntN(2); i, of = i+1, ofNodes {
		f := of[m.random.IntN(len(of))]
		what += ", " + f.name
		m.t.Logf("row %s: %s", m.row, f.name)
		if mend := f.cause(m); mend != nil {
			mends = append(mends, mend)
		}
		last(m.upTo(lease * 3 / 2))
	}
	for _, mend := range mends {
		mend()
	}
	return what[2:]
}

// replace starts nodes in place of those that were killed, as a supervisor does.
func (m *mix) replace() {
	m.t.Helper()
	for range m.setup.nodes - len(m.living()) {
		fresh := m.start(m.setup)
		fresh.base = m.nodes[0].base
	}
}

func (m *mix) upTo(d time.Duration) time.Duration { return time.Duration(m.random.Int64N(int64(d))) }

// any is a living node by chance.
func (m *mix) any() (int, *member) {
	for {
		i := m.random.IntN(len(m.nodes))
		if n := m.nodes[i]; !n.away && n.killed.IsZero() {
			return i, n
		}
	}
}

// cut breaks the network of a node, which others may take for lost.
func cut(how func(l *redistest.Link)) func(m *mix) func() {
	return func(m *mix) func() {
		i, n := m.any()
		back := m.excuse(i)
		how(n.link)
		return func() {
			n.link.Heal()
			back()
		}
	}
}

// fault breaks something, and returns what mends it, if that needs to be done.
type fault struct {
	name  string
	cause func(m *mix) (mend func())
}

// ofNodes are faults of a node or its network, of which several fit together.
var ofNodes = []fault{
	{"a node is killed", func(m *mix) func() {
		if len(m.living()) > 2 {
			i, _ := m.any()
			m.kill(i)
		}
		return nil
	}},
	{"a node is frozen", func(m *mix) func() {
		i, n := m.any()
		back := m.excuse(i)
		n.Freeze()
		n.away = true
		return func() {
			n.Thaw()
			n.away = false
			back()
		}
	}},
	{"a link swallows", cut(func(l *redistest.Link) { l.Swallow(redistest.Both) })},
	{"a link swallows commands", cut(func(l *redistest.Link) { l.Swallow(redistest.Up) })},
	{"a link swallows replies", cut(func(l *redistest.Link) { l.Swallow(redistest.Down) })},
	{"a link is cut", cut(func(l *redistest.Link) { l.Cut() })},
	{"a link is frozen", cut(func(l *redistest.Link) { l.Freeze(redistest.Both) })},
	{"a link is slow", func(m *mix) func() {
		_, n := m.any()
		n.link.Delay(30*time.Millisecond, 30*time.Millisecond)
		return n.link.Heal
	}},
}

// ofRedis are faults of the server, one at a time.
var ofRedis = []fault{
	{"subscribers drop", func(m *mix) func() { m.s.KillClients("pubsub"); return nil }},
	{"clients drop", func(m *mix) func() { m.s.KillClients("normal"); return nil }},
	{"FLUSHALL", func(m *mix) func() { m.s.Flush(); return nil }},
	{"SCRIPT FLUSH", func(m *mix) func() { m.s.ScriptFlush(); return nil }},
	{"Redis restarts empty", func(m *mix) func() { m.s.Kill(); return m.s.Start }},
	{"Redis restarts", func(m *mix) func() { m.s.Stop(); return m.s.Start }},
	{"Redis is frozen", func(m *mix) func() { m.s.Freeze(); return m.s.Thaw }},
	{"Redis is out of memory", func(m *mix) func() { return m.s.SetConfig("maxmemory", "1") }},
	{"a failover loses writes", func(m *mix) func() {
		m.s.deafen()
		last(m.upTo(lease / 2))
		m.s.failOver((*redistest.Server).Kill)
		m.s.rejoin((*redistest.Server).Start)
		return nil
	}},
}
