package redistest

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// pipeBuffer is how much one side of a connection in memory may write before
// the other reads. net.Pipe has no buffer: there, a pipeline whose replies do
// not fit the server's own buffer blocks both sides, and one idle subscriber
// stops every publisher.
const pipeBuffer = 32 << 20

// A pipe is a connection in memory. It works inside a synctest bubble: who waits
// on it is durably blocked, and deadlines follow the bubble's clock.
type pipe struct {
	client, server *pipeConn
	up, down       *stream
	uncut          context.Context // ends when the pipe is cut
	cutNow         context.CancelFunc
	open           atomic.Int32
	ended          []func() // called when both ends are closed
}

// newPipe returns a pipe that holds limit bytes in either direction. Its delays
// are random by seed.
func newPipe(limit int, seed uint64) *pipe {
	p := &pipe{up: newStream(limit, seed, 0), down: newStream(limit, seed, 1)}
	p.client = &pipeConn{pipe: p, in: p.down, out: p.up, name: "client"}
	p.server = &pipeConn{pipe: p, in: p.up, out: p.down, name: "server"}
	p.uncut, p.cutNow = context.WithCancel(context.Background())
	p.open.Store(2)
	return p
}

// suffer sets the faults of both directions, and cuts what they have broken.
func (p *pipe) suffer(up, down faults) {
	broken := p.up.suffer(up, down.flow != flows)
	if p.down.suffer(down, up.flow != flows) || broken {
		p.cut()
	}
}

// cut breaks the pipe: both ends get errors.
func (p *pipe) cut() {
	p.up.cut()
	p.down.cut()
	p.cutNow()
}

// A pipeConn is one end.
type pipeConn struct {
	pipe    *pipe
	in, out *stream
	name    pipeAddr
	closed  atomic.Bool
}

type pipeAddr string

func (a pipeAddr) Network() string { return "memory" }
func (a pipeAddr) String() string  { return string(a) }

func (c *pipeConn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *pipeConn) Write(p []byte) (int, error) { return c.out.write(p) }
func (c *pipeConn) LocalAddr() net.Addr         { return c.name }
func (c *pipeConn) RemoteAddr() net.Addr        { return pipeAddr("peer of " + c.name) }

func (c *pipeConn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.reader, t)
	return nil
}

func (c *pipeConn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writer, t)
	return nil
}

func (c *pipeConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// Close ends both directions. The other side still reads what was written.
func (c *pipeConn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.in.close(&c.in.reader)
	c.out.close(&c.out.writer)
	if c.pipe.open.Add(-1) == 0 {
		for _, f := range c.pipe.ended {
			f()
		}
	}
	return nil
}

// pipes are those that have not ended.
type pipes struct {
	mu  sync.Mutex
	set map[*pipe]struct{}
}

// add must come before either end can be closed.
func (ps *pipes) add(p *pipe) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.set == nil {
		ps.set = map[*pipe]struct{}{}
	}
	ps.set[p] = struct{}{}
	p.ended = append(p.ended, func() {
		ps.mu.Lock()
		defer ps.mu.Unlock()
		delete(ps.set, p)
	})
}

// all returns a copy, as those that end meanwhile remove themselves.
func (ps *pipes) all() []*pipe {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return slices.Collect(maps.Keys(ps.set))
}

func (ps *pipes) len() int {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return len(ps.set)
}
