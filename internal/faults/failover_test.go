package faults_test

import (
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

var failoverRows = []row{
	{"05", "a failover loses writes", failoverLosesWrites},
	{"10", "a subscriber is deaf", deafSubscriber},
}

// What the replica has not been told is lost: joins come back, and so do leaves,
// which go again.
func failoverLosesWrites(t *testing.T, number string) {
	pair := redistest.Replicated(t)
	f := newFleet(t, pair.Server, number, setup{nodes: 3})
	f.rewound = true
	f.load()
	last(500 * time.Millisecond)
	pair.Stream.Cut()
	last(lease / 3)
	pair.FailOver()
	over := time.Now()
	f.calm()
	f.healed(over, 2*back, "under load")

	pair.Rejoin()
	pair.Sync()
	pair.Stream.Cut()
	f.load()
	last(lease / 3)
	f.calm()
	pair.FailOver()
	f.healed(time.Now(), 2*back, "in silence")
	f.finish()
}

// Subscriptions stay with a master that has become a replica of nobody, and hear
// nothing, while commands find the new one.
func deafSubscriber(t *testing.T, number string) {
	pair := redistest.Replicated(t)
	f := newFleet(t, pair.Server, number, setup{nodes: 3})
	f.rewound = true
	f.load()
	last(500 * time.Millisecond)
	pair.Promote()
	pair.Replica.ReadOnly()
	pair.Replica.KillClients("normal")
	over := time.Now()
	last(200 * time.Millisecond)
	f.calm()
	f.healed(over, 2*back, "")
	f.finish()
}
