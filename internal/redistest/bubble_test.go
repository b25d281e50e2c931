package redistest_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestBubbleRoundTrip(t *testing.T) {
	redistest.Bubble(t, roundTrip)
}

func TestBubbleClock(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		ctx, client := t.Context(), s.NewClient(t)
		start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		now, err := client.Time(ctx).Result()
		if err != nil || !now.Equal(start) {
			t.Fatalf("time %v, %v", now, err)
		}
		if err := client.Set(ctx, "key", "value", time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		redistest.Advance(t, 59*time.Second)
		if !exists(t, client, "key") {
			t.Fatal("expired too soon")
		}
		redistest.Advance(t, 2*time.Second)
		if exists(t, client, "key") {
			t.Fatal("did not expire")
		}
		script := redis.NewScript(`return redis.call("TIME")[1]`)
		secs, err := script.Run(ctx, client, nil).Int64()
		if want := start.Add(61 * time.Second).Unix(); err != nil || secs != want {
			t.Fatalf("script's time %d, want %d, %v", secs, want, err)
		}
	})
}

// An hour in which a subscriber's health checks and idle connections come and
// go.
func TestBubbleIdleHour(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		sub := client.Subscribe(t.Context(), "news")
		defer sub.Close()
		messages := sub.Channel()
		redistest.Advance(t, time.Hour)
		if err := client.Publish(t.Context(), "news", "hello").Err(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case msg := <-messages:
			if msg.Payload != "hello" {
				t.Fatal(msg)
			}
		default:
			t.Fatal("no message")
		}
	})
}

// On net.Pipe this blocks until a write times out.
func TestBubbleLargePipeline(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		ctx, client := t.Context(), s.NewClient(t)
		value := bytes.Repeat([]byte("x"), 1000)
		begin := time.Now()
		cmds, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for range 1000 {
				p.Echo(ctx, value)
			}
			return nil
		})
		if err != nil || len(cmds) != 1000 || time.Since(begin) != 0 {
			t.Fatalf("%d commands in %v: %v", len(cmds), time.Since(begin), err)
		}
	})
}

// A subscriber that does not read must not stop others from publishing.
func TestBubbleStalledSubscriber(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		ctx, client := t.Context(), s.NewClient(t)
		sub := client.Subscribe(ctx, "news")
		defer sub.Close()
		if _, err := sub.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			if err := client.Publish(ctx, "news", "hello").Err(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestBubblesAreIndependent(t *testing.T) {
	for range 3 {
		redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
			client := s.NewClient(t)
			if exists(t, client, "key") {
				t.Fatal("data of another bubble")
			}
			set(t, client, "key")
		})
	}
}

// A clock that is wrong stays so when the server is started again, for scripts,
// too.
func TestBubbleSkewedClock(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		skewed := func(want time.Duration) {
			t.Helper()
			client := s.NewClient(t)
			now, err := client.Time(t.Context()).Result()
			if err != nil || time.Until(now).Round(time.Second) != want {
				t.Errorf("TIME is %v, %v, at %v", now, err, time.Now())
			}
			secs, err := client.Eval(t.Context(), "return redis.call('TIME')[1]", nil).Int64()
			if err != nil || time.Duration(secs-time.Now().Unix())*time.Second != want {
				t.Errorf("in a script it is %v, %v", secs, err)
			}
		}
		s.SkewClock(time.Hour)
		skewed(time.Hour)
		s.Restart(true)
		skewed(time.Hour)
		s.Freeze()
		s.SkewClock(-time.Minute)
		s.Thaw()
		skewed(-time.Minute)
		s.SkewClock(0)
		skewed(0)
	})
}
