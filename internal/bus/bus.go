// Package bus keeps a node's subscriptions to topics of Redis pub/sub alive.
//
// All topics share one connection. Subscriptions are sent in batches, confirmed
// before they are relied on, and made again when the connection was lost; the
// listener of a topic then hears of the gap.
package bus

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// ErrClosed is returned once the Bus was closed.
var ErrClosed = errors.New("rollcall: closed")

// Listener hears a topic. Its methods are called one at a time, and hold up all
// other topics while they run.
type Listener interface {
	// Frame is called with each message of the topic.
	Frame(data string)
	// Gap is called when messages may have been lost.
	Gap()
}

// Options of a Bus. All are required.
type Options struct {
	Linger    time.Duration // how long a topic without listener stays subscribed
	KeepAlive time.Duration // a connection silent for so long is probed, then made again
	Logger    *zap.Logger
}

// Bus is safe for concurrent use.
type Bus struct {
	client redis.UniversalClient
	opts   Options

	mu      sync.RWMutex
	topics  map[string]*topic
	joining []*topic  // not sent yet
	leaving []leaving // in the order of their deadlines
	closed  bool

	dirty chan struct{}
	stop  context.CancelFunc
	ctx   context.Context
	done  chan struct{}
}

// leaving is a topic that was given up. Where the topic has another deadline, it
// was taken up since, and has a later place if it was given up again.
type leaving struct {
	topic    *topic
	deadline time.Time
}

// topic is what the Bus wants of one topic, and how far it is with it.
type topic struct {
	name     string
	listener Listener // nil: nobody listens, it lingers
	deadline time.Time
	sent     bool          // SUBSCRIBE has gone out on this connection
	ready    chan struct{} // closed while the current connection has confirmed it, and once it is gone
	gap      bool          // an earlier connection had it
	gone     bool          // given up for good
}

func (t *topic) confirmed() bool {
	select {
	case <-t.ready:
		return true
	default:
		return false
	}
}

// New returns a running Bus. The caller closes it.
func New(client redis.UniversalClient, opts Options) *Bus {
	b := &Bus{
		client: client,
		opts:   opts,
		topics: make(map[string]*topic),
		dirty:  make(chan struct{}, 1),
		done:   make(chan struct{}),
	}
	b.ctx, b.stop = context.WithCancel(context.Background())
	go b.run()
	return b
}

// Close ends the connection and waits until it has.
func (b *Bus) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.stop()
	<-b.done
}

// Subscription is a Listener's hold on a topic.
type Subscription struct {
	bus   *Bus
	topic *topic
}

// Subscribe makes l the listener of a topic, which has no other.
func (b *Bus) Subscribe(name string, l Listener) *Subscription {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[name]
	if t == nil {
		t = &topic{name: name, ready: make(chan struct{})}
		b.topics[name] = t
		b.joining = append(b.joining, t)
		b.wake()
	}
	t.listener = l
	return &Subscription{bus: b, topic: t}
}

// Wait returns when the current connection has confirmed the subscription. It
// returns ErrClosed where that was closed, and does not linger any more.
func (s *Subscription) Wait(ctx context.Context) error {
	s.bus.mu.RLock()
	ready := s.topic.ready
	s.bus.mu.RUnlock()
	select {
	case <-ready:
		s.bus.mu.RLock()
		defer s.bus.mu.RUnlock()
		if s.topic.gone {
			return ErrClosed
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.bus.ctx.Done():
		return ErrClosed
	}
}

// Close gives the topic up. It stays subscribed for a while, so that a room
// that is left and entered again and again costs no traffic.
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

// wake tells the connection that there is something to send.
func (b *Bus) wake() {
	select {
	case b.dirty <- struct{}{}:
	default:
	}
}

// run keeps a connection until the Bus is closed.
func (b *Bus) run() {
	defer close(b.done)
	const shortest, longest = 20 * time.Millisecond, 2 * time.Second
	pause := shortest
	for b.ctx.Err() == nil {
		heard, err := b.connect()
		if b.ctx.Err() != nil {
			return
		}
		b.opts.Logger.Warn("subscriber connection lost", zap.Error(err))
		if heard {
			pause = shortest
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2)) // jitter: nodes of a fleet lose theirs together
		select {
		case <-timer.C:
		case <-b.ctx.Done():
			timer.Stop()
		}
		pause = min(2*pause, longest)
	}
}
