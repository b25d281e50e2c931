package groups

import "github.com/rollcall-go/rollcall/internal/bus"

// Pulse is a topic of this node in one shard, on which nothing is said. A script
// that publishes there is told how many hear it: none, though a connection has
// confirmed the topic, means that the server of the shard does not have the
// node's subscriptions. It is safe for concurrent use.
type Pulse struct {
	topic string
	sub   *bus.Subscription
}

// Pulse, for rollcall's own packages, returns that of a shard. It is subscribed as
// long as the layer is open.
func (l *Layer) Pulse(shard int) Pulse { return l.pulses[shard] }

// Topic is the name of the topic, in the slot of the shard's keys.
func (p Pulse) Topic() string { return p.topic }

// Connection returns the number of the connection that has confirmed the topic,
// 0 while none has. Ask before the script is run.
func (p Pulse) Connection() uint64 { return p.sub.Connection() }

// Doubt tells that nobody heard, though that connection had confirmed the topic.
// If it is still the current one, the shard is subscribed to anew, and whoever
// listens to a room there hears of a gap.
func (p Pulse) Doubt(connection uint64) { p.sub.Doubt(connection) }

// silence hears the pulses.
type silence struct{}

// Frame implements bus.Listener.
func (silence) Frame(string) {}

// Gap implements bus.Listener.
func (silence) Gap() {}
