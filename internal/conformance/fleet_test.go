package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/nodetest"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// config is what a test wants of a node. The zero value is a plain one.
type config struct {
	presence presence.Options
	groups   groups.Options
	change   func(c presence.Change) // called after it was noted
}

// node is one process of a fleet, and what its handlers heard.
type node struct {
	*nodetest.Node
	nodetest.Recorder
	Pruner *prune.Pruner
	Client redis.UniversalClient
	Wire   *wire
	Logs   *observer.ObservedLogs
}

func newNode(t *testing.T, s *redistest.Server, c config) *node {
	t.Helper()
	n := &node{Client: s.NewClient(t), Wire: &wire{}}
	n.Client.AddHook(n.Wire)
	core, logs := observer.New(zapcore.InfoLevel)
	n.Logs = logs
	c.groups.Logger = zap.New(core)
	if c.change != nil {
		c.presence.OnChange = func(_ context.Context, _ *presence.Tracker, change presence.Change) { c.change(change) }
	}
	n.Node = nodetest.Start(t, n.Client, nodetest.Options{Groups: &c.groups, Presence: n.Record(c.presence)})
	var err error
	if n.Pruner, err = prune.New(n.Tracker, nil); err != nil {
		t.Fatal(err)
	}
	return n
}

// fleet returns n nodes.
func fleet(t *testing.T, s *redistest.Server, n int, c config) []*node {
	t.Helper()
	nodes := make([]*node, n)
	for i := range nodes {
		nodes[i] = newNode(t, s, c)
	}
	return nodes
}

