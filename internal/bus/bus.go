// Package bus keeps a node's subscriptions to topics of Redis pub/sub alive.
//
// On a single Redis all topics share one connection. On a cluster they use sharded
// pub/sub: the topics of a slot form a lane, and there is a connection to each master
// that serves some of the lanes. Subscriptions are sent in batches, confirmed before
// they are relied on, and made again if the connection is lost or the slot moves. The
// topic's listener is then told of the gap.
package bus

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/internal/outagelog"
)

// ErrClosed is returned once the Bus is closed.
var ErrClosed = errors.New("rollcall: closed")

// Listener listens to one topic. Its methods are called one at a time, and block the
// other topics of the connection while they run.
type Listener interface {
	// Frame is called with each message of the topic.
	Frame(data string)
	// Gap is called when messages may have been lost.
	Gap()
}

// Options of a Bus. All are required.
type Options struct {
	Linger    time.Duration // how long a topic without listener stays subscribed
	KeepAlive time.Duration // a connection silent for this long is probed, then made again
	Logger    *zap.Logger
}

// Bus is safe for concurrent use.
type Bus struct {
	opts    Options
	route   route
	outages *outagelog.Log[string] // of servers, by address

	mu      sync.RWMutex
	lanes   map[int]*lane
	conns   map[string]*conn // by the address of the server
	pauses  map[string]pause // likewise, of servers that could not be reached
	last    uint64           // id of the last connection
	leaving []leaving        // sorted by deadline
	checkAt time.Time        // when to compare the lanes with the owners of their slots

	dirty chan struct{}
	stop  context.CancelFunc
	ctx   context.Context
	work  sync.WaitGroup
}

// leaving is a topic that was given up. If the topic has another deadline, it has been
// taken up since, and if given up again, it has a later place.
type leaving struct {
	topic    *topic
	deadline time.Time
}

// topic is what the Bus wants of one topic, and its progress. Everything except hearing
// is guarded by the Bus's mu. Lock hearing before mu.
type topic struct {
	name     string
	lane     *lane
	listener Listener // nil: nobody listens, it lingers
	deadline time.Time
	asked    *command      // subscribes to it on the lane's connection; nil if not sent yet
	ready    chan struct{} // closed while that connection has confirmed the topic, and once the topic is gone
	gap      bool          // an earlier connection had it
	gone     bool          // given up for good

	hearing sync.Mutex // held while the listener is called
}

// isReady is the ready channel of all confirmed topics, of which a node may have very
// many.
var isReady = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (t *topic) confirmed() bool { return t.ready == isReady }

// New returns a running Bus. The caller closes it.
func New(client redis.UniversalClient, opts Options) *Bus { return newBus(newRoute(client), opts) }

func newBus(r route, opts Options) *Bus {
	b := &Bus{
		opts:   opts,
		route:  r,
		lanes:  make(map[int]*lane),
		conns:  make(map[string]*conn),
		pauses: make(map[string]pause),
		dirty:  make(chan struct{}, 1),
		outages: outagelog.New[string](outagelog.Options{
			Logger: opts.Logger, Field: "servers",
			Away: "subscriber connections lost", Back: "subscriber connections are back",
			Gather: time.Second, Forget: outagelog.Remind, // a server may have no slots any more
		}),
	}
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.work.Go(b.run)
	b.work.Go(func() { b.outages.Run(b.ctx) })
	return b
}

// Close ends the connections and waits until they have ended.
func (b *Bus) Close() {
	b.stop()
	b.work.Wait()
}

// Subscription is a Listener's hold on a topic.
type Subscription struct {
	bus   *Bus
	topic *topic
}

// Subscribe makes l the listener of a topic, which must have no other.
func (b *Bus) Subscribe(name string, l Listener) *Subscription {
	slot := b.route.slot(name)
	b.mu.Lock()
	defer b.mu.Unlock()
	ln := b.lanes[slot]
	if ln == nil {
		ln = newLane(slot, name)
		b.lanes[slot] = ln
	}
	t := ln.topics[name]
	if t == nil {
		t = &topic{name: name, lane: ln, ready: make(chan struct{})}
		ln.topics[name] = t
		if ln.conn != nil {
			ln.conn.subscribe(t)
		} else {
			b.wake()
		}
	}
	t.listener = l
	return &Subscription{bus: b, topic: t}
}

// Wait returns when the current connection has confirmed the subscription. It returns
// ErrClosed if the subscription was closed and no longer lingers. If the server is
// away, it returns an error at once.
func (s *Subscription) Wait(ctx context.Context) error {
	for {
		s.bus.mu.RLock()
		ready, gone, confirmed := s.topic.ready, s.topic.gone, s.topic.confirmed()
		failed, away := s.topic.lane.failed, s.topic.lane.away
		s.bus.mu.RUnlock()
		switch {
		case gone:
			return ErrClosed
		case confirmed:
			return nil
		case s.bus.ctx.Err() != nil:
			return ErrClosed
		case away != nil:
			return away
		}
		select {
		case <-ready:
		case <-failed: // it may be back by now
		case <-ctx.Done():
			return ctx.Err()
		case <-s.bus.ctx.Done():
			return ErrClosed
		}
	}
}

// Close gives the topic up. It stays subscribed for a while, so that leaving and
// entering a room again and again costs no traffic.
func (s *Subscription) Close() {
	b := s.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	s.topic.listener = nil
	s.topic.deadline = time.Now().Add(b.opts.Linger)
	b.leaving = append(b.leaving, leaving{s.topic, s.topic.deadline})
	if len(b.leaving) == 1 {
		b.wake()
	}
}

// Connection returns the number of the connection that has confirmed the subscription,
// or 0 if none has.
func (s *Subscription) Connection() uint64 {
	s.bus.mu.RLock()
	defer s.bus.mu.RUnlock()
	return s.topic.connection()
}

// Doubt reports that the server that should have the subscription does not, although
// that connection had confirmed it. For example, it may have lost its role and still
// answer. Unless another connection has confirmed the topic since, it is subscribed
// anew: on a new connection to a single server, and on a cluster, with the others of
// its lane, where the cluster then says.
func (s *Subscription) Doubt(connection uint64) {
	b := s.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	if connection == 0 || s.topic.connection() != connection {
		return
	}
	c := s.topic.lane.conn
	if !b.route.sharded() {
		b.drop(c, errDeaf)
		return
	}
	c.doubtedAt, c.doubtedWith = time.Now(), c.heard.Load()
	b.detach(s.topic.lane)
	b.route.refresh()
	b.checkAt = c.doubtedAt.Add(lookAgain)
}

func (t *topic) connection() uint64 {
	if t.gone || !t.confirmed() {
		return 0
	}
	return t.lane.conn.id
}

// wake tells run that there is something to do.
func (b *Bus) wake() {
	select {
	case b.dirty <- struct{}{}:
	default:
	}
}
