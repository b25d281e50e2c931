package clusterfaults_test

import (
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// unfailing are the arguments of a cluster that takes no master for dead because the
// machine is busy.
var unfailing = []string{"--cluster-node-timeout", "60000"}

// A slot moves in a moment, back and forth, under load.
func TestASlotMigrates(t *testing.T) {
	slow(t)
	s := redistest.Cluster(t, unfailing...)
	f := newFleet(t, s, 3)
	const shard = 5
	end := f.mustServe(f.others(shard)...)
	calm := f.load()
	slot := f.slot(shard)
	for range 3 {
		s.MigrateSlot(slot, (s.Owner(slot)+1)%s.Nodes())
		lasts(500 * time.Millisecond)
	}
	calm()
	end()
	f.healed()
}

// A slot stands half way for longer than a lease and a hold.
func TestASlotStandsHalfWay(t *testing.T) {
	slow(t)
	s := redistest.Cluster(t, unfailing...)
	f := newFleet(t, s, 3)
	const shard = 9
	end := f.mustServe(f.others(shard)...)
	calm := f.load()
	slot := f.slot(shard)
	m := s.BeginMigration(slot, (s.Owner(slot)+1)%s.Nodes())
	for range 4 {
		m.Move(2)
		if err := f.nodes[0].reaches(f.rooms[shard], "half way", true); err != nil {
			t.Error("sent half way: ", err)
		}
		lasts((lease + hold + time.Second) / 4)
	}
	m.Finish()
	lasts(time.Second)
	calm()
	end()
	f.healed()
}

// A fourth master takes its share of the slots.
func TestAClusterGrows(t *testing.T) {
	slow(t)
	s := redistest.Cluster(t, unfailing...)
	f := newFleet(t, s, 3)
	calm := f.load()
	i := s.AddMaster()
	s.Rebalance()
	calm()
	if len(f.on(i)) < 3 {
		t.Errorf("it has the shards %v", f.on(i))
	}
	f.healed()
}
