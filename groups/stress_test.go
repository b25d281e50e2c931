package groups_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestConcurrentUse(t *testing.T) {
	const workers, steps, names = 8, 150, 3
	policies := []groups.Overflow{groups.DropNewest, groups.DropOldest, groups.CloseChannel}
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		var layers []*groups.Layer
		for _, policy := range policies {
			layers = append(layers, newLayer(t, s, func(o *groups.Options) {
				o.Capacity, o.Overflow, o.Linger = 3, policy, time.Millisecond
			}))
		}
		var shared sync.Map // the workers close and add each other's channels
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		var wg sync.WaitGroup
		for i := range workers {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(i)))
				for range steps {
					if err := step(ctx, layers[random.IntN(len(layers))], random, &shared, names); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		shared.Range(func(_, c any) bool {
			c.(*groups.Channel).Close()
			return true
		})
		for n := range names {
			subscribers(t, s, layers[0].Store().Room(fmt.Sprint("g", n)), 0)
		}
		for i, l := range layers {
			if got := l.Stats(); got.Malformed != 0 {
				t.Errorf("layer %d: %+v", i, got)
			}
			// Whatever happened, the layer works.
			c := newChannel(t, l, "g0")
			groupSend(t, layers[0], "g0", "end")
			receive(t, c, "end")
			c.Close()
		}
	})
}

// step does one thing of all that can be done.
func step(ctx context.Context, l *groups.Layer, random *rand.Rand, shared *sync.Map, names int) error {
	slot, group := random.IntN(20), fmt.Sprint("g", random.IntN(names))
	v, ok := shared.Load(slot)
	if !ok {
		c, err := l.NewChannel()
		if err == nil {
			if _, taken := shared.LoadOrStore(slot, c); taken {
				c.Close()
			}
		}
		return err
	}
	c := v.(*groups.Channel)
	own, _ := l.Channel(c.Name())
	var err error
	switch random.IntN(10) {
	case 0, 1, 2:
		if own != nil {
			err = l.GroupAdd(ctx, group, c.Name())
		}
	case 3:
		if own != nil {
			err = l.GroupDiscard(ctx, group, c.Name())
		}
	case 4:
		shared.CompareAndDelete(slot, v)
		c.Close()
	case 5, 6:
		err = l.Send(ctx, c.Name(), text("direct"))
	case 7:
		c.TryReceive()
	case 8:
		listening, lerr := l.Listen(group, nothing{})
		if lerr != nil {
			return lerr
		}
		listening.Close()
	default:
		err = l.GroupSend(ctx, group, text("group"))
	}
	// Others close the channel meanwhile, and nobody empties the mailboxes.
	for _, expected := range []error{groups.ErrChannelClosed, groups.ErrChannelFull, groups.ErrUnknownChannel} {
		if errors.Is(err, expected) {
			return nil
		}
	}
	return err
}

type nothing struct{}

func (nothing) Event(string) error { return nil }
func (nothing) Gap()               {}

// waiting tells when someone begins to wait for the context.
type waiting struct {
	context.Context
	begun chan struct{}
	once  sync.Once
}

func (w *waiting) Done() <-chan struct{} {
	w.once.Do(func() { close(w.begun) })
	return w.Context.Done()
}

// A channel that is closed while GroupAdd waits does not become a member, and no
// subscription stays.
func TestChannelClosedDuringGroupAdd(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		var closed atomic.Bool
		gate := make(chan struct{})
		client := s.NewClient(t, func(o *redis.UniversalOptions) {
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if closed.Load() {
					<-gate
				}
				return new(net.Dialer).DialContext(ctx, network, addr)
			}
		})
		l, err := groups.New(t.Context(), client, &groups.Options{Linger: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close(context.Background())
		c := newChannel(t, l)
		closed.Store(true)
		s.DropClients()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		w := &waiting{Context: ctx, begun: make(chan struct{})}
		added := make(chan error, 1)
		go func() { added <- l.GroupAdd(w, "g", c.Name()) }()
		await(t, "wait", w.begun)
		c.Close()
		close(gate)
		wantErr(t, "add", await(t, "return", added), groups.ErrChannelClosed)
		subscribers(t, s, l.Store().Room("g"), 0)
	})
}

func TestCloseWhileInUse(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := newLayer(t, s)
		started := make(chan struct{}, 8)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for n := 0; ; n++ {
					c, err := l.NewChannel()
					if err == nil {
						err = l.GroupAdd(t.Context(), "g", c.Name())
					}
					if err == nil {
						err = l.GroupSend(t.Context(), "g", text("x"))
					}
					if err != nil {
						if !errors.Is(err, groups.ErrClosed) {
							t.Error(err)
						}
						return
					}
					if n == 3 {
						started <- struct{}{}
					}
				}
			})
		}
		await(t, "start", started)
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}

func TestCrossNodeSendInBubble(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		a, b := newLayer(t, s), newLayer(t, s)
		topic := a.Store().Room("g")
		cb := newChannel(t, b, "g")
		begin := time.Now()
		send(t, a, cb, "direct")
		groupSend(t, a, "g", "group")
		receive(t, cb, "direct", "group")
		if took := time.Since(begin); took != 0 {
			t.Fatalf("waited %v", took)
		}

		// An hour of silence is no reason to lose the connection.
		redistest.Advance(t, time.Hour)
		send(t, a, cb, "later")
		receive(t, cb, "later")

		// Left and entered again within the linger, the topic stays.
		client := s.NewClient(t)
		numSub := func(want int64) {
			t.Helper()
			n, err := client.PubSubNumSub(t.Context(), topic).Result()
			if err != nil || n[topic] != want {
				t.Fatalf("%v, %v, want %d", n, err, want)
			}
		}
		cb.Close()
		redistest.Advance(t, 4*time.Second)
		numSub(1)
		again := newChannel(t, b, "g")
		redistest.Advance(t, 10*time.Second)
		numSub(1)
		again.Close()
		redistest.Advance(t, 4900*time.Millisecond)
		numSub(1)
		redistest.Advance(t, 200*time.Millisecond)
		numSub(0)
	})
}
