package bus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/rollcall-go/rollcall/internal/bus"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const patience = 60 * time.Second

// ear records what a topic's listener hears.
type ear struct {
	mu     sync.Mutex
	frames []string
	gaps   int
}

func (e *ear) Frame(data string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.frames = append(e.frames, data)
}

func (e *ear) Gap() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gaps++
}

func (e *ear) heard() (frames []string, gaps int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.frames, e.gaps
}

func newBus(t testing.TB, client redis.UniversalClient, linger time.Duration) *bus.Bus {
	t.Helper()
	return keepBus(t, client, linger, time.Minute)
}

func keepBus(t testing.TB, client redis.UniversalClient, linger, keepAlive time.Duration) *bus.Bus {
	t.Helper()
	b := bus.New(client, bus.Options{Linger: linger, KeepAlive: keepAlive, Logger: zap.NewNop()})
	t.Cleanup(b.Close)
	return b
}

func wait(t testing.TB, subs ...*bus.Subscription) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, s := range subs {
		if err := s.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// await waits until e has heard so many frames and returns the last.
func await(t testing.TB, e *ear, n int) (last string) {
	t.Helper()
	redistest.Eventually(t, patience, func() error {
		frames, _ := e.heard()
		if len(frames) != n {
			return fmt.Errorf("frames %q, want %d", frames, n)
		}
		last = frames[n-1]
		return nil
	})
	return last
}

func publish(t testing.TB, client redis.UniversalClient, topic, data string, heard int64) {
	t.Helper()
	n, err := redistest.Publish(t.Context(), client, topic, data)
	if err != nil || n != heard {
		t.Fatalf("publish on %s: %d heard it, want %d, %v", topic, n, heard, err)
	}
}

func numSub(t testing.TB, client redis.UniversalClient, topic string) int64 {
	t.Helper()
	n, err := redistest.Subscribers(t.Context(), client, topic)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWaitMeansSubscribed(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		b := newBus(t, client, time.Minute)
		for i := range 50 {
			topic, e := fmt.Sprint("topic", i), &ear{}
			wait(t, b.Subscribe(topic, e))
			publish(t, client, topic, topic, 1)
			if got := await(t, e, 1); got != topic {
				t.Fatal(got)
			}
		}
	})
}

func TestWaitGivesUp(t *testing.T) {
	client := redistest.Mini(t).NewClient(t, func(o *redis.UniversalOptions) {
		o.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	b := newBus(t, client, time.Minute)
	sub := b.Subscribe("topic", &ear{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sub.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() { got <- sub.Wait(context.Background()) }()
	b.Close()
	b.Close()
	if err := <-got; !errors.Is(err, bus.ErrClosed) {
		t.Fatal(err)
	}
	if err := b.Subscribe("late", &ear{}).Wait(t.Context()); !errors.Is(err, bus.ErrClosed) {
		t.Fatal(err)
	}
}

// Who waits for a server that is away is told so at once.
func TestWaitTellsThatTheServerIsAway(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		b := newBus(t, client, time.Minute)
		sub := b.Subscribe("topic", &ear{})
		wait(t, sub)
		s.Stop()
		redistest.Eventually(t, patience, func() error {
			if sub.Connection() != 0 {
				return errors.New("not noticed")
			}
			return nil
		})
		for _, sub := range []*bus.Subscription{sub, b.Subscribe("another", &ear{})} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := sub.Wait(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
		s.Start()
		redistest.Eventually(t, patience, func() error { return sub.Wait(t.Context()) })
	})
}

func TestWaitEndsWhenTheTopicIsGivenUp(t *testing.T) {
	s := redistest.Mini(t)
	gate := make(chan struct{})
	client := s.NewClient(t, func(o *redis.UniversalOptions) {
		o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			<-gate
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	})
	b := newBus(t, client, time.Nanosecond)
	first := b.Subscribe("first", &ear{})
	sub := b.Subscribe("topic", &ear{})
	sub.Close()
	close(gate)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// It may have been subscribed all the same, and be given up then.
	if err := sub.Wait(ctx); err != nil && !errors.Is(err, bus.ErrClosed) {
		t.Fatal(err)
	}
	wait(t, first)
	redistest.Eventually(t, patience, func() error {
		if err := sub.Wait(ctx); !errors.Is(err, bus.ErrClosed) {
			return fmt.Errorf("got %v, want %w", err, bus.ErrClosed)
		}
		return nil
	})
}

func TestCloseEndsSubscriptions(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		b, e := newBus(t, client, time.Minute), &ear{}
		wait(t, b.Subscribe("topic", e))
		b.Close()
		redistest.Eventually(t, patience, func() error {
			if n := numSub(t, client, "topic"); n != 0 {
				return fmt.Errorf("%d subscribers", n)
			}
			return nil
		})
		publish(t, client, "topic", "x", 0)
		if frames, gaps := e.heard(); len(frames) != 0 || gaps != 0 {
			t.Fatal(frames, gaps)
		}
	})
}

var subscribeCalls = regexp.MustCompile(`cmdstat_subscribe:calls=(\d+)`)

func TestManyTopicsInFewSubscribes(t *testing.T) {
	const topics = 2000
	s := redistest.Real(t)
	client := s.NewClient(t)
	b, ears, subs := newBus(t, client, time.Minute), make([]ear, topics), make([]*bus.Subscription, topics)
	for i := range subs {
		subs[i] = b.Subscribe(fmt.Sprint("topic", i), &ears[i])
	}
	wait(t, subs...)
	if err := client.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, patience, func() error {
		for i := range ears {
			if _, gaps := ears[i].heard(); gaps != 1 {
				return fmt.Errorf("topic %d: %d gaps", i, gaps)
			}
		}
		return nil
	})
	wait(t, subs...)
	stats, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	// 4 of 512 topics, and go-redis makes the whole subscription once more.
	found := subscribeCalls.FindStringSubmatch(stats)
	if len(found) != 2 {
		t.Fatalf("no SUBSCRIBE in %q", stats)
	}
	if calls, _ := strconv.Atoi(found[1]); calls > 8 {
		t.Fatalf("%d SUBSCRIBEs for %d topics", calls, topics)
	}
	for i := range ears {
		publish(t, client, fmt.Sprint("topic", i), "x", 1)
	}
	for i := range ears {
		await(t, &ears[i], 1)
	}
}

