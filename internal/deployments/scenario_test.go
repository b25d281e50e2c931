package deployments_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/nodetest"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

func TestMain(m *testing.M) {
	logging.Disable() // the client prints a line for each refusal
	redistest.Main(m)
}

const patience = 30 * time.Second

// node is one process, as the test drives it.
type node struct {
	*nodetest.Node
	t      *testing.T
	pruner *prune.Pruner
}

func newNode(t *testing.T, client redis.UniversalClient) *node {
	t.Helper()
	n := &node{t: t}
	n.Node = nodetest.Start(t, client, nodetest.Options{
		Groups: &groups.Options{Linger: 50 * time.Millisecond},
		Presence: &presence.Options{
			MaxAge: time.Second, FlushInterval: 100 * time.Millisecond, Lease: 6 * time.Second, RememberUsers: time.Hour,
		},
	})
	var err error
	n.pruner, err = prune.New(n.Tracker, nil)
	n.must(err)
	return n
}

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// present waits until a room has that many.
func (n *node) present(room string, want int) {
	n.t.Helper()
	redistest.Eventually(n.t, patience, func() error {
		counts, err := n.Counts(n.t.Context(), room)
		if err == nil && counts.Presences != want {
			err = fmt.Errorf("%+v in %s, want %d", counts, room, want)
		}
		return err
	})
}

// basics is a short walk through what everybody uses.
func basics(t *testing.T, newClient func() redis.UniversalClient) (a, b *node) {
	t.Helper()
	a, b = newNode(t, newClient()), newNode(t, newClient())
	ctx := t.Context()
	w, err := b.Watch(ctx, "lobby", nil)
	a.must(err)
	t.Cleanup(w.Close)
	ann := a.EnterAs(t, "lobby", presence.Member{User: "ann", Info: []byte("hi")})
	ben := b.Enter(t, "lobby", "ben")
	_, revision, err := a.Add(ctx, "lobby", ann.Name(), presence.Member{User: "ann"})
	a.must(err)
	a.must(w.WaitFor(ctx, revision))
	a.must(a.Layer.GroupSend(ctx, "lobby", groups.Message{Type: "hello"}))
	a.must(a.Layer.Send(ctx, ben.Name(), groups.Message{Type: "psst"}))
	for range 2 {
		if _, err := ben.Receive(ctx); err != nil {
			t.Fatal(err)
		}
	}
	a.Touch(ann.Name())
	b.Touch(ben.Name())
	return a, b
}

// everything calls all that there is. Damage may do anything.
func everything(t *testing.T, newClient func() redis.UniversalClient, damage redis.UniversalClient) {
	t.Helper()
	ctx := t.Context()
	a, b := basics(t, newClient)
	store := a.Store()

	// Writes.
	ann, cyd := a.Enter(t, "garden", "ann"), b.EnterAs(t, "garden", presence.Member{User: "cyd", Key: "c"})
	_, _, err := a.Add(ctx, "garden", ann.Name(), presence.Member{User: "dan"})
	a.must(err)
	_, err = a.Update(ctx, "garden", ann.Name(), []byte("busy"))
	a.must(err)
	_, err = a.Remove(ctx, "garden", cyd.Name()) // which b does
	a.must(err)
	_, err = a.Kick(ctx, presence.Kick{User: "dan"})
	a.must(err)
	eve := a.Enter(t, "garden", "eve")
	_, err = a.LeaveAllAfter(ctx, eve.Name(), presence.Disconnected, time.Millisecond)
	a.must(err)
	counting, err := b.WatchCounts(ctx, "garden", nil)
	a.must(err)
	counting.Close()

	// Reads.
	_, err = a.Snapshot(ctx, "lobby")
	a.must(err)
	_, err = a.Users(ctx, "lobby")
	a.must(err)
	_, err = a.CountsOf(ctx, "lobby", "garden", "nowhere")
	a.must(err)
	_, err = a.Presences(ctx, "lobby")
	a.must(err)
	_, err = a.LastSeen(ctx, "garden", "dan", "nobody")
	a.must(err)
	for _, err := range a.All(ctx, "lobby") {
		a.must(err)
	}
	for _, err := range a.Rooms(ctx) {
		a.must(err)
	}
	_, err = a.Nodes(ctx)
	a.must(err)
	reader, err := presence.NewReader(ctx, newClient(), nil)
	a.must(err)

	// Sweeps: who is silent, whose grace has ended, who is dead, what is empty.
	silent := b.Enter(t, "silence", "sid")
	_, err = a.pruner.Stale(ctx, time.Millisecond)
	a.must(err)
	redistest.Eventually(t, patience, func() error {
		_, err := a.pruner.Presences(ctx)
		if counts, countErr := a.Counts(ctx, "silence"); err == nil && (countErr != nil || counts.Presences > 0) {
			err = fmt.Errorf("%+v, %w", counts, countErr)
		}
		return err
	})
	b.Touch(silent.Name())
	b.present("silence", 1)
	_, err = a.pruner.PresencesOlderThan(ctx, time.Hour)
	a.must(err)
	a.present("garden", 0)
	_, err = a.pruner.EmptyRooms(ctx)
	a.must(err)
	_, err = a.pruner.Rooms(ctx)
	a.must(err)

	// Damage, and its repair. Who is kept alive here stays.
	checker, err := prune.NewChecker(reader, nil)
	a.must(err)
	zed := a.Enter(t, "cellar", "zed")
	shard := store.Shard("cellar")
	_, short, _ := groups.SplitChannel(zed.Name())
	node := a.Layer.NodeID()
	a.must(damage.Del(ctx, store.RoomUsers("cellar")).Err())
	a.must(damage.HSet(ctx, store.Index(shard, node), short, "").Err())
	a.must(damage.SRem(ctx, store.Rooms(shard), "cellar").Err())
	a.must(damage.Set(ctx, store.Sweep(shard), "of another type", 0).Err())
	a.must(damage.ZRem(ctx, store.Nodes(shard), node).Err())
	a.must(damage.HDel(ctx, store.Meta(shard), "schema").Err())
	for problem, err := range checker.Repair(ctx) {
		a.must(err)
		t.Log("mended: ", problem)
	}
	for problem, err := range checker.Check(ctx) {
		a.must(err)
		t.Error("left: ", problem)
	}

	// The end: one drains, one dies and is swept, and all is forgotten.
	a.must(a.Drain(ctx, time.Millisecond))
	b.End(t)
	c := newNode(t, newClient())
	redistest.Eventually(t, patience, func() error {
		_, err := c.pruner.Presences(ctx)
		if err == nil {
			_, err = c.pruner.Rooms(ctx)
		}
		for room, readErr := range c.Rooms(ctx) {
			err = errors.Join(err, readErr, fmt.Errorf("room %q is left", room))
		}
		return err
	})
	c.End(t)
	a.must(reader.Store().Forget(ctx))
}
