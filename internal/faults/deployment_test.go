package faults_test

import (
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// kind is a way to run Redis.
type kind struct {
	name  string
	start func(t *testing.T, c setup) *deployment
}

var (
	server   = kind{"server", startServer}
	cluster  = kind{"cluster", startCluster}     // three masters with a replica each
	sentinel = kind{"sentinel", startUnderWatch} // a master and a replica behind Sentinel

	everywhere = []kind{server, cluster, sentinel}
	replacing  = []kind{cluster, sentinel} // where others replace a master that is away
)

// deployment is a Redis that runs. Faults are its masters': an outage is shorter
// than what it takes until one is replaced, but for failOver.
type deployment struct {
	*redistest.Server
	replicas           // nil: it has none
	sentinels []string // whom clients ask for the master
	processes int      // to which a client may have a pool of connections each
}

// replicas are what takes the place of a master.
type replicas interface {
	// deafen has a replica hear nothing of what its master writes from now on,
	// until it has become a master and its former one is back.
	deafen()
	// failOver ends its master, and returns when the replica has taken its place.
	failOver(end func(*redistest.Server))
	// rejoin begins what was the master again, as the replica of its successor.
	rejoin(begin func(*redistest.Server))
	// demote makes the two change places while the master lives.
	demote()
}

// patient is for how long a master is waited for, and impatient for how long one
// that failOver has ended.
const (
	patient   = time.Minute
	impatient = 2 * time.Second
)

// deafened cuts a replica off from its master: a wrong password keeps it from
// coming back.
func deafened(master, replica *redistest.Server) (mend func()) {
	mend = replica.SetConfig("masterauth", "wrong")
	master.KillClients("replica")
	return mend
}

func startServer(t *testing.T, c setup) *deployment {
	if !c.replicas {
		return &deployment{Server: redistest.Real(t), processes: 1}
	}
	p := redistest.Replicated(t)
	return &deployment{Server: p.Server, replicas: pair{p}, processes: 1}
}

// pair is replaced by who operates it.
type pair struct{ *redistest.Pair }

func (p pair) deafen() { p.Stream.Cut() }

func (p pair) failOver(end func(*redistest.Server)) {
	end(p.Server)
	p.Promote()
	p.Address.Drop()
}

func (p pair) rejoin(begin func(*redistest.Server)) {
	begin(p.Replica)
	p.Rejoin()
	p.Sync()
}

// demote leaves those who are subscribed to the former master with it.
func (p pair) demote() {
	p.Promote()
	p.Replica.ReadOnly()
	p.Replica.KillClients("normal")
}
