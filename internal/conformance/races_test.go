package conformance_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// together runs f for each node at the same moment.
func together(nodes []*node, f func(i int, n *node)) {
	var ready, work sync.WaitGroup
	ready.Add(len(nodes))
	for i, n := range nodes {
		work.Go(func() {
			ready.Done()
			ready.Wait()
			f(i, n)
		})
	}
	work.Wait()
}

// Three nodes have one channel leave at once, 100 times: one change for each of
// its rooms, and one of them is told that it did it.
func TestConcurrentLeaveAllsAreOneChange(t *testing.T) {
	nodes := fleet(t, redistest.Real(t), 3, config{})
	owner, rooms := nodes[0], []string{"one", "two", "three"}
	for range 100 {
		ch := owner.Open(t)
		for _, room := range rooms {
			owner.add(t, room, ch, "ana")
		}
		var told atomic.Int32
		together(nodes, func(_ int, n *node) {
			left, err := n.LeaveAll(t.Context(), ch.Name(), presence.Disconnected)
			if err != nil {
				t.Error(err)
			}
			if len(left) != 0 && len(left) != len(rooms) {
				t.Errorf("left %v", left)
			}
			if len(left) > 0 {
				told.Add(1)
			}
		})
		if told.Load() != 1 {
			t.Errorf("%d calls have left", told.Load())
		}
	}
	removed := map[[2]string]int{}
	for _, c := range owner.heard(t, 600) {
		for _, d := range c.Removed {
			removed[[2]string{c.Room, d.Channel}]++
		}
	}
	for which, n := range removed {
		if n != 1 {
			t.Errorf("%v was removed %d times", which, n)
		}
	}
	if len(removed) != 300 {
		t.Errorf("%d removed, want 300", len(removed))
	}
	for _, n := range nodes[1:] {
		n.heard(t, 0)
	}
}

// Rooms become empty and are entered again 1,500 times while two nodes prune
// empty rooms without a pause. Who has entered is there.
func TestAddsAgainstAPruneOfRoomsLoseNothing(t *testing.T) {
	nodes := fleet(t, redistest.Real(t), 3, config{})
	const adds = 500 // on each node
	rooms := []string{"one", "two", "three", "four"}
	var pruned atomic.Int32
	var pruners sync.WaitGroup
	stop := make(chan struct{})
	for _, n := range nodes[:2] {
		pruners.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				deleted, err := n.Pruner.Rooms(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				pruned.Add(int32(len(deleted)))
			}
		})
	}
	together(nodes, func(i int, n *node) {
		ch, err := n.Layer.NewChannel()
		if err != nil {
			t.Error(err)
			return
		}
		for j := range adds {
			room := rooms[(i+j)%len(rooms)]
			if _, _, err := n.Add(t.Context(), room, ch.Name(), presence.Member{User: fmt.Sprint(i)}); err != nil {
				t.Error(err)
				return
			}
			state, err := present(t.Context(), n, room)
			if err != nil || !slices.Contains(state, ch.Name()) {
				t.Errorf("add %d: %s is not in %s: %q, %v", j, ch.Name(), room, state, err)
				return
			}
			if revision, err := n.Remove(t.Context(), room, ch.Name()); err != nil || revision == 0 {
				t.Errorf("remove %d: %d, %v", j, revision, err)
				return
			}
		}
		if _, _, err := n.Add(t.Context(), "stays", ch.Name(), presence.Member{User: fmt.Sprint(i)}); err != nil {
			t.Error(err)
		}
	})
	close(stop)
	pruners.Wait()
	if _, err := nodes[0].Pruner.Rooms(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left []string
	for room, err := range nodes[0].Rooms(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, room)
	}
	if users, err := nodes[0].Users(t.Context(), "stays"); err != nil || len(users) != 3 || !slices.Equal(left, []string{"stays"}) {
		t.Errorf("users %q, rooms %q, %v", users, left, err)
	}
	for _, n := range nodes {
		n.heard(t, 2*adds+1)
	}
	t.Logf("%d rooms were pruned meanwhile", pruned.Load())
	if pruned.Load() == 0 {
		t.Error("no room was pruned meanwhile")
	}
}

