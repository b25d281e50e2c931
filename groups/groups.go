package groups

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/rollcall-go/rollcall/internal/bus"
	"github.com/rollcall-go/rollcall/luascripts"
)

// Layer is this process's part of the channel layer. It is safe for concurrent
// use. Whoever made it closes it; it does not close the client.
type Layer struct {
	opts  Options
	store *luascripts.Store
	bus   *bus.Bus
	out   *publisher
	log   *zap.Logger

	counter  atomic.Uint64
	stats    stats
	pulses   []Pulse // by shard
	requests *requests
	done     chan struct{} // closed by Close

	mu       sync.RWMutex
	channels map[string]*Channel // by short name; nil once closed
	groups   map[string]*group
}

// New returns a connected Layer, which receives what is sent to its channels. It
// refuses a server that rollcall cannot use, and data of another version or with
// another number of shards. nil options mean defaults.
//
// In a cluster, some shards may be away if one of the others has the number of shards
// recorded, as all have once a presence.Tracker was there. Calls that need a shard that
// is away fail with ErrUnavailable until it is back. New waits up to 11 s for a master
// that does not even refuse connections, and as long as the client takes to find the
// others.
func New(ctx context.Context, client redis.UniversalClient, opts *Options) (*Layer, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	keys, err := luascripts.NewKeys(o.Prefix, cmp.Or(o.Shards, luascripts.DefaultShards(client)))
	if err != nil {
		return nil, err
	}
	store, err := luascripts.Open(ctx, client, keys)
	var away luascripts.Away
	if err == nil {
		away, err = store.Claim(ctx)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	// An operator wants to know that frames are dropped, not a line for each.
	log := o.Logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, 1, 0)
	})).With(zap.String("node", o.NodeID))
	l := &Layer{
		opts:     o,
		store:    store,
		bus:      bus.New(client, bus.Options{Linger: o.Linger, KeepAlive: keepAlive, Logger: log}),
		out:      newPublisher(store, o.sealer),
		log:      log,
		channels: make(map[string]*Channel),
		groups:   make(map[string]*group),
		requests: newRequests(),
		done:     make(chan struct{}),
	}
	l.respondToGroups()
	if err := l.subscribe(ctx, away); err != nil {
		l.bus.Close()
		return nil, unavailable(err)
	}
	return l, nil
}

