package bus

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// batch is how many topics one SUBSCRIBE names.
const batch = 512

var errSilent = errors.New("rollcall: subscriber connection is silent")

// connect subscribes on a new connection and receives until it is lost. heard
// tells whether anything came.
func (b *Bus) connect() (heard bool, err error) {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	ps := b.client.Subscribe(ctx)
	closeOnce := sync.OnceFunc(func() { ps.Close() })
	defer closeOnce()
	defer context.AfterFunc(ctx, closeOnce)() // a blocked read ends by Close only

	b.reset()
	var writer sync.WaitGroup
	writer.Go(func() {
		if b.send(ctx, ps) != nil {
			closeOnce()
		}
	})
	defer writer.Wait()
	defer cancel()

	probed := false
	for {
		msg, err := ps.ReceiveTimeout(ctx, b.opts.KeepAlive)
		if err != nil {
			var timeout net.Error
			if !errors.As(err, &timeout) || !timeout.Timeout() || ctx.Err() != nil {
				return heard, err
			}
			if probed {
				return heard, errSilent
			}
			probed = true
			if err := ps.Ping(ctx); err != nil {
				return heard, err
			}
			continue
		}
		probed, heard = false, true
		switch m := msg.(type) {
		case *redis.Message:
			b.deliver(m.Channel, m.Payload)
		case *redis.Subscription:
			if m.Kind == "subscribe" {
				b.confirm(m.Channel)
			}
		}
	}
}

// reset forgets what the last connection had confirmed.
func (b *Bus) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.joining = b.joining[:0]
	for _, t := range b.topics {
		t.sent = false
		b.joining = append(b.joining, t)
		if t.confirmed() {
			t.gap = true
			t.ready = make(chan struct{})
		}
	}
	b.wake()
}

// send subscribes and unsubscribes as the topics come and go.
func (b *Bus) send(ctx context.Context, ps *redis.PubSub) error {
	for {
		join, leave, next := b.changes()
		for ; len(join) > 0; join = join[min(batch, len(join)):] {
			if err := ps.Subscribe(ctx, join[:min(batch, len(join))]...); err != nil {
				return err
			}
		}
		for ; len(leave) > 0; leave = leave[min(batch, len(leave)):] {
			if err := ps.Unsubscribe(ctx, leave[:min(batch, len(leave))]...); err != nil {
				return err
			}
		}
		var lingered <-chan time.Time
		if next > 0 {
			lingered = time.After(next)
		}
		select {
		case <-b.dirty:
		case <-lingered:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// changes returns the topics to subscribe and those to give up, and how long
// until the next of those that linger is due, 0 for none.
func (b *Bus) changes() (join, leave []string, next time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for len(b.leaving) > 0 {
		t, deadline := b.leaving[0].topic, b.leaving[0].deadline
		wanted := t.listener != nil || b.topics[t.name] != t || t.deadline != deadline
		if !wanted && now.Before(deadline) {
			next = deadline.Sub(now)
			break
		}
		b.leaving = b.leaving[1:]
		switch {
		case wanted:
		case t.sent && !t.confirmed():
			// Its confirmation is on the way, and would be taken for that of a
			// later subscription.
			t.deadline = now.Add(b.opts.Linger)
			b.leaving = append(b.leaving, leaving{t, t.deadline})
		default:
			delete(b.topics, t.name)
			t.gone = true
			if !t.confirmed() {
				close(t.ready) // ends the wait of whoever is in it
			}
			if t.sent {
				leave = append(leave, t.name)
			}
		}
	}
	for _, t := range b.joining {
		if b.topics[t.name] == t {
			t.sent = true
			join = append(join, t.name)
		}
	}
	clear(b.joining)
	b.joining = b.joining[:0]
	return join, leave, next
}

func (b *Bus) confirm(name string) {
	b.mu.Lock()
	t := b.topics[name]
	if t == nil || t.confirmed() {
		b.mu.Unlock()
		return
	}
	gap, l := t.gap, t.listener
	t.gap = false
	b.mu.Unlock()
	if gap && l != nil {
		l.Gap()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	close(t.ready)
}

func (b *Bus) deliver(name, data string) {
	b.mu.RLock()
	var l Listener
	if t := b.topics[name]; t != nil {
		l = t.listener
	}
	b.mu.RUnlock()
	if l != nil {
		l.Frame(data)
	}
}
