package bus

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// batch is how many topics one SUBSCRIBE names.
const batch = 512

var (
	errSilent  = errors.New("rollcall: subscriber connection is silent")
	errReplied = errors.New("rollcall: the server answered what it was not asked")
	errDeaf    = errors.New("rollcall: the server does not have the subscriptions of the connection")
	errUnused  = errors.New("rollcall: subscriber connection is not used any more")
)

// conn is one subscriber connection.
type conn struct {
	bus    *Bus
	id     uint64
	server server
	ps     *redis.PubSub
	ctx    context.Context
	end    context.CancelCauseFunc
	dirty  chan struct{}
	heard  atomic.Uint64 // how many replies and messages have arrived

	// The Bus's mu guards these.
	join, leave []*topic   // to be sent
	sent        []*command // not fully answered yet
	doubtedAt   time.Time  // zero if it is not in doubt
	doubtedWith uint64     // the value of heard at that time
}

// command is a SUBSCRIBE or an UNSUBSCRIBE. The server answers each topic of a command,
// in order, before those of the next.
type command struct {
	subscribe bool
	topics    []*topic
	answered  int
}

// queued is what a topic has asked while it is put into a command: it may have been
// queued twice, if its lane has left the connection and come back.
var queued = &command{}

// connect opens a connection in the background.
func (b *Bus) connect(s server) *conn {
	b.last++
	c := &conn{bus: b, id: b.last, server: s, dirty: make(chan struct{}, 1)}
	c.ctx, c.end = context.WithCancelCause(b.ctx)
	b.conns[s.addr] = c
	b.work.Go(func() { b.lost(c, c.serve()) })
	return c
}

// subscribe queues the subscription of a topic.
func (c *conn) subscribe(t *topic) {
	c.join = append(c.join, t)
	c.wake()
}

// unsubscribe queues the end of a subscription.
func (c *conn) unsubscribe(t *topic) {
	c.leave = append(c.leave, t)
	c.wake()
}

func (c *conn) wake() {
	select {
	case c.dirty <- struct{}{}:
	default:
	}
}

// serve sends and receives until the connection is lost.
func (c *conn) serve() error {
	c.ps = c.server.client.Subscribe(c.ctx)
	closeOnce := sync.OnceFunc(func() { c.ps.Close() })
	defer closeOnce()
	if err := c.ps.Ping(c.ctx); err != nil { // opens the connection, which reader and writer would otherwise both wait for
		return err
	}
	defer context.AfterFunc(c.ctx, closeOnce)() // only Close ends a blocked read
	var writer sync.WaitGroup
	defer writer.Wait()
	writer.Go(func() { c.end(c.write()) })
	c.end(c.read())
	return context.Cause(c.ctx)
}

