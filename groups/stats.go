package groups

import (
	"sync/atomic"

	"go.uber.org/zap"
)

// Stats are a node's numbers. Counters start at 0 when the Layer is made.
type Stats struct {
	Channels int // open now

	Sent      uint64 // messages sent by GroupSend and Send without an error
	Delivered uint64 // messages put into this node's mailboxes, one for each mailbox

	Overflowed     uint64 // messages for a full mailbox
	UnknownChannel uint64 // messages for a channel that is not open here
	Malformed      uint64 // frames that could not be decoded
	Unopened       uint64 // frames that Options.Keys do not open, and frames in clear if there are keys
	Refused        uint64 // requests of other nodes, refused as too many at once

	// Gaps counts topics on which messages may have been missed because a connection
	// was lost: once for each topic and loss.
	Gaps uint64
}

// Dropped returns the sum of everything dropped, whatever the cause.
func (s Stats) Dropped() uint64 {
	return s.Overflowed + s.UnknownChannel + s.Malformed + s.Unopened + s.Refused
}

type stats struct {
	sent, delivered, gaps                             atomic.Uint64
	overflowed, unknown, malformed, unopened, refused atomic.Uint64
}

// Stats returns the numbers of this node.
func (l *Layer) Stats() Stats {
	l.mu.RLock()
	channels := len(l.channels)
	l.mu.RUnlock()
	return Stats{
		Channels:       channels,
		Sent:           l.stats.sent.Load(),
		Delivered:      l.stats.delivered.Load(),
		Gaps:           l.stats.gaps.Load(),
		Overflowed:     l.stats.overflowed.Load(),
		UnknownChannel: l.stats.unknown.Load(),
		Malformed:      l.stats.malformed.Load(),
		Unopened:       l.stats.unopened.Load(),
		Refused:        l.stats.refused.Load(),
	}
}

// sent counts a message if err is nil.
func (l *Layer) sent(err error) {
	if err == nil {
		l.stats.sent.Add(1)
	}
}

func (l *Layer) overflowed(c *Channel) {
	l.stats.overflowed.Add(1)
	l.log.Warn("mailbox is full", zap.String("channel", c.Name()), zap.Int("capacity", l.opts.Capacity))
}

func (l *Layer) malformed(topic string) {
	l.stats.malformed.Add(1)
	l.log.Warn("malformed frame dropped", zap.String("topic", topic))
}
