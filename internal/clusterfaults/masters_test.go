package clusterfaults_test

import (
	"errors"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// partly keeps what is served from being refused with what is not.
var partly = []string{"--cluster-require-full-coverage", "no"}

// A master is killed with the last of its data, and its replica takes its place.
func TestAMasterIsKilled(t *testing.T) {
	slow(t)
	s := redistest.ClusterWithReplicas(t, partly...)
	f := newFleet(t, s, 3)
	end := f.mustServe(f.others(f.on(1)...)...)
	calm := f.load()
	lasts(time.Second)
	s.Node(1).Kill()
	s.AwaitFailOver(1)
	f.serves(1)
	calm()
	end()
	f.healed()
}

// A master changes places with its replica in good order.
func TestAMasterIsReplaced(t *testing.T) {
	slow(t)
	s := redistest.ClusterWithReplicas(t, partly...)
	f := newFleet(t, s, 3)
	end := f.mustServe(f.others(f.on(0)...)...)
	calm := f.load()
	for range 2 { // there and back
		lasts(500 * time.Millisecond)
		s.FailOver(0)
		f.serves(0)
	}
	calm()
	end()
	f.healed()
}

// A master is cut off from all others, but not from the fleet. What it is told
// until it notices is lost.
func TestAMasterIsCutOff(t *testing.T) {
	slow(t)
	s := redistest.ClusterWithReplicas(t, partly...)
	f := newFleet(t, s, 3)
	end := f.mustServe(f.others(f.on(2)...)...)
	calm := f.load()
	lasts(500 * time.Millisecond)
	s.Isolate(2)
	s.AwaitFailOver(2)
	f.serves(2)
	s.Reunite(2)
	s.AwaitReplica(2)
	lasts(500 * time.Millisecond)
	calm()
	end()
	f.healed()
}

// A part of the keyspace is away for longer than a lease and a hold, and lost at
// last. The rooms in the others do not notice.
func TestAPartIsDown(t *testing.T) {
	slow(t)
	s := redistest.Cluster(t, partly...)
	f := newFleet(t, s, 3)
	end := f.mustServe(f.others(f.on(0)...)...)
	calm := f.load()
	lasts(500 * time.Millisecond)
	s.Node(0).Kill()
	lasts(lease + hold + time.Second)
	s.Node(0).Start()
	f.serves(0)
	calm()
	end()
	f.healed()
}

// A part of the keyspace answers nothing, which takes longer to find out, for
// longer than max age.
func TestAPartIsFrozen(t *testing.T) {
	slow(t)
	s := redistest.Cluster(t, partly...)
	f := newFleetWith(t, s, 3, times{lease: lease, maxAge: 6 * time.Second})
	end := f.mustServe(f.others(f.on(1)...)...)
	calm := f.load()
	lasts(500 * time.Millisecond)
	s.Node(1).Freeze()
	lasts(8 * time.Second)
	s.Node(1).Thaw()
	f.serves(1)
	calm()
	end()
	f.healed()
}

// serves waits until all nodes write again to the shards of a master.
func (f *fleet) serves(master int) {
	f.t.Helper()
	start := time.Now()
	for _, shard := range f.on(master) {
		for _, n := range f.nodes {
			redistest.Eventually(f.t, patience, func() error {
				p, err := n.join("", []string{f.rooms[shard]})
				if err == nil {
					n.leave(p, 0)
				}
				return err
			})
		}
	}
	f.t.Logf("served again after %v", time.Since(start))
}

var errAway = errors.New("some shards are away")

// ready returns an error while a node takes any shard for away.
func (f *fleet) ready() error {
	for _, n := range f.nodes {
		if h := n.tracker.Health(); h.Cause != nil {
			return errors.Join(errAway, h.Cause)
		}
	}
	return nil
}
