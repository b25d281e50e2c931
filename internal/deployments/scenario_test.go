package deployments_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/rollcall-go/rollcall/groups"
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
	t       *testing.T
	layer   *groups.Layer
	tracker *presence.Tracker
	pruner  *prune.Pruner
}

func newNode(t *testing.T, client redis.UniversalClient) *node {
	t.Helper()
	n := &node{t: t}
	var err error
	if n.layer, err = groups.New(t.Context(), client, &groups.Options{Linger: 50 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	n.tracker, err = presence.New(t.Context(), n.layer, &presence.Options{
		MaxAge: time.Second, FlushInterval: 100 * time.Millisecond, Lease: 6 * time.Second, RememberUsers: time.Hour,
	})
	if err == nil {
		n.pruner, err = prune.New(n.tracker, nil)
	}
	if err != nil {
		_ = n.layer.Close(context.Background())
		t.Fatal(err)
	}
	t.Cleanup(func() { n.close() })
	return n
}

func (n *node) close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := errors.Join(n.tracker.Close(ctx), n.layer.Close(ctx)); err != nil {
		n.t.Error("close:", err)
	}
}

// enter adds a new channel to a room, which is closed when the test ends.
func (n *node) enter(room string, m presence.Member) *groups.Channel {
	n.t.Helper()
	ch, err := n.layer.NewChannel()
	if err == nil {
		_, _, err = n.tracker.Add(n.t.Context(), room, ch.Name(), m)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return ch
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
		counts, err := n.tracker.Counts(n.t.Context(), room)
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
	w, err := b.tracker.Watch(ctx, "lobby", nil)
	a.must(err)
	t.Cleanup(w.Close)
	ann := a.enter("lobby", presence.Member{User: "ann", Info: []byte("hi")})
	ben := b.enter("lobby", presence.Member{User: "ben"})
	_, revision, err := a.tracker.Add(ctx, "lobby", ann.Name(), presence.Member{User: "ann"})
	a.must(err)
	a.must(w.WaitFor(ctx, revision))
	a.must(a.layer.GroupSend(ctx, "lobby", groups.Message{Type: "hello"}))
	a.must(a.layer.Send(ctx, ben.Name(), groups.Message{Type: "psst"}))
	for range 2 {
		if _, err := ben.Receive(ctx); err != nil {
			t.Fatal(err)
		}
	}
	a.tracker.Touch(ann.Name())
	b.tracker.Touch(ben.Name())
	return a, b
}

// everything calls all that there is. Damage may do anything.
func everything(t *testing.T, newClient func() redis.UniversalClient, damage redis.UniversalClient) {
	t.Helper()
	ctx := t.Context()
	a, b := basics(t, newClient)
	store := a.tracker.Store()

	// Writes.
	ann, cyd := a.enter("garden", presence.Member{User: "ann"}), b.enter("garden", presence.Member{User: "cyd", Key: "c"})
	_, _, err := a.tracker.Add(ctx, "garden", ann.Name(), presence.Member{User: "dan"})
	a.must(err)
	_, err = a.tracker.Update(ctx, "garden", ann.Name(), []byte("busy"))
	a.must(err)
	_, err = a.tracker.Remove(ctx, "garden", cyd.Name()) // which b does
	a.must(err)
	_, err = a.tracker.Kick(ctx, presence.Kick{User: "dan"})
	a.must(err)
	eve := a.enter("garden", presence.Member{User: "eve"})
	_, err = a.tracker.LeaveAllAfter(ctx, eve.Name(), presence.Disconnected, time.Millisecond)
	a.must(err)
	counting, err := b.tracker.WatchCounts(ctx, "garden", nil)
	a.must(err)
	counting.Close()

	// Reads.
	_, err = a.tracker.Snapshot(ctx, "lobby")
	a.must(err)
	_, err = a.tracker.Users(ctx, "lobby")
	a.must(err)
	_, err = a.tracker.CountsOf(ctx, "lobby", "garden", "nowhere")
	a.must(err)
	_, err = a.tracker.Presences(ctx, "lobby")
	a.must(err)
	_, err = a.tracker.LastSeen(ctx, "garden", "dan", "nobody")
	a.must(err)
	for _, err := range a.tracker.All(ctx, "lobby") {
		a.must(err)
	}
	for _, err := range a.tracker.Rooms(ctx) {
		a.must(err)
	}
	_, err = a.tracker.Nodes(ctx)
	a.must(err)
	reader, err := presence.NewReader(ctx, newClient(), nil)
	a.must(err)

	// Sweeps: who is silent, whose grace has ended, who is dead, what is empty.
	silent := b.enter("silence", presence.Member{User: "sid"})
	_, err = a.pruner.Stale(ctx, time.Millisecond)
	a.must(err)
	redistest.Eventually(t, patience, func() error {
		_, err := a.pruner.Presences(ctx)
		if counts, countErr := a.tracker.Counts(ctx, "silence"); err == nil && (countErr != nil || counts.Presences > 0) {
			err = fmt.Errorf("%+v, %w", counts, countErr)
		}
		return err
	})
	b.tracker.Touch(silent.Name())
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
	zed := a.enter("cellar", presence.Member{User: "zed"})
	shard := store.Shard("cellar")
	_, short, _ := groups.SplitChannel(zed.Name())
	node := a.layer.NodeID()
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
	a.must(a.tracker.Drain(ctx, time.Millisecond))
	b.close()
	c := newNode(t, newClient())
	redistest.Eventually(t, patience, func() error {
		_, err := c.pruner.Presences(ctx)
		if err == nil {
			_, err = c.pruner.Rooms(ctx)
		}
		for room, readErr := range c.tracker.Rooms(ctx) {
			err = errors.Join(err, readErr, fmt.Errorf("room %q is left", room))
		}
		return err
	})
	c.close()
	a.must(reader.Store().Forget(ctx))
}
