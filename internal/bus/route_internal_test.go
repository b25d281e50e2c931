package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// atlas is a route that is told where the topics are: in place of a cluster that
// does not say so, two servers that know nothing of each other.
type atlas struct {
	single
	servers []server

	mu     sync.Mutex
	at     int
	detour int // so many looks find another server
	err    error
	looks  int
}

func (*atlas) sharded() bool { return true }

func (a *atlas) owner(context.Context, string) (server, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.looks++
	if a.err != nil {
		return server{}, a.err
	}
	if a.detour > 0 {
		a.detour--
		return a.servers[1-a.at], nil
	}
	return a.servers[a.at], nil
}

func (a *atlas) set(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
	a.looks = 0
}

// looked waits until there were so many looks since the last set.
func (a *atlas) looked(t *testing.T, n int) {
	t.Helper()
	redistest.Eventually(t, time.Minute, func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.looks < n {
			return fmt.Errorf("%d looks, want %d", a.looks, n)
		}
		return nil
	})
}

type gaps chan struct{}

func (gaps) Frame(string) {}
func (g gaps) Gap()       { g <- struct{}{} }

func shardSubscribers(t *testing.T, client redis.UniversalClient) int64 {
	t.Helper()
	n, err := client.PubSubShardNumSub(t.Context(), "topic").Result()
	if err != nil {
		t.Fatal(err)
	}
	return n["topic"]
}

// twoServers returns an atlas of two, and clients of them.
func twoServers(t *testing.T) (*atlas, []redis.UniversalClient) {
	t.Helper()
	a := &atlas{}
	var clients []redis.UniversalClient
	for range 2 {
		s := redistest.Real(t)
		client := s.NewClient(t)
		clients = append(clients, client)
		a.servers = append(a.servers, server{addr: s.Addrs[0], client: client})
	}
	return a, clients
}

func TestTopicsFollowTheirOwner(t *testing.T) {
	a, clients := twoServers(t)
	b := newBus(a, Options{Linger: time.Minute, KeepAlive: 200 * time.Millisecond, Logger: zap.NewNop()})
	defer b.Close()
	heard := make(gaps, 100)
	sub := b.Subscribe("topic", heard)
	if err := sub.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := sub.Connection()

	// One look that finds another may have asked who is behind.
	a.set(func() { a.detour = 1 })
	a.looked(t, 5)
	// Not to find any says nothing.
	a.set(func() { a.err = errors.New("away") })
	a.looked(t, 3)
	a.set(func() { a.err = nil })
	if len(heard) != 0 || sub.Connection() != first {
		t.Fatalf("%d gaps, connection %d, was %d", len(heard), sub.Connection(), first)
	}

	a.set(func() { a.at = 1 })
	<-heard
	if err := sub.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if shardSubscribers(t, clients[1]) != 1 || sub.Connection() == first {
		t.Error("not subscribed at the new owner")
	}
	redistest.Eventually(t, time.Minute, func() error {
		b.mu.RLock()
		defer b.mu.RUnlock()
		if len(b.conns) != 1 {
			return fmt.Errorf("%d connections", len(b.conns))
		}
		return nil
	})
	if len(heard) != 0 {
		t.Errorf("%d gaps more", len(heard))
	}
}

// Who refuses a lane is not asked again until it is known who has it, as it might
// accept it as a replica.
func TestRefusalIsBelieved(t *testing.T) {
	a, clients := twoServers(t)
	b := newBus(a, Options{Linger: time.Minute, KeepAlive: time.Hour, Logger: zap.NewNop()})
	defer b.Close()
	heard := make(gaps, 100)
	sub := b.Subscribe("topic", heard)
	refuse := func() {
		t.Helper()
		if err := sub.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.refuse(b.lanes[0])
	}
	refuse()
	a.set(func() {})
	a.looked(t, 4)
	if len(heard) != 0 || shardSubscribers(t, clients[0]) != 0 {
		t.Error("asked again")
	}
	a.set(func() { a.at = 1 })
	<-heard
	if shardSubscribers(t, clients[1]) != 1 {
		t.Error("not subscribed at the new owner")
	}
	refuse()
	<-heard // there is no other, so in the end it is asked again
	if shardSubscribers(t, clients[1]) != 1 || len(heard) != 0 {
		t.Error("not subscribed where it was")
	}
}

