package redistest

import (
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// Main is the TestMain of a package: it runs the tests, fails if a goroutine
// outlives them, and owns the cluster that [EachWithCluster] hands from test to
// test. In a child of [Process] it runs the child's role instead.
func Main(m *testing.M, roles ...Role) {
	runChild(roles)
	shared.open()
	goleak.VerifyTestMain(suite{m})
}

// suite closes the shared cluster before goleak looks for goroutines.
type suite struct{ m *testing.M }

func (s suite) Run() int {
	defer shared.close()
	return s.m.Run()
}

// shared is global because a TestMain and its tests have nothing else in
// common.
var shared clusterPool

// A clusterPool lends one cluster to one test at a time.
type clusterPool struct {
	lent  sync.Mutex // held while a test has the cluster
	ready bool
	nodes []*process // nil until the first loan, and after a spoiled one
}

// A lease is one test's time with the shared cluster.
type lease struct {
	spoiled bool // by a fault: nobody else should get it
}

func (p *clusterPool) open() { p.ready = true }

func (p *clusterPool) close() {
	p.lent.Lock()
	defer p.lent.Unlock()
	for _, n := range p.nodes {
		n.close()
	}
	p.nodes, p.ready = nil, false
}

// sharedCluster returns the shared cluster, emptied, until t ends. In a package
// without [Main] it returns one that nobody shares.
func sharedCluster(t testing.TB) *Server {
	t.Helper()
	if !shared.ready {
		return Cluster(t)
	}
	path := serverPath(t)
	shared.lent.Lock()
	l := &lease{}
	t.Cleanup(func() {
		// A failed test may leave anything behind.
		if l.spoiled || t.Failed() {
			finishAll(t, shared.nodes)
			shared.nodes = nil
		}
		shared.lent.Unlock()
	})
	if shared.nodes == nil {
		nodes, err := startCluster(path, clusterSize, clusterSize, clusterArgs(nil))
		if err != nil {
			t.Fatalf("start cluster: %v", err)
		}
		shared.nodes = nodes
	}
	s := clusterServer(t, shared.nodes[:clusterSize], shared.nodes[clusterSize:])
	s.lease = l
	s.Flush()
	return s
}