func (n *node) add(t *testing.T, room string, ch *groups.Channel, user string) presence.Revision {
	t.Helper()
	_, revision, err := n.Add(t.Context(), room, ch.Name(), presence.Member{User: user})
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// heard waits for that many calls of the change handler in all, and returns
// them.
func (n *node) heard(t *testing.T, want int) []presence.Change {
	t.Helper()
	return n.Heard(t, patience, want)
}

const marker = "the mark"

// told waits until the handler has heard everything so far of a room: calls for
// one room come in order, so a change of the room that is heard is the last.
func (n *node) told(t *testing.T, room string) []presence.Change {
	t.Helper()
	mark := n.Enter(t, room, marker)
	is := func(c presence.Change) bool { return len(c.Added) == 1 && c.Added[0].Channel == mark.Name() }
	redistest.Eventually(t, patience, func() error {
		if !slices.ContainsFunc(n.Changes(), is) {
			return errors.New("mark not heard")
		}
		return nil
	})
	if _, err := n.Remove(t.Context(), room, mark.Name()); err != nil {
		t.Fatal(err)
	}
	var got []presence.Change
	for _, c := range n.Changes() {
		about := func(p presence.Presence) bool { return p.User == marker }
		gone := func(d presence.Departure) bool { return d.User == marker }
		if c.Room == room && !slices.ContainsFunc(c.Added, about) && !slices.ContainsFunc(c.Removed, gone) {
			got = append(got, c)
		}
	}
	return got
}

func (n *node) lastSeen(t *testing.T, room string, ch *groups.Channel) time.Time {
	t.Helper()
	presences, err := n.Presences(t.Context(), room)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range presences {
		if p.Channel == ch.Name() {
			return p.LastSeen
		}
	}
	t.Fatalf("%s is not in %s", ch.Name(), room)
	return time.Time{}
}

func serverTime(t *testing.T, client redis.UniversalClient) time.Time {
	t.Helper()
	now, err := client.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// keys returns the names of all keys that match a pattern.
func keys(t *testing.T, client redis.UniversalClient, pattern string) []string {
	t.Helper()
	var names []string
	var mu sync.Mutex
	collect := func(ctx context.Context, c redis.Cmdable) error {
		some, err := c.Keys(ctx, pattern).Result()
		mu.Lock()
		defer mu.Unlock()
		names = append(names, some...)
		return err
	}
	var err error
	if cluster, ok := client.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(t.Context(), func(ctx context.Context, c *redis.Client) error { return collect(ctx, c) })
	} else {
		err = collect(t.Context(), client)
	}
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// shards returns how many shards some rooms lie in.
func (n *node) shards(rooms ...string) int {
	in := make(map[int]struct{})
	for _, room := range rooms {
		in[n.Store().Shard(room)] = struct{}{}
	}
	return len(in)
}

// present returns the names of the channels of a room.
func present(ctx context.Context, n *node, room string) ([]string, error) {
	snapshot, err := n.Snapshot(ctx, room)
	var names []string
	for _, p := range snapshot.Presences {
		names = append(names, p.Channel)
	}
	return names, err
}

// prober finds out which channels get what is sent to a group. It belongs to no
// room, and its layer is of no tracker.
type prober struct {
	layer *groups.Layer
	round int
}

func newProber(t *testing.T, s *redistest.Server, opts *groups.Options) *prober {
	t.Helper()
	layer, err := groups.New(t.Context(), s.NewClient(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = layer.Close(context.Background()) })
	return &prober{layer: layer}
}

// members returns those of the given channels that are in the group, sorted.
// A message to a group in which they all are follows that to the group on the
// same connection, so that its arrival shows that the other does not come.
func (p *prober) members(ctx context.Context, group string, channels ...*groups.Channel) ([]string, error) {
	p.round++
	all, toGroup, toAll := p.beside(group), fmt.Sprint("probe ", p.round), fmt.Sprint("fence ", p.round)
	for _, ch := range channels {
		if err := p.layer.GroupAdd(ctx, all, ch.Name()); err != nil {
			return nil, err
		}
	}
	for _, to := range [][2]string{{group, toGroup}, {all, toAll}} {
		if err := p.layer.GroupSend(ctx, to[0], groups.Message{Type: to[1]}); err != nil {
			return nil, err
		}
	}
	var in []string
	for _, ch := range channels {
		for {
			m, err := ch.Receive(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", ch.Name(), err)
			}
			if m.Type == toGroup {
				in = append(in, ch.Name())
			}
			if m.Type == toAll {
				break
			}
		}
		if err := p.layer.GroupDiscard(ctx, all, ch.Name()); err != nil {
			return nil, err
		}
	}
	slices.Sort(in)
	return in, nil
}

// trial is members for a look that is taken again, as an outage may lose a message.
func (p *prober) trial(ctx context.Context, group string, channels ...*groups.Channel) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return p.members(ctx, group, channels...)
}

// beside returns another group of the group's shard, and so of its connection.
func (p *prober) beside(group string) string {
	for i := 0; ; i++ {
		other := fmt.Sprint("beside ", i)
		if store := p.layer.Store(); store.Shard(other) == store.Shard(group) {
			return other
		}
	}
}

// agree returns an error unless the channels in the rooms' state are those, of
// the given ones, that their groups reach.
func (p *prober) agree(ctx context.Context, n *node, rooms []string, channels ...*groups.Channel) error {
	for _, room := range rooms {
		state, err := present(ctx, n, room)
		if err != nil {
			return err
		}
		members, err := p.trial(ctx, room, channels...)
		if err != nil {
			return err
		}
		if !slices.Equal(state, members) {
			return fmt.Errorf("room %s: present %q, members %q", room, state, members)
		}
	}
	return nil
}

// mustReach fails unless exactly the wanted of the channels are in the group.
func (p *prober) mustReach(t *testing.T, group string, of []*groups.Channel, want ...*groups.Channel) {
	t.Helper()
	var names []string
	for _, ch := range want {
		names = append(names, ch.Name())
	}
	slices.Sort(names)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := p.members(ctx, group, of...)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, names) {
		t.Errorf("group %s reaches %q, want %q", group, got, names)
	}
}
