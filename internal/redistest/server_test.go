package redistest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// roundTrip uses what the library needs of a server: commands, scripts, TIME and
// pub/sub.
func roundTrip(t *testing.T, s *redistest.Server) {
	t.Helper()
	ctx := t.Context()
	client := s.NewClient(t)

	sub := client.Subscribe(ctx, "news")
	t.Cleanup(func() { _ = sub.Close() })
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	script := redis.NewScript(`redis.call("SET", KEYS[1], ARGV[1]); return redis.call("TIME")`)
	now, err := script.Run(ctx, client, []string{"key"}, "value").StringSlice()
	if err != nil || len(now) != 2 {
		t.Fatalf("script: %v, %v", now, err)
	}
	if got, err := client.Get(ctx, "key").Result(); err != nil || got != "value" {
		t.Fatalf("get: %q, %v", got, err)
	}
	if err := client.Publish(ctx, "news", "hello").Err(); err != nil {
		t.Fatal(err)
	}
	msg, err := sub.ReceiveMessage(ctx)
	if err != nil || msg.Payload != "hello" {
		t.Fatalf("message: %v, %v", msg, err)
	}
}

func TestRoundTrip(t *testing.T) {
	redistest.Each(t, roundTrip)
}

func TestKinds(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		if !strings.HasSuffix(t.Name(), "/"+s.Name()) || s.Real() == (s.Mini() != nil) {
			t.Fatalf("%s: name %q, real %v", t.Name(), s.Name(), s.Real())
		}
		replicas := 0
		for i := range s.Nodes() {
			if !s.Real() {
				break
			}
			info, err := s.Node(i).NewClient(t).Info(t.Context(), "replication").Result()
			if err != nil {
				t.Fatal(err)
			}
			replicas += strings.Count(info, ",state=online,")
		}
		if want := map[string]int{"cluster": 3, "sentinel": 1}[s.Name()]; replicas != want {
			t.Errorf("%d replicas", replicas)
		}
		// That is what go-redis calls the address of a client that asks sentinels.
		c, single := s.NewClient(t).(*redis.Client)
		if single == s.IsCluster() || single && (c.Options().Addr == "FailoverClient") != (s.Name() == "sentinel") {
			t.Errorf("client %v", c)
		}
	})
}

func TestFlush(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		ctx, client := t.Context(), s.NewClient(t)
		for i := range 20 {
			set(t, client, fmt.Sprint("key", i))
		}
		s.Flush()
		for i := range 20 {
			if n, err := client.Exists(ctx, fmt.Sprint("key", i)).Result(); n != 0 || err != nil {
				t.Fatalf("key%d: %d, %v", i, n, err)
			}
		}
	})
}

func TestClientOptions(t *testing.T) {
	s := redistest.Mini(t)
	client := s.NewClient(t, func(o *redis.UniversalOptions) { o.ClientName = "probe" })
	name, err := client.Do(t.Context(), "CLIENT", "GETNAME").Text()
	if err != nil || name != "probe" {
		t.Fatalf("name %q, %v", name, err)
	}
}

func TestEventually(t *testing.T) {
	calls := 0
	redistest.Eventually(t, patience, func() error {
		if calls++; calls < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if calls != 3 {
		t.Fatalf("%d calls", calls)
	}
}

func set(t testing.TB, client redis.UniversalClient, key string) {
	t.Helper()
	if err := client.Set(context.Background(), key, "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
}
