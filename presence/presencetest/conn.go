package presencetest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

// Conn stands for one connection to a node. It is touched, as if its peer spoke, until
// it is silenced or ends. When its channel is closed, for example by CloseWith, it
// leaves all its rooms as Disconnected, without a grace, as it does under
// heartbeat.Serve with default options.
type Conn struct {
	*groups.Channel

	node   *Node
	silent atomic.Bool
	once   sync.Once
}

// Connect opens a connection to the node and adds it to some rooms.
func (n *Node) Connect(m presence.Member, rooms ...string) *Conn {
	n.fleet.t.Helper()
	channel, err := n.Layer.NewChannel()
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	c := &Conn{Channel: channel, node: n}
	n.Go(c.live)
	for _, room := range rooms {
		c.Join(room, m)
	}
	return c
}

func (c *Conn) live(ctx context.Context) {
	ticker := time.NewTicker(c.node.Tracker.MaxAge() / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if !c.silent.Load() {
				c.node.Tracker.Touch(c.Name())
			}
		case <-c.Done():
			_ = c.leave(0) // what fails is written later
			return
		case <-ctx.Done():
			return
		}
	}
}

// Join adds the connection to a room.
func (c *Conn) Join(room string, m presence.Member) presence.Presence {
	c.node.fleet.t.Helper()
	p, _, err := c.node.Tracker.Add(c.node.ctx, room, c.Name(), m)
	if err != nil {
		c.node.fleet.t.Fatal(err)
	}
	return p
}

// Silence stops all messages of the peer, though the connection stays open.
func (c *Conn) Silence() { c.silent.Store(true) }

// Disconnect ends the connection. It leaves all its rooms, after a grace unless that is
// 0.
func (c *Conn) Disconnect(grace time.Duration) {
	c.node.fleet.t.Helper()
	if err := c.leave(grace); err != nil {
		c.node.fleet.t.Error(err)
	}
}

func (c *Conn) leave(grace time.Duration) (err error) {
	c.once.Do(func() {
		_, err = c.node.Tracker.LeaveAllAfter(c.node.ctx, c.Name(), presence.Disconnected, grace)
		_ = c.Close()
	})
	return err
}

// Messages returns the messages sent to the connection that it has not returned before,
// once all that is in flight has arrived.
func (c *Conn) Messages() []groups.Message {
	c.node.fleet.t.Helper()
	c.node.fleet.Advance(0)
	var messages []groups.Message
	for {
		m, ok := c.TryReceive()
		if !ok {
			return messages
		}
		messages = append(messages, m)
	}
}
