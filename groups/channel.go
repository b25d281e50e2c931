package groups

import (
	"context"
	"slices"
	"sync"

	"github.com/rollcall-go/rollcall/luascripts"
)

// Channel is the mailbox of one connection. Its methods may be called concurrently, but
// one goroutine should receive: goroutines that share a mailbox share out its messages.
// Whoever opens a Channel closes it.
type Channel struct {
	layer *Layer
	short string

	mu     sync.Mutex
	queue  []*Message    // grows up to the capacity, so that an idle mailbox costs little
	few    [2]*Message   // the initial storage of queue, so that a mailbox that is read allocates none
	groups []*membership // a slice, as most channels are in few groups
	cause  error

	ready chan struct{} // holds a token while the queue may have messages
	done  chan struct{}
}

// Name returns the channel's name: the node's id, "!" and a short counter. It is unique
// in the fleet.
func (c *Channel) Name() string { return luascripts.JoinChannel(c.layer.opts.NodeID, c.short) }

// Receive waits for the next message. Once the channel is closed, it returns the
// remaining messages, and then the cause.
func (c *Channel) Receive(ctx context.Context) (Message, error) {
	for {
		if m, ok := c.TryReceive(); ok {
			return m, nil
		}
		select {
		case <-c.ready:
		case <-c.done:
			if m, ok := c.TryReceive(); ok {
				return m, nil
			}
			return Message{}, c.Err()
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}

// TryReceive returns the next message, if there is one.
func (c *Channel) TryReceive() (Message, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return Message{}, false
	}
	m := c.queue[0]
	c.queue[0] = nil
	c.queue = c.queue[1:]
	if len(c.queue) == 0 {
		c.queue = nil
	} else {
		c.signal()
	}
	return *m, true
}

// Done returns a channel that is closed when this Channel is.
func (c *Channel) Done() <-chan struct{} { return c.done }

// Err returns why the channel was closed, or nil while it is open.
func (c *Channel) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Close removes the channel from its groups and closes it. Closing it again does
// nothing. It always returns nil; the error is there for io.Closer.
func (c *Channel) Close() error {
	c.CloseWith(ErrChannelClosed)
	return nil
}

// CloseWith is like Close, with a cause for Err and Receive to return.
func (c *Channel) CloseWith(cause error) {
	c.mu.Lock()
	if c.cause != nil {
		c.mu.Unlock()
		return
	}
	groups := c.end(cause)
	c.mu.Unlock()
	c.depart(groups)
}

// end closes an open channel, which must be locked. It returns the groups for the
// caller to leave once the channel is unlocked.
func (c *Channel) end(cause error) []*membership {
	c.cause = cause
	groups := c.groups
	c.groups = nil
	close(c.done)
	return groups
}

// in returns the index of a group in the channel's list, or -1. The channel must be
// locked.
func (c *Channel) in(g *group) int {
	return slices.IndexFunc(c.groups, func(m *membership) bool { return m.group == g })
}

func (c *Channel) depart(groups []*membership) {
	c.layer.forget(c)
	for _, m := range groups {
		m.group.drop(m)
	}
}

func (c *Channel) signal() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// deliver puts a message into the mailbox, without waiting.
func (c *Channel) deliver(m *Message) error {
	c.mu.Lock()
	if c.cause != nil {
		c.mu.Unlock()
		return c.cause
	}
	if c.queue == nil {
		c.queue = c.few[:0]
	}
	full := len(c.queue) >= c.layer.opts.Capacity
	var groups []*membership
	switch {
	case full && c.layer.opts.Overflow == CloseChannel:
		groups = c.end(ErrChannelFull) // at once: nothing may follow the lost message
	case full && c.layer.opts.Overflow == DropOldest:
		c.queue[0] = nil
		c.queue = append(c.queue[1:], m)
		c.signal()
	case !full:
		c.queue = append(c.queue, m)
		c.signal()
	}
	c.mu.Unlock()
	if !full {
		return nil
	}
	c.layer.overflowed(c)
	if c.layer.opts.Overflow == CloseChannel {
		c.depart(groups)
	}
	return ErrChannelFull
}
