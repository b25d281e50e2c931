package bus

import (
	"math/rand/v2"
	"time"
)

// A server, and a lane that a server has refused, is tried again after a pause that
// doubles from the first to the second.
const shortestPause, longestPause = 20 * time.Millisecond, 2 * time.Second

// lane is the topics that are always on the same server: all on a single Redis, those
// of one slot on a cluster. It is guarded by the Bus's mu.
type lane struct {
	slot      int
	key       string // one of its topics, for finding its server
	topics    map[string]*topic
	conn      *conn // nil if the server is unknown or away
	refusal   refusal
	elsewhere string // the address of another owner, seen by one check

	away   error         // why the lane cannot be subscribed; nil once it can
	failed chan struct{} // closed and renewed when away is set
}

func newLane(slot int, key string) *lane {
	return &lane{slot: slot, key: key, topics: make(map[string]*topic), failed: make(chan struct{})}
}

// fail tells those that wait for the lane that they would wait in vain.
func (ln *lane) fail(why error) {
	ln.away = why
	close(ln.failed)
	ln.failed = make(chan struct{})
}

// refusal is the latest refusal of a lane, by the server at addr.
type refusal struct {
	addr  string
	at    time.Time
	pause pause
}

// pause prevents an immediate retry.
type pause struct {
	length time.Duration
	until  time.Time
}

// longer returns the next pause. It has some jitter, because the nodes of a fleet lose
// their connections together.
func (p pause) longer() pause {
	p.length = min(max(2*p.length, shortestPause), longestPause)
	p.until = time.Now().Add(p.length/2 + rand.N(p.length/2))
	return p
}

// attach subscribes the topics of a lane on a connection.
func (b *Bus) attach(ln *lane, c *conn) {
	ln.conn = c
	for _, t := range ln.topics {
		c.subscribe(t)
	}
}

// detach takes a lane off its connection. Nothing more is heard from that connection,
// as otherwise a message could be heard twice.
func (b *Bus) detach(ln *lane) {
	c := ln.conn
	ln.conn, ln.elsewhere = nil, ""
	for _, t := range ln.topics {
		if t.asked != nil {
			t.asked = nil
			c.unsubscribe(t)
		}
		if t.confirmed() {
			t.gap = true
			t.ready = make(chan struct{})
		}
	}
	b.wake()
}

// refuse takes a lane off a connection whose server does not serve it.
func (b *Bus) refuse(ln *lane) {
	ln.refusal = refusal{addr: ln.conn.server.addr, at: time.Now(), pause: ln.refusal.pause.longer()}
	b.detach(ln)
	b.route.refresh()
}

// drop ends a connection, and takes all lanes off it.
func (b *Bus) drop(c *conn, why error) {
	addr := c.server.addr
	if b.conns[addr] != c {
		return
	}
	b.outages.Away(addr, why)
	delete(b.conns, addr)
	if c.heard.Load() != 0 {
		delete(b.pauses, addr)
	}
	b.pauses[addr] = b.pauses[addr].longer()
	for _, ln := range b.lanes {
		if ln.conn == c {
			b.detach(ln)
			if c.heard.Load() == 0 {
				ln.fail(why)
			}
		}
	}
	b.route.refresh()
	c.end(why)
}

// lost is called once a connection has ended.
func (b *Bus) lost(c *conn, why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() == nil {
		b.drop(c, why)
	}
}