// gated is a server to which connections open once it lets them.
type gated struct {
	client redis.UniversalClient
	open   chan struct{}
}

func (g gated) Subscribe(ctx context.Context, topics ...string) *redis.PubSub {
	<-g.open
	return g.client.Subscribe(ctx, topics...)
}

// A lane leaves a server that does not answer as soon as there is another owner,
// and a connection that comes about later takes nothing of it.
func TestServerThatDoesNotAnswerIsLeft(t *testing.T) {
	a, clients := twoServers(t)
	first, second := make(chan struct{}), make(chan struct{})
	a.servers[0].client = gated{clients[0], first}
	a.servers[1].client = gated{clients[1], second}
	b := newBus(a, Options{Linger: time.Minute, KeepAlive: time.Hour, Logger: zap.NewNop()})
	defer b.Close()
	heard := make(gaps, 100)
	sub := b.Subscribe("topic", heard)
	// placed waits until the lane has a connection to a server, and returns it.
	placed := func(at int) (c *conn) {
		t.Helper()
		redistest.Eventually(t, time.Minute, func() error {
			b.mu.Lock()
			defer b.mu.Unlock()
			if c = b.lanes[0].conn; c == nil || c.server.addr != a.servers[at].addr {
				return fmt.Errorf("not at server %d", at)
			}
			return nil
		})
		return c
	}
	old := placed(0)
	a.set(func() { a.at = 1 })
	b.mu.Lock()
	b.checkAt = time.Time{}
	b.mu.Unlock()
	b.wake()
	placed(1)
	close(first)
	redistest.Eventually(t, time.Minute, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(old.join) != 0 {
			return errors.New("not begun")
		}
		return nil
	})
	close(second)
	if err := sub.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if shardSubscribers(t, clients[0]) != 0 || shardSubscribers(t, clients[1]) != 1 || len(heard) != 0 {
		t.Errorf("%d and %d subscribers, %d gaps", shardSubscribers(t, clients[0]), shardSubscribers(t, clients[1]), len(heard))
	}
}

// A lane that comes back to a connection that has not opened yet is subscribed once.
func TestLaneThatComesBackToAConnection(t *testing.T) {
	a, clients := twoServers(t)
	open := make(chan struct{})
	a.servers[0].client = gated{clients[0], open}
	b := newBus(a, Options{Linger: time.Minute, KeepAlive: time.Hour, Logger: zap.NewNop()})
	defer b.Close()
	sub := b.Subscribe("topic", make(gaps, 100))
	queued := func(n int) {
		t.Helper()
		redistest.Eventually(t, time.Minute, func() error {
			b.mu.Lock()
			defer b.mu.Unlock()
			if c := b.lanes[0].conn; c == nil || len(c.join) != n {
				return fmt.Errorf("not queued %d times", n)
			}
			return nil
		})
	}
	queued(1)
	a.set(func() { a.detour = 2 }) // two checks find another owner, and then it is as before
	b.mu.Lock()
	b.checkAt = time.Time{}
	b.mu.Unlock()
	b.wake()
	queued(2)
	close(open)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // a connection that panics hangs
	defer cancel()
	for _, s := range []*Subscription{sub, b.Subscribe("later", make(gaps, 100))} { // which is confirmed after all of the first
		if err := s.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// That the server was away for a moment is no confirmation.
func TestWaitOutlastsAnOutage(t *testing.T) {
	a, clients := twoServers(t)
	open := make(chan struct{})
	a.servers[0].client = gated{clients[0], open}
	b := newBus(a, Options{Linger: time.Minute, KeepAlive: time.Hour, Logger: zap.NewNop()})
	defer b.Close()
	sub := b.Subscribe("topic", make(gaps, 100))
	waited, begun := make(chan error, 1), make(chan struct{}, 100)
	go func() {
		err := sub.Wait(waiting{t.Context(), begun})
		if err == nil && sub.Connection() == 0 {
			err = errors.New("not confirmed")
		}
		waited <- err
	}()
	<-begun
	b.mu.Lock()
	b.lanes[0].fail(errors.New("away"))
	b.lanes[0].away = nil // another topic of the lane was confirmed
	b.mu.Unlock()
	close(open)
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
}

// waiting tells when someone begins to wait for the context.
type waiting struct {
	context.Context
	begun chan struct{}
}

func (w waiting) Done() <-chan struct{} {
	w.begun <- struct{}{}
	return w.Context.Done()
}

// What the connection before brings is not heard, as it could be heard twice.
func TestOldConnectionIsNotHeard(t *testing.T) {
	a := &atlas{}
	s := redistest.Real(t)
	client := s.NewClient(t)
	for _, addr := range []string{"one", "other"} { // two connections to the same server
		a.servers = append(a.servers, server{addr: addr, client: client})
	}
	b := newBus(a, Options{Linger: time.Minute, KeepAlive: time.Hour, Logger: zap.NewNop()})
	defer b.Close()
	l := &order{}
	sub := b.Subscribe("topic", l)
	if err := sub.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan int)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			_ = client.SPublish(ctx, "topic", n).Err()
		}
		sent <- n
	}()
	for range 50 {
		if err := sub.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.set(func() { a.at = 1 - a.at })
		sub.Doubt(sub.Connection())
	}
	cancel()
	t.Logf("%d sent", <-sent)
	if err := sub.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wrong != "" {
		t.Error(l.wrong)
	}
}

