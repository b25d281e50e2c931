package presence_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// kept is what a node takes of its process and of Redis.
type kept struct {
	goroutines int
	keys       int64
	topics     []string
	heap       uint64
}

func (n *node) kept(t *testing.T, client redis.UniversalClient) kept {
	t.Helper()
	keys, err := client.DBSize(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	topics, err := client.PubSubChannels(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = n.TakeChanges(), n.TakeEvicted() // the test's own
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return kept{runtime.NumGoroutine(), keys, topics, m.HeapAlloc}
}

// Row 28: people come, see, change, and go or lose their connection, a thousand
// times, in rooms of all names, while now and then all connections to Redis drop.
// Nothing of them is left.
func TestNothingIsLeftBehind(t *testing.T) {
	s := redistest.Real(t)
	client := s.NewClient(t)
	n := startNode(t, s.NewClient(t), &groups.Options{Linger: 10 * time.Millisecond}, presence.Options{})
	pruner, err := prune.New(n.Tracker, nil)
	if err != nil {
		t.Fatal(err)
	}
	cycle := func(i int) {
		ch, err := n.Layer.NewChannel()
		if err != nil {
			t.Fatal(err)
		}
		own := fmt.Sprint("room", i)
		for _, room := range []string{"lobby", own} {
			member := presence.Member{User: fmt.Sprint("user", i), Info: []byte(strings.Repeat("i", 100))}
			redistest.Eventually(t, patience, func() error { // a dropped connection is an error, to be tried again
				_, _, err := n.Add(t.Context(), room, ch.Name(), member)
				return err
			})
		}
		n.Touch(ch.Name())
		w, err := n.Watch(t.Context(), own, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		switch i % 4 {
		case 0:
			_, _ = n.Remove(t.Context(), "lobby", ch.Name()) // where it fails it is carried on
			fallthrough
		case 1:
			_, _ = n.LeaveAll(t.Context(), ch.Name(), presence.Disconnected)
		case 2:
			_, _ = n.LeaveAllAfter(t.Context(), ch.Name(), presence.Disconnected, time.Millisecond)
		case 3: // it comes back on another connection before the grace is over
			_, _ = n.LeaveAllAfter(t.Context(), ch.Name(), presence.Disconnected, time.Minute)
			again := n.open(t)
			redistest.Eventually(t, patience, func() error {
				_, _, err := n.Add(t.Context(), own, again, presence.Member{User: fmt.Sprint("user", i)})
				return err
			})
			_, _ = n.LeaveAll(t.Context(), again, presence.Left)
			if back, ok := n.Layer.Channel(again); ok {
				_ = back.Close()
			}
		}
		if i%100 == 99 {
			s.DropClients()
		}
		_ = ch.Close()
	}
	tidy := func() {
		t.Helper()
		redistest.Eventually(t, patience, func() error {
			if err := endGraces(t, client, n); err != nil { // nobody waits for them here
				return err
			}
			if _, err := pruner.Presences(t.Context()); err != nil {
				return err
			}
			_, err := pruner.Rooms(t.Context())
			return err
		})
	}
	for i := range 20 {
		cycle(i)
	}
	tidy()
	before := n.kept(t, client)
	for i := range 1000 {
		cycle(i)
	}
	redistest.Eventually(t, patience, func() error {
		tidy()
		after := n.kept(t, client)
		if after.goroutines > before.goroutines+5 || after.keys > before.keys || len(after.topics) > 2 || // inbox and pulse

			after.heap > before.heap+2<<20 {
			return fmt.Errorf("before %+v, now %+v", before, after)
		}
		return nil
	})
}

// endGraces makes all graces end now.
func endGraces(t *testing.T, client redis.UniversalClient, n *node) error {
	key := n.Store().Grace(0)
	all, err := client.ZRange(t.Context(), key, 0, -1).Result()
	if err != nil {
		return err
	}
	for _, member := range all {
		if err := client.ZAdd(t.Context(), key, redis.Z{Score: 1, Member: member}).Err(); err != nil {
			return err
		}
	}
	return nil
}