// Four nodes add the same channel as the same user at once: one change.
func TestConcurrentEqualAddsAreOneChange(t *testing.T) {
	s := redistest.Real(t)
	nodes, probe := fleet(t, s, 4, config{}), newProber(t, s, nil)
	owner := nodes[0]
	for i := range 50 {
		room, ch := fmt.Sprint("room", i), owner.Open(t)
		revisions := make([]presence.Revision, len(nodes))
		together(nodes, func(i int, n *node) {
			var err error
			if _, revisions[i], err = n.Add(t.Context(), room, ch.Name(), presence.Member{User: "ana"}); err != nil {
				t.Error(err)
			}
		})
		for _, r := range revisions {
			if r != revisions[0] || r == 0 {
				t.Errorf("revisions %v", revisions)
			}
		}
		if counts, err := owner.Counts(t.Context(), room); err != nil || counts.Presences != 1 || counts.Users != 1 {
			t.Errorf("%+v, %v", counts, err)
		}
		probe.mustReach(t, room, []*groups.Channel{ch}, ch)
	}
	for _, c := range owner.heard(t, 50) {
		if len(c.Added) != 1 || len(c.Removed) != 0 {
			t.Errorf("change %+v", c)
		}
	}
}

// Four nodes prune at once, ten times: each room, with stale channels of all of
// them, changes once, and one of the nodes is told.
func TestConcurrentPrunesAreOneBulkChange(t *testing.T) {
	nodes := fleet(t, redistest.Real(t), 4, config{})
	const rooms, each = 8, 5
	for round := range 10 {
		stale := map[string]bool{}
		for i := range rooms {
			for j := range each {
				by := nodes[(i+j)%len(nodes)]
				ch := by.Enter(t, fmt.Sprint("room", i), "ana")
				by.Age(t, ch, time.Hour)
				stale[ch.Name()] = true
			}
		}
		found := make([][]presence.Change, len(nodes))
		together(nodes, func(i int, n *node) {
			var err error
			if found[i], err = n.Pruner.Presences(t.Context()); err != nil {
				t.Error(err)
			}
		})
		changes := map[string]int{}
		for _, c := range slices.Concat(found...) {
			changes[c.Room]++
			if !c.Bulk || len(c.Added) != 0 || c.Counts.Presences != 0 || len(c.Removed) != each {
				t.Errorf("change %+v", c)
			}
			for _, d := range c.Removed {
				if !stale[d.Channel] {
					t.Errorf("%s was pruned twice, or is not stale", d.Channel)
				}
				delete(stale, d.Channel)
			}
		}
		for room, n := range changes {
			if n != 1 {
				t.Errorf("round %d: %d bulk changes of %s", round, n, room)
			}
		}
		if len(changes) != rooms || len(stale) != 0 {
			t.Errorf("round %d: rooms %v changed, %d are left", round, changes, len(stale))
		}
	}
	bulk := 0
	redistest.Eventually(t, patience, func() error {
		bulk = 0
		for _, n := range nodes {
			for _, c := range n.Changes() {
				if c.Bulk {
					bulk++
				}
			}
		}
		if bulk < 10*rooms {
			return fmt.Errorf("%d bulk changes heard", bulk)
		}
		return nil
	})
	if bulk != 10*rooms {
		t.Errorf("%d bulk changes heard, want %d", bulk, 10*rooms)
	}
}

// Adds and removes of one channel and one room, all at once, leave the state
// and the membership as one of them.
func TestAddsAgainstRemovesOfOneChannelAgree(t *testing.T) {
	s := redistest.Real(t)
	n, probe := newNode(t, s, config{}), newProber(t, s, nil)
	ch := n.Open(t)
	for range 100 {
		var work sync.WaitGroup
		for i := range 6 {
			work.Go(func() {
				for range 10 {
					var err error
					switch i % 3 {
					case 0:
						_, _, err = n.Add(t.Context(), "lobby", ch.Name(), presence.Member{User: "ana"})
					case 1:
						_, err = n.Remove(t.Context(), "lobby", ch.Name())
					default:
						_, err = n.LeaveAll(t.Context(), ch.Name(), presence.Left)
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		work.Wait()
		if err := probe.agree(t.Context(), n, []string{"lobby"}, ch); err != nil {
			t.Fatal(err)
		}
		if _, err := n.LeaveAll(t.Context(), ch.Name(), presence.Left); err != nil {
			t.Fatal(err)
		}
		if state, err := present(t.Context(), n, "lobby"); err != nil || len(state) != 0 {
			t.Fatalf("a leave-all leaves %q, %v", state, err)
		}
	}
}
