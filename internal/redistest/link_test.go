package redistest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// linked runs f on all kinds of server, with a link and a client over it.
func linked(t *testing.T, f func(t *testing.T, s *redistest.Server, l *redistest.Link, client redis.UniversalClient)) {
	t.Helper()
	run := func(t *testing.T, s *redistest.Server) {
		l := s.NewLink(t)
		f(t, s, l, l.NewClient(t, brisk))
	}
	redistest.Each(t, run)
	t.Run("bubble", func(t *testing.T) { redistest.Bubble(t, run) })
}

// hasty makes a client wait briefly for answers, but send as long as it takes.
func hasty(o *redis.UniversalOptions) { o.ReadTimeout = 100 * time.Millisecond }

// try sets a key and does not wait long for the answer.
func try(t testing.TB, client redis.UniversalClient, key string) error {
	return tryFor(t, client, key, time.Second)
}

func tryFor(t testing.TB, client redis.UniversalClient, key string, d time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return client.Set(ctx, key, "value", 0).Err()
}

func mustFail(t testing.TB, client redis.UniversalClient, key string) {
	t.Helper()
	if err := tryFor(t, client, key, 100*time.Millisecond); err == nil {
		t.Fatalf("%s was set", key)
	}
}

// unanswered sends what sets a key with a hasty client, which gets no answer.
func unanswered(t testing.TB, client redis.UniversalClient, key string) {
	t.Helper()
	if err := tryFor(t, client, key, patience); err == nil {
		t.Fatalf("%s was set", key)
	}
}

// ready waits until a client has a connection.
func ready(t testing.TB, client redis.UniversalClient) {
	t.Helper()
	redistest.Eventually(t, patience, func() error { return try(t, client, "{key}before") })
}

func eventually(t testing.TB, client redis.UniversalClient, key string) {
	t.Helper()
	redistest.Eventually(t, patience, func() error {
		if !exists(t, client, key) {
			return fmt.Errorf("no %s", key)
		}
		return nil
	})
}

// The keys have one slot, so that a client of a cluster has a connection ready
// for the command that fails.

func TestLinkFreeze(t *testing.T) {
	linked(t, func(t *testing.T, s *redistest.Server, l *redistest.Link, _ redis.UniversalClient) {
		other, client := s.NewLink(t).NewClient(t), l.NewClient(t, brisk, hasty)
		ready(t, client)

		l.Freeze(redistest.Up)
		unanswered(t, client, "{key}late")
		if exists(t, other, "{key}late") {
			t.Fatal("a command passed")
		}
		set(t, other, "{key}other")
		l.Heal()
		eventually(t, other, "{key}late")

		ready(t, client)
		l.Freeze(redistest.Down)
		unanswered(t, client, "{key}unanswered")
		eventually(t, other, "{key}unanswered")
		l.Heal()

		l.Freeze(redistest.Both)
		mustFail(t, client, "{key}both")
		l.Heal()
		ready(t, client)
	})
}

func TestLinkSwallow(t *testing.T) {
	linked(t, func(t *testing.T, s *redistest.Server, l *redistest.Link, _ redis.UniversalClient) {
		other, client := s.NewClient(t), l.NewClient(t, brisk, hasty)
		ready(t, client)

		l.Swallow(redistest.Up)
		unanswered(t, client, "{key}lost")
		l.Heal()
		ready(t, client)
		if exists(t, other, "{key}lost") {
			t.Fatal("a command passed")
		}

		l.Swallow(redistest.Down)
		unanswered(t, client, "{key}unanswered")
		eventually(t, other, "{key}unanswered")
		l.Heal()
		ready(t, client)
	})
}

func TestLinkSwallowCutsWhatHasLost(t *testing.T) {
	linked(t, func(t *testing.T, s *redistest.Server, l *redistest.Link, client redis.UniversalClient) {
		if s.IsCluster() {
			t.Skip("needs one connection")
		}
		loser, keeper := client.(*redis.Client).Conn(), client.(*redis.Client).Conn()
		defer loser.Close()
		defer keeper.Close()
		ping(t, loser)
		ping(t, keeper)

		l.Swallow(redistest.Both)
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := loser.Ping(short).Err(); err == nil {
			t.Fatal("a swallowed command was answered")
		}
		l.Heal()
		ping(t, keeper)
		if err := loser.Ping(t.Context()).Err(); err == nil {
			t.Fatal("the connection survived its loss")
		}
	})
}

