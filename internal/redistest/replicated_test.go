package redistest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// has fails the test unless exactly these of the keys a to d are there.
func has(t testing.TB, client redis.UniversalClient, want string) {
	t.Helper()
	got := ""
	for _, key := range []string{"a", "b", "c", "d"} {
		if exists(t, client, key) {
			got += key
		}
	}
	if got != want {
		t.Fatalf("keys %q, not %q", got, want)
	}
}

func TestFailOverLosesWrites(t *testing.T) {
	p := redistest.Replicated(t)
	client := p.NewClient(t, brisk)
	p.Stream.Delay(50*time.Millisecond, 0)
	set(t, client, "a")
	p.Sync()
	has(t, p.Replica.NewClient(t), "a")

	p.Stream.Cut()
	set(t, client, "b")
	killed := p.PID()
	p.FailOver()
	if p.PID() == killed || p.PID() == 0 {
		t.Fatalf("process %d after %d", p.PID(), killed)
	}
	redistest.Eventually(t, patience, func() error { return try(t, client, "c") })
	has(t, client, "ac")

	// And back, with nothing lost.
	p.Rejoin()
	set(t, client, "d")
	p.Sync()
	has(t, p.Replica.NewClient(t), "acd")
	p.FailOver()
	redistest.Eventually(t, patience, func() error { return try(t, client, "d") })
	has(t, client, "acd")
}

func TestSplitBrain(t *testing.T) {
	p := redistest.Replicated(t)
	client := p.NewClient(t, brisk)
	ping(t, client)
	p.Promote()
	set(t, client, "a") // on the connection that it has, to the old master
	other := p.NewClient(t, brisk)
	set(t, other, "b")
	has(t, client, "a")
	has(t, other, "b")
	p.Rejoin()
	redistest.Eventually(t, patience, func() error { return try(t, client, "c") })
	has(t, client, "bc")
	refused(t, p.Replica.NewClient(t), "READONLY")
}

// The address stays for those who come over a link of their own, too.
func TestLinkFollowsFailOver(t *testing.T) {
	p := redistest.Replicated(t)
	client := p.NewLink(t).NewClient(t, brisk)
	set(t, client, "a")
	p.Sync()
	p.FailOver()
	redistest.Eventually(t, patience, func() error {
		n, err := client.Exists(t.Context(), "a").Result()
		if err == nil && n == 0 {
			err = fmt.Errorf("lost")
		}
		return err
	})
}
