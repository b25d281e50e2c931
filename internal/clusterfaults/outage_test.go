package clusterfaults_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// startBound is when a node has started, or all was read, on a busy machine: a master
// that does not answer is waited for up to 19 s in all, and the client may ask it first.
const startBound = 40 * time.Second

// Who deploys while a part of the keyspace does not answer: its first shard is
// among it, which has the number of shards.
func TestNodesStartWhileAPartIsDown(t *testing.T) {
	startsWithout(t, (*redistest.Server).Kill, (*redistest.Server).Start)
}

// The same where it takes long to find out.
func TestNodesStartWhileAPartIsFrozen(t *testing.T) {
	startsWithout(t, (*redistest.Server).Freeze, (*redistest.Server).Thaw)
}

func startsWithout(t *testing.T, fault, mend func(*redistest.Server)) {
	slow(t)
	s := redistest.Cluster(t, partly...)
	f := newFleet(t, s, 2)
	master := s.Owner(f.slot(0))
	away := f.on(master)
	served := f.others(away...)
	end := f.mustServe(served...)
	calm := f.load()
	fault(s.Node(master))

	start := time.Now()
	n := f.start()
	took := time.Since(start)
	if took > startBound {
		t.Errorf("it took %v to start", took)
	}
	t.Logf("started after %v", took)
	if h := n.tracker.Health(); h.State != presence.Degraded || !errors.Is(h.Cause, presence.ErrUnavailable) || !slices.Equal(h.Shards, away) {
		t.Errorf("the new node is %v, want that %v are away", h, away)
	}
	for shard, room := range f.rooms {
		if slices.Contains(away, shard) {
			if _, err := n.join("dan", []string{room}); !errors.Is(err, presence.ErrUnavailable) {
				t.Errorf("join in shard %d, which is away: %v", shard, err)
			}
			continue
		}
		if err := n.watch(room); err != nil {
			t.Error(err)
		}
		if _, err := n.join("dan", []string{room}); err != nil {
			t.Error(err)
		}
	}
	f.nodes = append(f.nodes, n)
	f.start().close() // in good order: it has left nothing where it never was
	calm()
	reader, err := presence.NewReader(t.Context(), f.client(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f.listed(reader, reader, away)
	f.listed(n.tracker.Reader, n.tracker, away)

	eve, err := n.join("eve", []string{f.rooms[served[0]]})
	if err != nil {
		t.Fatal(err)
	}
	f.goes(eve)
	var partial *presence.PartialError
	kicked, err := n.tracker.Kick(t.Context(), presence.Kick{User: "eve"})
	if kicked != 1 || !errors.As(err, &partial) || !slices.Equal(partial.Shards, away) {
		t.Errorf("%d kicked, %v", kicked, err)
	}

	mend(s.Node(master))
	f.serves(master)
	end()
	if s := n.tracker.Stats(); s.Registered+s.Restored > 0 {
		t.Errorf("the new node has registered again %d times, and put back %d", s.Registered, s.Restored)
	}
	for _, shard := range away {
		if err := n.watch(f.rooms[shard]); err != nil {
			t.Error(err)
		}
	}
	f.healed()
}

// listed sees that all that is asked of all shards has what the others know, and tells
// which are away.
func (f *fleet) listed(r *presence.Reader, target prune.Target, away []int) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), startBound)
	defer cancel()
	partial := func(what string, err error) {
		f.t.Helper()
		var e *presence.PartialError
		if !errors.Is(err, presence.ErrUnavailable) || !errors.As(err, &e) || !slices.Equal(e.Shards, away) {
			f.t.Errorf("%s: %v; want that %v are away", what, err, away)
		}
	}
	nodes, err := r.Nodes(ctx)
	partial("nodes", err)
	if len(nodes) != len(f.nodes) || slices.ContainsFunc(nodes, func(n presence.Node) bool { return !n.Alive }) {
		f.t.Errorf("the nodes are %+v", nodes)
	}

	var rooms, want []string
	for room, e := range r.Rooms(ctx) {
		if err = e; err == nil {
			rooms = append(rooms, room)
		}
	}
	partial("rooms", err)
	for _, shard := range f.others(away...) {
		want = append(want, f.rooms[shard])
	}
	slices.Sort(rooms)
	slices.Sort(want)
	if !slices.Equal(rooms, want) {
		f.t.Errorf("the rooms are %q, want %q", rooms, want)
	}

	counts, err := r.CountsOf(ctx, f.rooms...)
	partial("counts", err)
	for shard := range f.rooms {
		if (counts[shard].Presences == 0) != slices.Contains(away, shard) {
			f.t.Errorf("of shard %d: %+v", shard, counts[shard])
		}
	}

	pruner, err := prune.New(target, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	_, err = pruner.Presences(ctx)
	partial("prune", err)
	_, err = pruner.Rooms(ctx)
	partial("prune rooms", err)
	_, err = pruner.Stale(ctx, 0)
	partial("stale", err)
	_, err = pruner.EmptyRooms(ctx)
	partial("empty rooms", err)

	checker, err := prune.NewChecker(target, &prune.CheckerOptions{Overdue: 5 * lease})
	if err != nil {
		f.t.Fatal(err)
	}
	for problem, e := range checker.Check(ctx) {
		if err = e; err == nil {
			f.t.Errorf("the checker finds %v", problem)
		}
	}
	partial("check", err)
}
