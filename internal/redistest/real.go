package redistest

import "testing"

const realName = "redis"

// Real starts a redis-server on a free loopback port, without persistence. Args
// are added to its command line, as in Real(t, "--maxclients", "20").
func Real(t testing.TB, args ...string) *Server {
	t.Helper()
	p, err := newProcess(serverPath(t), func(string) ([]string, error) { return args, nil })
	if err != nil {
		t.Fatalf("start redis: %v", err)
	}
	t.Cleanup(func() { finish(t, p) })
	return single(t, p)
}

func single(t testing.TB, p *process) *Server {
	return &Server{Addrs: []string{p.address()}, t: t, name: realName, nodes: []node{p}}
}

func serverPath(t testing.TB) string {
	t.Helper()
	return RequireProgram(t, "redis-server", "valkey-server")
}

// finish closes p, and shows its log if the test failed.
func finish(t testing.TB, p *process) {
	if t.Failed() {
		t.Logf("log of redis-server %s:\n%s", p.address(), p.tail())
	}
	p.close()
}

func finishAll(t testing.TB, processes []*process) {
	for _, p := range processes {
		finish(t, p)
	}
}
