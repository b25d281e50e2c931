package groups

import "github.com/rollcall-go/rollcall/internal/bus"

// Pulse is a topic of this node in one shard, on which nothing is ever said. A script
// that publishes there learns how many subscribers it has. None, although a connection
// has confirmed the topic, means that the shard's server does not have the node's
// subscriptions. A Pulse is safe for concurrent use.
type Pulse struct {
	topic string
	sub   *bus.Subscription
}

// Pulse returns the pulse of a shard, for rollcall's own packages. It is subscribed
// while the layer is open.
func (l *Layer) Pulse(shard int) Pulse { return l.pulses[shard] }

// Topic returns the name of the topic, which is in the slot of the shard's keys.
func (p Pulse) Topic() string { return p.topic }

// Connection returns the number of the connection that has confirmed the topic, or 0 if
// none has. Ask before the script is run.
func (p Pulse) Connection() uint64 { return p.sub.Connection() }

// Doubt reports that nobody heard, although that connection had confirmed the topic. If
// it is still the current one, the node subscribes to the shard anew, and the listeners
// to its rooms hear of a gap.
func (p Pulse) Doubt(connection uint64) { p.sub.Doubt(connection) }

// silence is the listener of the pulses.
type silence struct{}

// Frame implements bus.Listener.
func (silence) Frame(string) {}

// Gap implements bus.Listener.
func (silence) Gap() {}
