package heartbeat_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

const channel = "node!1"

// journal records what happened, in order, and lets tests wait for it.
type journal struct {
	mu      sync.Mutex
	entries []string
	more    chan struct{} // closed and renewed by each entry
}

func newJournal() *journal { return &journal{more: make(chan struct{})} }

func (j *journal) add(entry string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, entry)
	close(j.more)
	j.more = make(chan struct{})
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.entries)
}

func (j *journal) count(entry string) int {
	n := 0
	for _, e := range j.all() {
		if e == entry {
			n++
		}
	}
	return n
}

// wait waits until the journal has n entries like this one.
func (j *journal) wait(t testing.TB, entry string, n int) {
	t.Helper()
	for {
		j.mu.Lock()
		more := j.more
		j.mu.Unlock()
		if j.count(entry) >= n {
			return
		}
		select {
		case <-more:
		case <-t.Context().Done():
			t.Fatalf("no %q in %q", entry, j.all())
		}
	}
}

// tracker is a presence.Tracker that only notes what it was asked.
type tracker struct {
	*journal
	leave func(ctx context.Context) error // may be nil

	mu     sync.Mutex
	why    []presence.Reason
	graces []time.Duration
}

func newTracker() *tracker { return &tracker{journal: newJournal()} }

func (p *tracker) Touch(ch string) { p.add("touch " + ch) }

func (p *tracker) LeaveAllAfter(ctx context.Context, ch string, why presence.Reason, grace time.Duration) (map[string]presence.Revision, error) {
	p.mu.Lock()
	p.why, p.graces = append(p.why, why), append(p.graces, grace)
	p.mu.Unlock()
	p.add("leave " + ch)
	if p.leave != nil {
		return nil, p.leave(ctx)
	}
	return map[string]presence.Revision{"room": 1}, ctx.Err()
}

func (p *tracker) reasons() []presence.Reason {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.why)
}

// mailbox is a groups.Channel without a layer.
type mailbox struct {
	queue chan groups.Message
	done  chan struct{}
	once  sync.Once
	cause error
}

func newMailbox() *mailbox {
	return &mailbox{queue: make(chan groups.Message, 100), done: make(chan struct{})}
}

func (m *mailbox) Name() string          { return channel }
func (m *mailbox) Done() <-chan struct{} { return m.done }

func (m *mailbox) Err() error {
	select {
	case <-m.done:
		return m.cause
	default:
		return nil
	}
}

func (m *mailbox) Close() error {
	m.CloseWith(groups.ErrChannelClosed)
	return nil
}

func (m *mailbox) CloseWith(cause error) {
	m.once.Do(func() {
		m.cause = cause
		close(m.done)
	})
}

func (m *mailbox) Receive(ctx context.Context) (groups.Message, error) {
	select {
	case msg := <-m.queue:
		return msg, nil
	default:
	}
	select {
	case msg := <-m.queue:
		return msg, nil
	case <-m.done:
		return groups.Message{}, m.cause
	case <-ctx.Done():
		return groups.Message{}, ctx.Err()
	}
}
