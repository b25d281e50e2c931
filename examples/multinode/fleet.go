package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// freezeTime is how long a frozen node sleeps.
const freezeTime = 20 * time.Second

// The states of a node, as the page shows them.
const (
	starting = "starting"
	running  = "running"
	frozen   = "frozen"
	draining = "draining"
	drained  = "drained" // it said goodbye and ended
	crashed  = "crashed" // it ended without saying goodbye
)

var errUnknown = errors.New("there is no such node or action")

// fleet is what the supervisor knows of its nodes.
type fleet struct {
	settings settings
	terminal *terminal
	control  *control

	mu      sync.Mutex
	members []*member
	stopped bool
}

type member struct {
	number      int
	url         string
	id          string
	state       string
	since       time.Time
	connections int
	process     *process
	ready       chan error // the outcome of the first start; nil once it was sent
	thaw        *time.Timer
}

func newFleet(set settings, t *terminal) *fleet {
	f := &fleet{settings: set, terminal: t}
	for i := range set.nodes {
		f.members = append(f.members, &member{number: i + 1, url: "http://" + nodeAddress(set.port+i), state: crashed})
	}
	return f
}

// start starts every node and returns when all of them serve.
func (f *fleet) start(ctx context.Context) error {
	outcome := make(chan error, len(f.members))
	f.mu.Lock()
	for _, m := range f.members {
		m.ready = outcome
		if err := f.spawn(m); err != nil {
			f.mu.Unlock()
			return err
		}
	}
	f.mu.Unlock()
	for range f.members {
		select {
		case err := <-outcome:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// spawn starts m's process. The caller holds the lock.
func (f *fleet) spawn(m *member) error {
	config := nodeConfig{
		Number:  m.number,
		Redis:   f.settings.redis,
		MaxAge:  f.settings.maxAge,
		Control: f.control.url,
		Token:   f.control.token,
	}
	for _, each := range f.members {
		config.Fleet = append(config.Fleet, each.url)
	}
	p, err := startProcess(config, func(r nodeReport) { f.hear(m, r) })
	if err != nil {
		return err
	}
	m.process, m.id, m.connections = p, "", 0
	m.become(starting)
	go func() {
		<-p.done
		f.ended(m, p)
	}()
	return nil
}

func (m *member) become(state string) { m.state, m.since = state, time.Now() }

// tell settles the first start, once.
func (m *member) tell(err error) {
	if m.ready != nil {
		m.ready <- err
		m.ready = nil
	}
}

func (f *fleet) hear(m *member, r nodeReport) {
	if r.Line != "" {
		f.terminal.line(m.number, r.Line)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case r.Ready != "":
		m.id = r.Ready
		m.become(running)
		m.tell(nil)
	case r.Failed != "":
		if m.ready == nil {
			f.terminal.line(m.number, r.Failed)
		}
		m.tell(fmt.Errorf("node %d: %s", m.number, r.Failed))
	case r.Connections != nil:
		m.connections = *r.Connections
	}
}

func (f *fleet) ended(m *member, p *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.process != p {
		return // it has been started again
	}
	m.connections = 0
	if m.thaw != nil {
		m.thaw.Stop()
	}
	m.tell(fmt.Errorf("node %d ended before it served", m.number))
	if f.stopped {
		return
	}
	switch m.state {
	case draining:
		m.become(drained)
		f.terminal.line(m.number, "has drained and ended")
	case crashed:
		f.terminal.line(m.number, "was killed")
	default: // somebody else's kill -9, or a fault
		m.become(crashed)
		f.terminal.line(m.number, "ended: "+p.cmd.ProcessState.String())
	}
}

// act does to a node what a button of the page asks for.
func (f *fleet) act(number int, action string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if number < 1 || number > len(f.members) {
		return errUnknown
	}
	m := f.members[number-1]
	wrong := fmt.Errorf("node %d is %s", number, m.state)
	switch action {
	case "crash":
		if m.state != running && m.state != frozen && m.state != draining {
			return wrong
		}
		m.become(crashed)
		m.process.kill()
	case "freeze":
		if m.state != running {
			return wrong
		}
		if err := m.process.freeze(); err != nil {
			return err
		}
		m.become(frozen)
		f.terminal.line(number, fmt.Sprintf("is frozen for %v", freezeTime))
		p := m.process
		m.thaw = time.AfterFunc(freezeTime, func() { f.wake(m, p) })
	case "drain":
		if m.state != running {
			return wrong
		}
		m.become(draining)
		m.process.terminate()
	case "start":
		if m.state != crashed && m.state != drained {
			return wrong
		}
		select {
		case <-m.process.done:
		default:
			return fmt.Errorf("node %d is still ending", number)
		}
		if f.stopped {
			return errors.New("the fleet is stopping")
		}
		f.terminal.line(number, "starts again")
		return f.spawn(m)
	default:
		return errUnknown
	}
	return nil
}

func (f *fleet) wake(m *member, p *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.process != p || m.state != frozen || p.thaw() != nil {
		return
	}
	m.become(running)
	f.terminal.line(m.number, "is awake again")
}

func (f *fleet) status() []nodeStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	nodes := make([]nodeStatus, 0, len(f.members))
	for _, m := range f.members {
		nodes = append(nodes, nodeStatus{
			Node:        m.number,
			URL:         m.url,
			ID:          m.id,
			State:       m.state,
			Since:       time.Since(m.since).Round(100 * time.Millisecond).Seconds(),
			Connections: m.connections,
		})
	}
	return nodes
}

func (f *fleet) pids() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	pids := make([]int, 0, len(f.members))
	for _, m := range f.members {
		pids = append(pids, m.process.pid())
	}
	return pids
}

// stop ends every node, in an orderly way if that takes no longer than patience.
func (f *fleet) stop(patience time.Duration) {
	f.mu.Lock()
	f.stopped = true
	var processes []*process
	for _, m := range f.members {
		if m.process == nil {
			continue
		}
		processes = append(processes, m.process)
		if m.state == frozen {
			m.process.thaw()
		}
		m.process.terminate()
	}
	f.mu.Unlock()

	enough := time.NewTimer(patience)
	defer enough.Stop()
	for _, p := range processes {
		select {
		case <-p.done:
			continue
		case <-enough.C:
			enough.Reset(0) // the others have had their time too
			p.kill()
		}
		<-p.done
	}
}
