package redistest

// The methods below break a server and mend it again. On a cluster they do so
// to every master; use [Server.Node] to choose one.

// Node returns the i-th process alone, for faults that hit one master of a
// cluster. A server that is no cluster has one, number 0.
func (s *Server) Node(i int) *Server {
	s.t.Helper()
	if i < 0 || i >= len(s.nodes) {
		s.t.Fatalf("node %d of %d", i, len(s.nodes))
	}
	n := s.nodes[i]
	name := s.name
	if s.Real() {
		name = realName
	}
	return &Server{Addrs: []string{n.address()}, t: s.t, name: name, nodes: []node{n}, mini: s.mini, lease: s.lease}
}

// Nodes returns the number of processes that [Server.Node] can choose from.
func (s *Server) Nodes() int { return len(s.nodes) }

// PID returns the process id of the first node, 0 if that is a miniredis or is
// not running.
func (s *Server) PID() int { return s.nodes[0].pid() }

// Stop shuts the server down in good order and keeps its data for Start.
// Connections are refused until then. Stopping a stopped server does nothing.
func (s *Server) Stop() { s.fault("stop", node.stop) }

// Kill ends the server at once, as kill -9 does, and its data is lost.
// A master of a cluster forgets its data, not its slots.
func (s *Server) Kill() { s.fault("kill", node.kill) }

// Start starts a stopped or killed server on the address it had, and returns
// once it answers. Like a new process it has no scripts cached. Starting a
// running server does nothing.
func (s *Server) Start() {
	s.t.Helper()
	s.fault("start", node.start)
	if s.IsCluster() {
		if err := clusterReady(s.processes()); err != nil {
			s.t.Fatalf("start: %v", err)
		}
	}
}

// Restart stops and starts the server: without its data if empty is true.
func (s *Server) Restart(empty bool) {
	s.t.Helper()
	if empty {
		s.Kill()
	} else {
		s.Stop()
	}
	s.Start()
}

// Freeze makes the server stop working without closing a connection, as
// kill -STOP does: new connections open, and no command is answered.
func (s *Server) Freeze() { s.fault("freeze", node.freeze) }

// Thaw lets a frozen server go on. What was sent meanwhile is then executed.
func (s *Server) Thaw() { s.fault("thaw", node.thaw) }

// DropClients closes all connections that clients have open, subscribers' too.
// New ones are accepted.
func (s *Server) DropClients() {
	s.t.Helper()
	s.each("drop clients of", node.dropClients)
}

// fault is each for what the next user of a shared cluster could notice.
func (s *Server) fault(verb string, f func(node) error) {
	s.t.Helper()
	s.spoil()
	s.each(verb, f)
}

// spoil tells that nobody else should get this server after the test.
func (s *Server) spoil() {
	if s.lease != nil {
		s.lease.spoiled = true
	}
}

func (s *Server) each(verb string, f func(node) error) {
	s.t.Helper()
	for _, n := range s.nodes {
		if err := f(n); err != nil {
			s.t.Fatalf("%s %s: %v", verb, n.address(), err)
		}
	}
}
