package presence_test

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

func TestMain(m *testing.M) {
	// A history of the model is worth many cases. The command line may say otherwise.
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
	redistest.Main(m)
}

// node is one process of a fleet under test, and what its handlers heard.
type node struct {
	*presence.Tracker
	Layer *groups.Layer

	mu      sync.Mutex
	changes []presence.Change
	evicted []presence.Eviction
}

func newNode(t testing.TB, s *redistest.Server, opts presence.Options) *node {
	t.Helper()
	return startNode(t, s.NewClient(t), nil, opts)
}

func startNode(t testing.TB, client redis.UniversalClient, of *groups.Options, opts presence.Options) *node {
	t.Helper()
	n := &node{}
	layer, err := groups.New(t.Context(), client, of)
	if err != nil {
		t.Fatal(err)
	}
	opts.OnChange = func(_ context.Context, _ *presence.Tracker, c presence.Change) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.changes = append(n.changes, c)
	}
	opts.OnEvict = func(_ context.Context, _ *presence.Tracker, e presence.Eviction) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.evicted = append(n.evicted, e)
	}
	tracker, err := presence.New(t.Context(), layer, &opts)
	if err != nil {
		t.Fatal(err)
	}
	n.Tracker, n.Layer = tracker, layer
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := tracker.Close(ctx); err != nil {
			t.Log("close tracker:", err)
		}
		if err := layer.Close(ctx); err != nil {
			t.Error("close layer:", err)
		}
	})
	return n
}

func (n *node) open(t testing.TB) string {
	t.Helper()
	ch, err := n.Layer.NewChannel()
	if err != nil {
		t.Fatal(err)
	}
	return ch.Name()
}

func (n *node) add(t *testing.T, room, channel, user string) presence.Revision {
	t.Helper()
	_, revision, err := n.Add(t.Context(), room, channel, presence.Member{User: user})
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// heard waits for n calls of the change handler, and returns them.
func (n *node) heard(t *testing.T, want int) []presence.Change {
	t.Helper()
	var got []presence.Change
	redistest.Eventually(t, patience, func() error {
		n.mu.Lock()
		defer n.mu.Unlock()
		got = append(got[:0], n.changes...)
		if len(got) < want {
			return fmt.Errorf("%d changes heard, want %d", len(got), want)
		}
		return nil
	})
	if len(got) != want {
		t.Fatalf("%d changes heard, want %d: %+v", len(got), want, got)
	}
	return got
}