// order hears numbers, which must rise, and one call at a time.
type order struct {
	mu    sync.Mutex
	last  int
	wrong string
}

func (o *order) Frame(data string) {
	if !o.mu.TryLock() {
		panic("two calls at a time")
	}
	defer o.mu.Unlock()
	var n int
	_, _ = fmt.Sscan(data, &n)
	if n != 0 && n <= o.last {
		o.wrong = fmt.Sprintf("%d after %d", n, o.last)
	}
	o.last = n
}

func (o *order) Gap() {
	if !o.mu.TryLock() {
		panic("two calls at a time")
	}
	o.mu.Unlock()
}

// A listener that is busy with what the connection before has brought is not
// told of the gap until it is done.
func TestListenerIsCalledByOneConnectionAtATime(t *testing.T) {
	a := &atlas{}
	client := redistest.Real(t).NewClient(t)
	for _, addr := range []string{"one", "other"} {
		a.servers = append(a.servers, server{addr: addr, client: client})
	}
	b := newBus(a, Options{Linger: time.Minute, KeepAlive: time.Hour, Logger: zap.NewNop()})
	defer b.Close()
	l := &slow{entered: make(chan struct{}), release: make(chan struct{})}
	sub := b.Subscribe("topic", l)
	if err := sub.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := client.SPublish(t.Context(), "topic", "x").Err(); err != nil {
		t.Fatal(err)
	}
	<-l.entered
	a.set(func() { a.at = 1 })
	sub.Doubt(sub.Connection())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := sub.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	close(l.release)
	if err := sub.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// slow is a listener that is busy until it is released.
type slow struct {
	order
	entered, release chan struct{}
}

func (s *slow) Frame(string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.entered)
	<-s.release
}

// A client that makes a connection anew by itself tells nobody what was lost.
func TestConnectionMadeAnewByTheClientIsNotTrusted(t *testing.T) {
	s := redistest.Real(t)
	client := s.NewClient(t)
	b := New(client, Options{Linger: time.Minute, KeepAlive: time.Hour, Logger: zap.NewNop()})
	defer b.Close()
	heard := make(gaps, 100)
	sub := b.Subscribe("topic", heard)
	if err := sub.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.mu.RLock()
	ps := b.lanes[0].conn.ps
	b.mu.RUnlock()
	if err := ps.Subscribe(t.Context(), "topic"); err != nil { // as it does then
		t.Fatal(err)
	}
	<-heard
	if err := sub.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}
