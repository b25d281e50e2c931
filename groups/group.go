package groups

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rollcall-go/rollcall/internal/bus"
)

// group is what this node knows of one group: its local members and listeners. The node
// is subscribed while there are any.
type group struct {
	layer *Layer
	name  string
	sub   *bus.Subscription
	holds int // held by members, listeners and calls in progress; guarded by layer.mu

	mu        sync.Mutex
	members   []*membership // only appended to, or replaced as a whole
	left      int           // how many of the members have left
	listeners []Listener    // replaced as a whole, never changed
}

// membership is a channel's time in a group. Those that have left stay in the list
// until they are more than half of it, so that the list is not copied for each of a
// departing crowd.
type membership struct {
	group   *group
	channel *Channel
	left    atomic.Bool
}

// join makes a channel a member, with its own hold on the group beside the caller's. If
// it is a member already, join takes no hold.
func (g *group) join(c *Channel) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return c.cause
	}
	if c.in(g) >= 0 {
		return nil
	}
	m := &membership{group: g, channel: c}
	c.groups = append(c.groups, m)
	g.layer.hold(g)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members = append(g.members, m) // beyond the end of any slice that audience returned
	return nil
}

// leave undoes join, if the channel is a member.
func (g *group) leave(c *Channel) {
	c.mu.Lock()
	i := c.in(g)
	if i < 0 {
		c.mu.Unlock()
		return
	}
	m := c.groups[i]
	c.groups = slices.Delete(c.groups, i, i+1)
	c.mu.Unlock()
	g.drop(m)
}

// drop is called once for each member, by whoever removed it from its channel's list.
func (g *group) drop(m *membership) {
	m.left.Store(true)
	g.mu.Lock()
	g.left++
	if 2*g.left > len(g.members) {
		stay := make([]*membership, 0, len(g.members)-g.left)
		for _, m := range g.members {
			if !m.left.Load() {
				stay = append(stay, m)
			}
		}
		g.left -= len(g.members) - len(stay)
		g.members = stay
	}
	g.mu.Unlock()
	g.layer.release(g)
}

// Members returns the names of this node's channels in a group, in no particular order.
func (l *Layer) Members(groupName string) []string {
	l.mu.RLock()
	g := l.groups[groupName]
	l.mu.RUnlock()
	if g == nil {
		return nil
	}
	members, _ := g.audience()
	names := make([]string, 0, len(members))
	for _, m := range members {
		if !m.left.Load() {
			names = append(names, m.channel.Name())
		}
	}
	return names
}

func (g *group) audience() ([]*membership, []Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.members, g.listeners
}

// Frame implements bus.Listener.
func (g *group) Frame(data string) {
	kind, body, err := openFrame(g.layer.opts.sealer, g, data)
	members, listeners := g.audience()
	switch {
	case err == nil && kind == kindEvent:
		for _, l := range listeners {
			err = cmp.Or(err, l.Event(data))
		}
		if err != nil {
			g.layer.malformed(g.name)
		}
	case err == nil && kind == kindMessage:
		message, err := decodeMessage(body)
		if err != nil {
			g.layer.malformed(g.name)
			return
		}
		taken := uint64(0)
		for _, m := range members {
			if !m.left.Load() && m.channel.deliver(&message) == nil { // deliver counts a full mailbox
				taken++
			}
		}
		g.layer.stats.delivered.Add(taken)
	default:
		g.layer.dropped(g.name, err)
	}
}

// Gap implements bus.Listener.
func (g *group) Gap() {
	g.layer.stats.gaps.Add(1)
	_, listeners := g.audience()
	for _, l := range listeners {
		l.Gap()
	}
}
