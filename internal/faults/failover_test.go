package faults_test

import (
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

var failoverRows = []row{
	{"05", "a failover loses writes", failoverLosesWrites, everywhere},
	{"10", "a subscriber is deaf", deafSubscriber, everywhere},
	{"13", "a master is replaced", masterReplaced, replacing}, // a server alone has nobody who would do it
}

// What the replica has not been told is lost: joins come back, and so do leaves,
// which go again.
func failoverLosesWrites(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3, replicas: true})
	f.rewound = true
	f.load()
	last(500 * time.Millisecond)
	f.s.deafen()
	mark := f.mark()
	last(lease / 3)
	f.s.failOver((*redistest.Server).Kill)
	over := time.Now()
	f.lost(mark)
	f.calm()
	f.healed(over, 2*back, "under load")

	f.s.rejoin((*redistest.Server).Start)
	f.s.deafen()
	mark = f.mark()
	f.load()
	last(lease / 3)
	f.calm()
	f.s.failOver((*redistest.Server).Kill)
	over = time.Now()
	f.lost(mark)
	f.healed(over, 2*back, "in silence")
	f.finish()
}

// mark writes a key where the first of the rooms is.
func (f *fleet) mark() string {
	f.t.Helper()
	reader, err := presence.NewReader(f.t.Context(), f.client, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	mark := "mark of " + reader.Store().Room(rooms[0])
	if err := f.client.Set(f.t.Context(), mark, "", 0).Err(); err != nil {
		f.t.Fatal(err)
	}
	return mark
}

// lost sees that a key has been lost, as what was written since.
func (f *fleet) lost(mark string) {
	f.t.Helper()
	client := f.s.NewClient(f.t) // that does not ask the old master
	if n, err := client.Exists(f.t.Context(), mark).Result(); err != nil || n != 0 {
		f.t.Errorf("row %s: nothing was lost: %d, %v", f.row, n, err)
	}
}

// Subscriptions stay with a master that has become a replica of nobody, and hear
// nothing, while commands find the new one. A cluster and Sentinel demote a master in
// good order.
func deafSubscriber(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3, replicas: true})
	f.rewound = true
	f.load()
	last(500 * time.Millisecond)
	f.s.demote()
	over := time.Now()
	last(200 * time.Millisecond)
	f.calm()
	f.healed(over, 2*back, "")
	f.finish()
}

// The cluster, or Sentinel, replaces a master that has been killed, and one that is
// frozen: when it awakes, it is a master until it is told.
func masterReplaced(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3})
	f.rewound = true
	for _, c := range []struct {
		what       string
		end, begin func(*redistest.Server)
	}{
		{"killed", (*redistest.Server).Kill, (*redistest.Server).Start},
		{"frozen", (*redistest.Server).Freeze, (*redistest.Server).Thaw},
	} {
		f.load()
		last(500 * time.Millisecond)
		f.s.failOver(c.end)
		over := time.Now()
		f.calm()
		f.healed(over, 2*back, c.what)
		f.load()
		f.s.rejoin(c.begin)
		over = time.Now()
		f.calm()
		f.healed(over, back, c.what+", then back")
	}
	f.finish()
}