// subscribe subscribes the node to its own topics. It does not wait for those of shards
// that are away: they follow once these are back.
func (l *Layer) subscribe(ctx context.Context, away luascripts.Away) error {
	inbox := l.bus.Subscribe(l.store.Inbox(l.opts.NodeID), (*inbox)(l))
	for shard := range l.store.Shards() {
		topic := l.store.Pulse(shard, l.opts.NodeID)
		l.pulses = append(l.pulses, Pulse{topic: topic, sub: l.bus.Subscribe(topic, silence{})})
	}
	if away[l.store.Shard(l.opts.NodeID)] == nil {
		if err := inbox.Wait(ctx); err != nil {
			return err
		}
	}
	for shard, p := range l.pulses {
		if away[shard] != nil {
			continue
		}
		if err := p.sub.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// NodeID returns the name of this process in the fleet.
func (l *Layer) NodeID() string { return l.opts.NodeID }

// Done returns a channel that is closed when the layer is.
func (l *Layer) Done() <-chan struct{} { return l.done }

// Store returns the state in Redis under the layer's prefix, for rollcall's own
// packages.
func (l *Layer) Store() *luascripts.Store { return l.store }

// Logger returns the layer's logger, which writes at most one line per second of each
// kind.
func (l *Layer) Logger() *zap.Logger { return l.log }

// NewChannel opens a channel on this node.
func (l *Layer) NewChannel() (*Channel, error) {
	c := &Channel{
		layer: l,
		short: strconv.FormatUint(l.counter.Add(1), 36),
		ready: make(chan struct{}, 1),
		done:  make(chan struct{}),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.channels == nil {
		return nil, ErrClosed
	}
	l.channels[c.short] = c
	return c, nil
}

// Channel returns the open channel of that name, if it is on this node.
func (l *Layer) Channel(name string) (*Channel, bool) {
	node, short, ok := SplitChannel(name)
	if !ok || node != l.opts.NodeID {
		return nil, false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	c, ok := l.channels[short]
	return c, ok
}

// SplitChannel returns the id of the node that holds a channel, and the
// channel's short name there.
func SplitChannel(name string) (node, short string, ok bool) { return luascripts.SplitChannel(name) }

// GroupAdd makes a channel a member of a group. Whatever is sent to the group after it
// returns reaches the channel. Adding a member again does nothing. If another node
// holds the channel, that node is asked, and the error may be ErrUnknownChannel or
// ErrNoAnswer.
func (l *Layer) GroupAdd(ctx context.Context, groupName, channel string) error {
	if err := checkGroup(groupName); err != nil {
		return err
	}
	if !l.isOwn(channel) {
		return l.Ask(ctx, channel, opGroupAdd, member{groupName, channel}, nil)
	}
	c, err := l.local(channel)
	if err != nil {
		return err
	}
	g, err := l.acquire(groupName)
	if err != nil {
		return err
	}
	defer l.release(g)
	if err := g.sub.Wait(ctx); err != nil {
		return unavailable(err)
	}
	return g.join(c) // only now: a caller that gives up must not undo what another has added meanwhile
}

// GroupDiscard removes a channel from a group. It does nothing if the channel is not a
// member. If another node holds the channel, that node is asked.
func (l *Layer) GroupDiscard(ctx context.Context, groupName, channel string) error {
	if err := checkGroup(groupName); err != nil {
		return err
	}
	if !l.isOwn(channel) {
		return l.Ask(ctx, channel, opGroupDiscard, member{groupName, channel}, nil)
	}
	c, err := l.local(channel)
	if err != nil {
		return err
	}
	l.mu.RLock()
	g := l.groups[groupName]
	l.mu.RUnlock()
	if g != nil {
		g.leave(c)
	}
	return nil
}

// GroupSend sends a message to every channel in a group, on every node. It
// returns when Redis has taken it.
func (l *Layer) GroupSend(ctx context.Context, groupName string, m Message) error {
	if err := checkGroup(groupName); err != nil {
		return err
	}
	if err := l.checkMessage(m); err != nil {
		return err
	}
	_, err := l.out.publish(ctx, l.store.Shard(groupName), l.store.Room(groupName), encodeMessage(m))
	l.sent(err)
	return err
}

// Send sends a message to one channel, on whichever node it is. It returns
// ErrUnknownChannel if the node is gone, and ErrNoAnswer if it is alive and does not hear
// at the moment: the message is lost. For a channel on this node it also reports the
// outcome: ErrUnknownChannel or ErrChannelFull.
func (l *Layer) Send(ctx context.Context, channel string, m Message) error {
	if err := l.checkMessage(m); err != nil {
		return err
	}
	node, short, ok := SplitChannel(channel)
	if !ok {
		return fmt.Errorf("%w: %q", ErrUnknownChannel, channel)
	}
	if node == l.opts.NodeID {
		c, err := l.local(channel)
		if err != nil {
			return err
		}
		m.Payload = bytes.Clone(m.Payload) // the caller may use its buffer again
		err = c.deliver(&m)
		l.sent(err)
		if err == nil {
			l.stats.delivered.Add(1)
		}
		return err
	}
	heard, err := l.tell(ctx, node, encodeDirect(short, m))
	if err == nil && heard == 0 {
		err = l.unheard(ctx, node)
	}
	l.sent(err)
	return err
}

// tell sends a frame to a node, and returns 0 if it does not hear, for the reason that
// unheard tells.
func (l *Layer) tell(ctx context.Context, node, frame string) (heard int64, err error) {
	return l.out.publish(ctx, l.store.Shard(node), l.store.Inbox(node), frame)
}

// unheard returns why a node does not hear: ErrUnknownChannel if it is gone, ErrNoAnswer
// if it is alive and may have lost its subscriptions for a moment.
func (l *Layer) unheard(ctx context.Context, node string) error {
	switch alive, err := l.store.Alive(ctx, l.store.Shard(node), node); {
	case err != nil:
		return unavailable(err)
	case alive:
		return fmt.Errorf("%w: node %q does not hear", ErrNoAnswer, node)
	default:
		return fmt.Errorf("%w: node %q is gone", ErrUnknownChannel, node)
	}
}

// Close closes this node's channels and connections. It waits, until the context ends,
// for messages that are being sent.
func (l *Layer) Close(ctx context.Context) error {
	l.mu.Lock()
	channels := l.channels
	closed := channels == nil
	l.channels = nil
	if !closed {
		close(l.done)
	}
	l.mu.Unlock()
	if closed {
		return nil
	}
	l.requests.close(ctx)
	for _, c := range channels {
		c.CloseWith(ErrClosed)
	}
	err := l.out.close(ctx)
	l.bus.Close()
	return err
}

// local returns a channel of this node.
func (l *Layer) local(name string) (*Channel, error) {
	c, ok := l.Channel(name)
	if !ok {
		select {
		case <-l.done:
			return nil, ErrClosed
		default:
		}
		return nil, fmt.Errorf("%w: %q", ErrUnknownChannel, name)
	}
	return c, nil
}

// acquire returns a group with a hold on it for the caller.
func (l *Layer) acquire(name string) (*group, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.channels == nil {
		return nil, ErrClosed
	}
	g := l.groups[name]
	if g == nil {
		g = &group{layer: l, name: name}
		g.sub = l.bus.Subscribe(l.store.Room(name), g)
		l.groups[name] = g
	}
	g.holds++
	return g, nil
}

// hold adds a hold.
func (l *Layer) hold(g *group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g.holds++
}

// release gives up a hold, and with the last one the subscription.
func (l *Layer) release(g *group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g.holds--
	if g.holds == 0 {
		delete(l.groups, g.name)
		g.sub.Close()
	}
}

func (l *Layer) forget(c *Channel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.channels, c.short)
}

func checkGroup(name string) error { return luascripts.CheckName("group", name) }

func (l *Layer) checkMessage(m Message) error {
	if len(m.Type) > luascripts.MaxName {
		return &InvalidError{Field: "message type", Value: m.Type[:40], Reason: fmt.Sprintf("%d bytes, more than %d", len(m.Type), luascripts.MaxName)}
	}
	if len(m.Payload) > l.opts.MaxPayload {
		return &InvalidError{Field: "payload", Reason: fmt.Sprintf("%d bytes, more than %d", len(m.Payload), l.opts.MaxPayload)}
	}
	return nil
}

// unavailable marks an error of Redis. Rollcall's own stay as they are, and so does the
// error of a caller that gave up.
func unavailable(err error) error {
	for _, own := range []error{ErrClosed, ErrUnavailable, ErrServer, ErrMismatch, context.Canceled} {
		if err == nil || errors.Is(err, own) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, luascripts.Explain(err))
}
