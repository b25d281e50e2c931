package simulation_test

import (
	"slices"
	"strings"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// fault breaks something, and returns how to mend it and after how long.
type fault struct {
	name  string
	cause func(f *fleet) (mend func(), after time.Duration)
}

var once = func() {}

// faults of one node's process or network, and of Redis.
var faults = []fault{
	{"crash", func(f *fleet) (func(), time.Duration) {
		i := f.rand.IntN(nodes)
		f.log("crash n%d", i)
		f.nodes[i].crash()
		f.nodes[i] = f.start(i)
		return once, 0
	}},
	{"deploy", func(f *fleet) (func(), time.Duration) {
		i := f.rand.IntN(nodes)
		f.log("deploy n%d", i)
		f.nodes[i].deploy()
		f.nodes[i] = f.start(i)
		return once, 0
	}},
	{"freeze", func(f *fleet) (func(), time.Duration) {
		n := f.any()
		n.fault()
		n.link.Freeze(redistest.Both)
		return n.heal, f.upTo(40 * time.Second)
	}},
	{"swallow", func(f *fleet) (func(), time.Duration) {
		n := f.any()
		n.fault()
		n.link.Swallow([]redistest.Direction{redistest.Both, redistest.Up, redistest.Down}[f.rand.IntN(3)])
		return n.heal, f.upTo(40 * time.Second)
	}},
	{"cut", func(f *fleet) (func(), time.Duration) {
		n := f.any()
		n.fault()
		n.link.Cut()
		return n.heal, f.upTo(30 * time.Second)
	}},
	{"drop", func(f *fleet) (func(), time.Duration) {
		f.any().link.Drop()
		return once, 0
	}},
	{"drop all", func(f *fleet) (func(), time.Duration) {
		f.s.DropClients()
		return once, 0
	}},
	{"flush", func(f *fleet) (func(), time.Duration) {
		f.s.Flush()
		return once, 0
	}},
	{"restart empty", func(f *fleet) (func(), time.Duration) {
		f.s.Kill()
		return f.s.Start, f.upTo(30 * time.Second)
	}},
	{"restart", func(f *fleet) (func(), time.Duration) {
		f.s.Stop()
		return f.s.Start, f.upTo(90 * time.Second)
	}},
	{"Redis freezes", func(f *fleet) (func(), time.Duration) {
		f.s.Freeze()
		return f.s.Thaw, f.upTo(90 * time.Second)
	}},
	{"evict", func(f *fleet) (func(), time.Duration) {
		if keys := f.s.Mini().Keys(); len(keys) > 0 {
			key := keys[f.rand.IntN(len(keys))]
			name := strings.TrimPrefix(key, "presence:{0}:")
			kind, node, _ := strings.Cut(name, ":")
			if kind == "index" {
				f.lossy[node], f.rolled = true, true
			}
			f.damaged = f.damaged || slices.Contains(ofNodes, kind) && time.Since(f.crashed) < settled
			f.damaged = f.damaged || slices.Contains(mendable, kind) || slices.Contains(mendable, name)
			f.log("evict %q", key)
			f.s.Mini().Del(key)
		}
		return once, 0
	}},
	{"clock jumps", func(f *fleet) (func(), time.Duration) {
		f.skew += f.upTo(20 * time.Second) // who is silent for longer could not be told from the dead
		f.log("Redis's clock is %v ahead", f.skew)
		f.s.SkewClock(f.skew)
		return once, 0
	}},
}

// mendable are the keys that no node knows to be missing, and an operator's
// Checker puts back. Of a room that is lost the claims are, of those who leave before
// they were asserted again.
var mendable = []string{"meta", "rooms", "empty", "users", "grace", "exclusive", "room:" + sessions}

// ofNodes are those without which nothing tells that a node crashed, or what it held,
// until it is swept.
var ofNodes = []string{"nodes", "node", "presences", "index"}

func (f *fleet) upTo(d time.Duration) time.Duration { return rand2(f.rand, d) }
