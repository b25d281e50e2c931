package redistest

import (
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Main is the TestMain of a package: it runs the tests, fails if a goroutine
// outlives them, and owns the cluster and the Sentinel set-up that [Each] hands
// from test to test. In a child of [Process] it runs the child's role instead.
func Main(m *testing.M, roles ...Role) {
	runChild(roles)
	goleak.VerifyTestMain(suite{m})
}

// suite closes what is shared before goleak looks for goroutines.
type suite struct{ m *testing.M }

func (s suite) Run() int {
	code := s.run()
	if code == 0 {
		// What is about to end may need longer than goleak itself waits.
		_ = poll(patience, func() error { return goleak.Find() })
	}
	return code
}

func (s suite) run() int {
	for _, p := range []*pool{&sharedCluster, &sharedSentinel} {
		p.kept = true
		defer p.close()
	}
	return s.m.Run()
}

// unmoved are the arguments of a cluster in which nobody takes a master's place,
// and a busy machine is no reason to take one for dead.
var unmoved = []string{"--cluster-replica-no-failover", "yes", "--cluster-node-timeout", "60000"}

// The pools are global because a TestMain and its tests have nothing else in
// common. In theirs nobody takes a master's place, so that a test which stops one
// has to do with that alone.
var (
	sharedCluster = pool{
		start: func(path string) ([]*process, error) {
			return startCluster(path, clusterSize, clusterSize, clusterArgs(unmoved))
		},
		server: func(t testing.TB, nodes []*process) *Server {
			return clusterServer(t, nodes[:clusterSize], nodes[clusterSize:])
		},
	}
	sharedSentinel = pool{
		start:  func(path string) ([]*process, error) { return startSentinels(path, time.Hour) },
		server: func(t testing.TB, processes []*process) *Server { return newWatched(t, processes).Server() },
	}
)

// A pool lends one server to one test at a time.
type pool struct {
	start  func(path string) ([]*process, error)
	server func(testing.TB, []*process) *Server

	kept      bool       // from test to test
	lent      sync.Mutex // held while a test has the server
	processes []*process // none until the first loan, and after a spoiled one
}

// A lease is one test's time with a shared server.
type lease struct {
	spoiled bool // by a fault: nobody else should get it
}

func (p *pool) close() {
	p.lent.Lock()
	defer p.lent.Unlock()
	for _, process := range p.processes {
		process.close()
	}
	p.processes, p.kept = nil, false
}

// lend returns the server, emptied, until t ends. In a package without [Main] it
// is one that nobody shares.
func (p *pool) lend(t testing.TB) *Server {
	t.Helper()
	path := serverPath(t)
	p.lent.Lock()
	l := &lease{}
	t.Cleanup(func() {
		// A failed test may leave anything behind.
		if l.spoiled || t.Failed() || !p.kept {
			finishAll(t, p.processes)
			p.processes = nil
		}
		p.lent.Unlock()
	})
	if p.processes == nil {
		var err error
		if p.processes, err = p.start(path); err != nil {
			t.Fatalf("start shared server: %v", err)
		}
	}
	s := p.server(t, p.processes)
	s.lease = l
	s.Flush()
	return s
}
