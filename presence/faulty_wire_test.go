package presence_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"
)

// wire is what lies between a node and Redis. It can cut the connection on which
// events come, and lose, repeat, delay and so reorder them.
type wire struct {
	faults *faults // nil: none

	mu          sync.Mutex
	subscribers map[net.Conn]struct{}
}

// dialThrough has a client's connections go through the wire.
func (w *wire) dialThrough(o *redis.UniversalOptions) {
	o.PoolSize = 256 // more are never needed, and many clients are made
	dial := o.Dialer
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &wireConn{Conn: conn, wire: w}, nil
	}
}

// cut closes the connections on which events come.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.subscribers {
		_ = conn.Close()
	}
	w.subscribers = nil
}

type wireConn struct {
	net.Conn
	wire *wire
	in   []byte // read, and not a whole value yet
	out  []byte // to be read
	late []late
}

// late is an event that is held back.
type late struct {
	event []byte
	after int // further values
}

func (c *wireConn) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("\r\nsubscribe\r\n")) {
		c.wire.mu.Lock()
		if c.wire.subscribers == nil {
			c.wire.subscribers = make(map[net.Conn]struct{})
		}
		c.wire.subscribers[c.Conn] = struct{}{}
		c.wire.mu.Unlock()
	}
	return c.Conn.Write(p)
}

func (c *wireConn) Read(p []byte) (int, error) {
	if c.wire.faults == nil {
		return c.Conn.Read(p)
	}
	for len(c.out) == 0 {
		n := valueLength(c.in)
		if n == 0 {
			more := make([]byte, 4096)
			got, err := c.Conn.Read(more)
			if c.in = append(c.in, more[:got]...); err != nil {
				return 0, err
			}
			continue
		}
		c.pass(bytes.Clone(c.in[:n]))
		c.in = c.in[n:]
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

// pass hands a value on, or an event as the faults will have it.
func (c *wireConn) pass(value []byte) {
	waiting := c.late
	c.late = nil
	switch what, after := c.wire.faults.next(); {
	case !isEvent(value) || what == asIs:
		c.out = append(c.out, value...)
	case what == repeated:
		c.out = append(append(c.out, value...), value...)
	case what == delayed:
		c.late = append(c.late, late{value, after})
	}
	for _, l := range waiting {
		if l.after--; l.after > 0 {
			c.late = append(c.late, l)
		} else {
			c.out = append(c.out, l.event...)
		}
	}
}

// faults are what happens to events, by chance.
type faults struct {
	mu  sync.Mutex
	rng *rand.Rand
}

type fault int

const (
	asIs fault = iota
	lost
	repeated
	delayed
)

func newFaults(seed uint64) *faults { return &faults{rng: rand.New(rand.NewPCG(seed, 0))} }

func (f *faults) next() (what fault, after int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []fault{asIs, asIs, asIs, asIs, lost, repeated, delayed, delayed}[f.rng.IntN(8)], 1 + f.rng.IntN(4)
}

// isEvent tells whether a value is a message on the topic of a room.
func isEvent(value []byte) bool {
	parts := bytes.SplitN(value, []byte("\r\n"), 6)
	return len(parts) == 6 && string(parts[2]) == "message" && bytes.Contains(parts[4], []byte(":room:"))
}

// valueLength is the length of the first value of RESP, 0 while it is not whole.
func valueLength(b []byte) int {
	end := bytes.Index(b, []byte("\r\n"))
	if end < 0 {
		return 0
	}
	size := end + 2
	n, _ := strconv.Atoi(string(b[1:end]))
	switch b[0] {
	case '$', '=', '!':
		if n >= 0 {
			size += n + 2
		}
	case '%':
		n *= 2
		fallthrough
	case '*', '>', '~':
		for range n {
			inner := 0
			if size < len(b) {
				inner = valueLength(b[size:])
			}
			if inner == 0 {
				return 0
			}
			size += inner
		}
	}
	if size > len(b) {
		return 0
	}
	return size
}