func TestLinkDropRefuseCut(t *testing.T) {
	linked(t, func(t *testing.T, s *redistest.Server, l *redistest.Link, client redis.UniversalClient) {
		if s.IsCluster() {
			t.Skip("needs one connection")
		}
		conn := client.(*redis.Client).Conn()
		defer conn.Close()
		ping(t, conn)
		l.Refuse()
		ping(t, conn)
		if err := l.NewClient(t, brisk).Ping(t.Context()).Err(); err == nil {
			t.Fatal("a refused client is served")
		}
		l.Heal()
		ping(t, conn)
		ping(t, l.NewClient(t, brisk))

		l.Drop()
		if err := conn.Ping(t.Context()).Err(); err == nil {
			t.Fatal("a connection was not dropped")
		}
		redistest.Eventually(t, patience, func() error { return try(t, client, "after drop") })

		l.Cut()
		for range 3 { // the first fails on a dead connection
			mustFail(t, client, "cut")
		}
		ping(t, s.NewClient(t, brisk))
		l.Heal()
		redistest.Eventually(t, patience, func() error { return try(t, client, "after cut") })
	})
}

func TestLinkHoldsMessages(t *testing.T) {
	linked(t, func(t *testing.T, s *redistest.Server, l *redistest.Link, client redis.UniversalClient) {
		ctx, publisher := t.Context(), s.NewClient(t)
		sub := client.Subscribe(ctx, "news")
		defer sub.Close()
		if _, err := sub.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		l.Freeze(redistest.Down)
		if err := publisher.Publish(ctx, "news", "held").Err(); err != nil {
			t.Fatal(err)
		}
		if msg, err := sub.ReceiveTimeout(ctx, 50*time.Millisecond); err == nil {
			t.Fatalf("received %v", msg)
		}
		l.Heal()
		if msg, err := sub.ReceiveMessage(ctx); err != nil || msg.Payload != "held" {
			t.Fatalf("%v, %v", msg, err)
		}
	})
}

func TestLinkDelay(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		ctx, l := t.Context(), s.NewLink(t)
		client := l.NewClient(t)
		ping(t, client)
		took := func() time.Duration {
			begin := time.Now()
			ping(t, client)
			return time.Since(begin)
		}
		l.Delay(20*time.Millisecond, 0)
		if d := took(); d != 40*time.Millisecond {
			t.Fatalf("a round trip of %v", d)
		}
		l.Delay(20*time.Millisecond, 10*time.Millisecond)
		for range 20 {
			if d := took(); d <= 40*time.Millisecond || d >= 60*time.Millisecond {
				t.Fatalf("a round trip of %v", d)
			}
		}
		sub := client.Subscribe(ctx, "news")
		defer sub.Close()
		if _, err := sub.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		publisher := s.NewClient(t)
		for i := range 100 {
			if err := publisher.Publish(ctx, "news", i).Err(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		for i := range 100 {
			if msg, err := sub.ReceiveMessage(ctx); err != nil || msg.Payload != fmt.Sprint(i) {
				t.Fatalf("%v, not %d: %v", msg, i, err)
			}
		}
		l.Heal()
		if d := took(); d != 0 {
			t.Fatalf("a round trip of %v after it healed", d)
		}
	})
}

func TestLinkDelayOfTCP(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := s.NewLink(t)
		client := l.NewClient(t)
		set(t, client, "key")
		l.Delay(20*time.Millisecond, 10*time.Millisecond)
		begin := time.Now()
		set(t, client, "key")
		if d := time.Since(begin); d < 40*time.Millisecond {
			t.Fatalf("a round trip of %v", d)
		}
	})
}

func TestLinkManyConnections(t *testing.T) {
	linked(t, func(t *testing.T, s *redistest.Server, l *redistest.Link, _ redis.UniversalClient) {
		if s.IsCluster() {
			t.Skip("a closed client of a cluster may open another connection")
		}
		const clients = 200
		ping := func() error {
			errs := make([]error, clients)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() {
					client := l.NewClient(t, brisk)
					defer client.Close()
					errs[i] = client.Ping(t.Context()).Err()
				})
			}
			wg.Wait()
			return errors.Join(errs...)
		}
		if err := ping(); err != nil {
			t.Fatal(err)
		}
		redistest.Eventually(t, patience, func() error {
			if n := l.Conns(); n != 0 {
				return fmt.Errorf("%d connections open", n)
			}
			return nil
		})
	})
}

// In a bubble, a frozen link must not keep time from passing.
func TestLinkFrozenForAnHour(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		l := s.NewLink(t)
		client := l.NewClient(t)
		sub := client.Subscribe(t.Context(), "news")
		defer sub.Close()
		messages := sub.Channel()
		synctest.Wait()
		l.Swallow(redistest.Both)
		redistest.Advance(t, time.Hour)
		l.Heal()
		redistest.Advance(t, time.Minute)
		if err := s.NewClient(t).Publish(t.Context(), "news", "hello").Err(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case <-messages:
		default:
			t.Fatal("not subscribed again")
		}
		if n := l.Conns(); n > 5 {
			t.Fatalf("%d connections after an hour", n)
		}
	})
}

func ping(t testing.TB, client redis.Cmdable) {
	t.Helper()
	if err := client.Ping(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
}
