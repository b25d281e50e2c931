package faults_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

func startCluster(t *testing.T, _ setup) *deployment {
	s := redistest.ClusterWithReplicas(t, "--cluster-node-timeout", milliseconds(patient))
	return &deployment{Server: s, replicas: &clustered{t: t, s: s}, processes: 2 * s.Nodes()}
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// clustered is the master of a cluster that has the first of the rooms, which the
// others replace.
type clustered struct {
	t     *testing.T
	s     *redistest.Server
	mends []func() // when the replica is a master
}

func (c *clustered) master() int {
	c.t.Helper()
	reader, err := presence.NewReader(c.t.Context(), c.s.NewClient(c.t), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.s.Owner(c.s.Slot(reader.Store().Room(rooms[0])))
}

func (c *clustered) deafen() {
	c.t.Helper()
	i := c.master()
	c.mends = append(c.mends, deafened(c.s.Node(i), c.s.Replica(i)))
}

func (c *clustered) failOver(end func(*redistest.Server)) {
	c.t.Helper()
	i := c.master()
	for j := range c.s.Nodes() {
		c.hasten(c.s.Replica(j))
		if j != i {
			c.hasten(c.s.Node(j))
		}
	}
	end(c.s.Node(i))
	c.s.AwaitFailOver(i)
	for _, mend := range c.mends {
		mend()
	}
	c.mends = nil
}

func (c *clustered) hasten(s *redistest.Server) {
	c.t.Helper()
	c.mends = append(c.mends, s.SetConfig("cluster-node-timeout", milliseconds(impatient)))
}

func (c *clustered) rejoin(begin func(*redistest.Server)) {
	c.t.Helper()
	i := c.master()
	begin(c.s.Replica(i))
	c.s.AwaitReplica(i)
}

// demote has the former master end its subscriptions, and keep its connections.
func (c *clustered) demote() {
	c.t.Helper()
	c.s.FailOver(c.master())
}
