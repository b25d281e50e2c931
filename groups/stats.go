package groups

import (
	"sync/atomic"

	"go.uber.org/zap"
)

// Stats counts what was dropped on this node since the Layer was made.
type Stats struct {
	Overflowed     uint64 // messages for a full mailbox
	UnknownChannel uint64 // messages for a channel that is not open here
	Malformed      uint64 // frames that could not be read
	Unopened       uint64 // frames that Options.Keys do not open, in clear where there are keys
	Refused        uint64 // requests of other nodes, too many at a time
}

type stats struct {
	overflowed, unknown, malformed, unopened, refused atomic.Uint64
}

// Stats returns the counters of this node.
func (l *Layer) Stats() Stats {
	return Stats{
		Overflowed:     l.stats.overflowed.Load(),
		UnknownChannel: l.stats.unknown.Load(),
		Malformed:      l.stats.malformed.Load(),
		Unopened:       l.stats.unopened.Load(),
		Refused:        l.stats.refused.Load(),
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
