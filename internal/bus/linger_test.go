package bus_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestLinger(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		b := newBus(t, client, 5*time.Second)
		first, second := &ear{}, &ear{}
		sub := b.Subscribe("topic", first)
		wait(t, sub)
		sub.Close()
		redistest.Advance(t, 3*time.Second)
		publish(t, client, "topic", "nobody's", 1)
		redistest.Advance(t, time.Second)
		sub = b.Subscribe("topic", second)
		wait(t, sub)
		redistest.Advance(t, 10*time.Second)
		publish(t, client, "topic", "second's", 1)
		await(t, second, 1)
		if frames, _ := first.heard(); len(frames) != 0 {
			t.Fatal(frames)
		}
		sub.Close()
		redistest.Advance(t, 4*time.Second)
		if numSub(t, client, "topic") != 1 {
			t.Fatal("does not linger")
		}
		redistest.Advance(t, 2*time.Second)
		if numSub(t, client, "topic") != 0 {
			t.Fatal("lingers on")
		}
		sub = b.Subscribe("topic", second)
		wait(t, sub)
		publish(t, client, "topic", "again", 1)
		await(t, second, 2)
		b.Close()
	})
}

// A topic that comes and goes must not keep those that left after it.
func TestBusyTopicDoesNotHoldUpOthers(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		b := newBus(t, client, 5*time.Second)
		busy := b.Subscribe("busy", &ear{})
		quiet := b.Subscribe("quiet", &ear{})
		wait(t, busy, quiet)
		busy.Close()
		quiet.Close()
		for range 10 {
			redistest.Advance(t, time.Second)
			b.Subscribe("busy", &ear{}).Close()
		}
		if numSub(t, client, "busy") != 1 {
			t.Fatal("the busy topic does not linger")
		}
		if numSub(t, client, "quiet") != 0 {
			t.Fatal("the quiet topic lingers on")
		}
		b.Close()
	})
}

func TestComingAndGoing(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		b := newBus(t, client, time.Microsecond)
		var wg sync.WaitGroup
		for i := range 8 { // each has a topic of its own, as a topic has one listener
			wg.Go(func() {
				topic := fmt.Sprint("topic", i)
				for n := range 100 {
					sub, e := b.Subscribe(topic, &ear{}), &ear{}
					if n%3 == 0 {
						sub.Close()
						sub = b.Subscribe(topic, e)
					}
					if n%2 == 0 {
						if err := sub.Wait(t.Context()); err != nil {
							t.Error(err)
							return
						}
						if heard, err := redistest.Publish(t.Context(), client, topic, "x"); heard != 1 || err != nil {
							t.Errorf("%s, %d: %d heard it, %v", topic, n, heard, err)
						}
					}
					sub.Close()
				}
			})
		}
		wg.Wait()
		for i := range 8 {
			redistest.Eventually(t, patience, func() error {
				if n := numSub(t, client, fmt.Sprint("topic", i)); n != 0 {
					return fmt.Errorf("topic%d: %d subscribers", i, n)
				}
				return nil
			})
		}
	})
}