// write sends the queued commands.
func (c *conn) write() error {
	for {
		for _, cmd := range c.take() {
			if err := c.send(cmd); err != nil {
				return err
			}
		}
		select {
		case <-c.dirty:
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
	}
}

func (c *conn) send(cmd *command) error {
	names := make([]string, len(cmd.topics))
	for i, t := range cmd.topics {
		names[i] = t.name
	}
	switch sharded := c.bus.route.sharded(); {
	case cmd.subscribe && sharded:
		return c.ps.SSubscribe(c.ctx, names...)
	case cmd.subscribe:
		return c.ps.Subscribe(c.ctx, names...)
	case sharded:
		return c.ps.SUnsubscribe(c.ctx, names...)
	default:
		return c.ps.Unsubscribe(c.ctx, names...)
	}
}

// take returns the commands for what is queued. A topic that was given up and taken up
// again ends as subscribed, because it was given up before its second self was asked
// for.
func (c *conn) take() []*command {
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	cmds := commands(false, c.leave)
	var wanted []*topic
	for _, t := range c.join {
		if !t.gone && t.lane.conn == c && t.asked == nil {
			t.asked = queued
			wanted = append(wanted, t)
		}
	}
	for _, cmd := range commands(true, wanted) {
		for _, t := range cmd.topics {
			t.asked = cmd
		}
		cmds = append(cmds, cmd)
	}
	c.join, c.leave = nil, nil
	c.sent = append(c.sent, cmds...)
	return cmds
}

// commands puts topics into commands, each with topics of one lane.
func commands(subscribe bool, topics []*topic) (cmds []*command) {
	slices.SortStableFunc(topics, func(s, t *topic) int { return cmp.Compare(s.lane.slot, t.lane.slot) })
	for len(topics) > 0 {
		n := 1
		for n < min(len(topics), batch) && topics[n].lane == topics[0].lane {
			n++
		}
		cmds = append(cmds, &command{subscribe: subscribe, topics: topics[:n:n]})
		topics = topics[n:]
	}
	return cmds
}

// read handles what arrives.
func (c *conn) read() error {
	probed := false
	for {
		msg, err := c.ps.ReceiveTimeout(c.ctx, c.bus.opts.KeepAlive)
		switch {
		case err == nil, isAnswer(err):
			if c.heard.Add(1) == 1 {
				c.bus.outages.Back(c.server.addr)
			}
			probed = false
		case c.ctx.Err() != nil || !isTimeout(err):
			return err
		case probed:
			return errSilent
		default:
			probed = true
			if err := c.ps.Ping(c.ctx); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			err = c.failed(err)
		} else {
			err = c.handle(msg)
		}
		if err != nil {
			return err
		}
	}
}

func isAnswer(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func (c *conn) handle(msg any) error {
	switch m := msg.(type) {
	case *redis.Message:
		c.deliver(m.Channel, m.Payload)
	case *redis.Subscription:
		if strings.HasSuffix(m.Kind, "unsubscribe") {
			c.unsubscribed(m.Channel)
			return nil
		}
		return c.subscribed(m.Channel)
	}
	return nil
}

// oldest returns the command that the server answers next, nil if there is none.
func (c *conn) oldest() *command {
	if len(c.sent) == 0 {
		return nil
	}
	return c.sent[0]
}

// answer counts an answer about a topic. It returns nil if the server was not asked for
// it.
func (c *conn) answer(subscribe bool, name string) (*command, *topic) {
	cmd := c.oldest()
	if cmd == nil || cmd.subscribe != subscribe || cmd.topics[cmd.answered].name != name {
		return nil, nil
	}
	t := cmd.topics[cmd.answered]
	if cmd.answered++; cmd.answered == len(cmd.topics) {
		c.sent = c.sent[1:]
	}
	return cmd, t
}

// subscribed confirms a topic. If the client has replaced a connection by itself, it
// subscribes by itself. What was sent meanwhile is lost, so this conn must end.
func (c *conn) subscribed(name string) error {
	c.bus.mu.Lock()
	cmd, t := c.answer(true, name)
	c.bus.mu.Unlock()
	if cmd == nil {
		return errReplied
	}
	t.hearing.Lock()
	defer t.hearing.Unlock()
	c.bus.mu.RLock()
	current, gap, l := t.asked == cmd, t.gap, t.listener
	c.bus.mu.RUnlock()
	if current && gap && l != nil {
		l.Gap()
	}
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	if t.asked == cmd && !t.gone { // neither moved nor given up meanwhile
		t.gap = false
		t.lane.refusal.pause, t.lane.away = pause{}, nil
		close(t.ready)
		t.ready = isReady
	}
	return nil
}

// unsubscribed notes that a topic was given up or, if the server was not asked for
// that, that the slot has moved.
func (c *conn) unsubscribed(name string) {
	b := c.bus
	slot := b.route.slot(name)
	b.mu.Lock()
	defer b.mu.Unlock()
	if cmd, _ := c.answer(false, name); cmd != nil {
		return
	}
	if ln := b.lanes[slot]; ln != nil && ln.conn == c && ln.topics[name] != nil && ln.topics[name].asked != nil {
		b.refuse(ln)
	}
}

// failed takes a lane that the server does not serve off the connection. It returns an
// error if the connection cannot go on.
func (c *conn) failed(err error) error {
	addr, moved := redis.IsMovedError(err)
	if !moved && !redis.IsClusterDownError(err) || strings.HasSuffix(addr, c.server.addr) {
		return err // if redirected to the same server, the client has made the connection anew
	}
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	cmd := c.oldest()
	if cmd == nil {
		return err
	}
	c.sent = c.sent[1:]
	for _, t := range cmd.topics {
		if cmd.subscribe && t.asked == cmd {
			c.bus.refuse(t.lane)
			break
		}
	}
	return nil
}

// deliver passes a message to the listener of its topic, if it belongs to the current
// subscription. It may be from an earlier one, or the topic may be on another
// connection by now.
func (c *conn) deliver(name, data string) {
	b := c.bus
	slot := b.route.slot(name)
	b.mu.RLock()
	var t *topic
	if ln := b.lanes[slot]; ln != nil {
		t = ln.topics[name]
	}
	b.mu.RUnlock()
	if t == nil {
		return
	}
	t.hearing.Lock()
	defer t.hearing.Unlock()
	b.mu.RLock()
	l, current := t.listener, t.lane.conn == c && t.confirmed()
	b.mu.RUnlock()
	if l != nil && current {
		l.Frame(data)
	}
}