func TestResubscribe(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		b, e := newBus(t, client, time.Minute), &ear{}
		sub := b.Subscribe("topic", e)
		wait(t, sub)
		for round := 1; round <= 3; round++ {
			if round == 2 {
				s.Restart(true)
			} else {
				s.DropClients()
			}
			redistest.Eventually(t, patience, func() error {
				if _, gaps := e.heard(); gaps != round {
					return fmt.Errorf("%d gaps, want %d", gaps, round)
				}
				return nil
			})
			wait(t, sub) // the gap is told before
			redistest.Eventually(t, patience, func() error { return client.Ping(t.Context()).Err() })
			data := fmt.Sprint("round ", round)
			if _, err := redistest.Publish(t.Context(), client, "topic", data); err != nil {
				t.Fatal(err)
			}
			if got := await(t, e, round); got != data {
				t.Fatal(got)
			}
		}
	})
}

// A connection that is open and dead is noticed after two silences; one that is
// merely silent is kept.
func TestFrozenServerIsLeft(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t, func(o *redis.UniversalOptions) { o.ReadTimeout = 100 * time.Millisecond })
		lost := make(chan struct{}, 1)
		core, _ := observer.New(zap.WarnLevel)
		logger := zap.New(core, zap.Hooks(func(zapcore.Entry) error {
			select {
			case lost <- struct{}{}:
			default:
			}
			return nil
		}))
		b := bus.New(client, bus.Options{Linger: time.Minute, KeepAlive: 50 * time.Millisecond, Logger: logger})
		defer b.Close()
		e := &ear{}
		sub := b.Subscribe("topic", e)
		wait(t, sub)
		s.Freeze()
		select {
		case <-lost:
		case <-time.After(patience):
			t.Error("not noticed")
		}
		s.Thaw()
		redistest.Eventually(t, patience, func() error {
			if _, gaps := e.heard(); gaps == 0 {
				return errors.New("no gap")
			}
			return nil
		})
		wait(t, sub)
		redistest.Eventually(t, patience, func() error {
			_, err := redistest.Publish(t.Context(), client, "topic", "x")
			return err
		})
		redistest.Eventually(t, patience, func() error {
			if frames, _ := e.heard(); len(frames) == 0 {
				return errors.New("nothing heard")
			}
			return nil
		})
	})
}

func TestSilenceIsNoLoss(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		b, e := keepBus(t, client, time.Minute, time.Second), &ear{}
		wait(t, b.Subscribe("topic", e))
		redistest.Advance(t, time.Hour)
		if _, gaps := e.heard(); gaps != 0 {
			t.Fatalf("%d gaps in an hour of silence", gaps)
		}
		b.Close()
	})
}

var subscribed = regexp.MustCompile(` (sub|ssub)=[1-9]`)

// subscribers counts the clients that are subscribed to something.
func subscribers(list string) int { return len(subscribed.FindAllString(list, -1)) }
