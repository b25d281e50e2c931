package groups

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/commit"
	"github.com/rollcall-go/rollcall/internal/seal"
	"github.com/rollcall-go/rollcall/luascripts"
)

const (
	maxPublish     = 256 // messages in one pipeline
	publishTimeout = 5 * time.Second
)

// publisher sends frames, sealed if there are keys: at once when idle, in a pipeline
// when busy. A shard that is away does not hold up the others.
type publisher struct {
	store  *luascripts.Store
	sealer *seal.Sealer
	queues []*commit.Queue[*outgoing] // by shard

	mu     sync.RWMutex
	closed bool
}

type outgoing struct {
	ctx   context.Context
	topic string
	frame string

	heard int64
	err   error
	done  chan struct{} // closed once heard and err are set
}

func (o *outgoing) end(heard int64, err error) {
	o.heard, o.err = heard, unavailable(err)
	close(o.done)
}

// gone reports whether its caller has given up.
func (o *outgoing) gone() bool { return o.ctx.Err() != nil }

func newPublisher(store *luascripts.Store, sealer *seal.Sealer) *publisher {
	p := &publisher{store: store, sealer: sealer}
	for range store.Shards() {
		take := func(pending []*outgoing) int { return min(len(pending), maxPublish) }
		p.queues = append(p.queues, commit.NewQueue(take, p.flush))
	}
	return p
}

// publish sends a frame to a topic of a shard, and returns how many nodes received it.
func (p *publisher) publish(ctx context.Context, shard int, topic, frame string) (heard int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, unavailable(err)
	}
	o := &outgoing{ctx: ctx, topic: topic, frame: sealFrame(p.sealer, topic, frame), done: make(chan struct{})}
	p.mu.RLock()
	if p.closed {
		p.mu.RUnlock()
		return 0, ErrClosed
	}
	p.queues[shard].Push(o)
	p.mu.RUnlock()
	select {
	case <-o.done:
		return o.heard, o.err
	case <-ctx.Done():
		p.queues[shard].GiveUp((*outgoing).gone)
		return 0, unavailable(ctx.Err())
	}
}

func (p *publisher) flush(batch []*outgoing) {
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	pipe := p.store.Client().Pipeline()
	replies := make([]*redis.IntCmd, len(batch))
	for i, o := range batch {
		if !o.gone() {
			replies[i] = p.store.Publish(ctx, pipe, o.topic, &o.frame)
		}
	}
	if pipe.Len() > 0 {
		_, err := pipe.Exec(ctx) // each reply has its own error, too
		p.store.Reconsider(err)
	}
	for i, o := range batch {
		if replies[i] == nil {
			o.end(0, o.ctx.Err())
			continue
		}
		heard, err := replies[i].Result()
		p.store.Failed(err)
		o.end(heard, err)
	}
}

func (p *publisher) close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		for _, q := range p.queues {
			q.Wait()
		}
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
