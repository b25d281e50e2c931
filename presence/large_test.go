package presence_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// longestScript is for how long a script may hold Redis.
const longestScript = 5 * time.Millisecond

// quickScripts sees that no script of the test takes long, by the server's own
// clock. That goes on while a busy machine lets another process run, so that some
// may: where it is the script, most of its calls are slow. All may take longer by as
// much as they took longer together than the server's processor time.
func quickScripts(t *testing.T, s *redistest.Server, f func()) {
	t.Helper()
	log := s.SlowLog(0)
	s.SetConfig("slowlog-max-len", "1000000")
	before := s.CPU()
	f()
	used, total := s.CPU()-before, time.Duration(0)
	scripts := log.Scripts()
	for _, script := range scripts {
		total += script.Took
	}
	longest := time.Duration(float64(longestScript) * max(1, total.Seconds()/used.Seconds()))
	calls, slow := map[string]int{}, map[string][]time.Duration{}
	for _, script := range scripts {
		sha := script.Args[1]
		calls[sha]++
		if script.Took > longest {
			slow[sha] = append(slow[sha], script.Took)
		}
	}
	t.Logf("%d calls, the longest of %v, allowed %v", len(scripts), log.Longest().Took, longest)
	for sha, took := range slow {
		if len(took) > 1 && 4*len(took) > 3*calls[sha] {
			t.Errorf("%d of %d calls of %s took long: %v", len(took), calls[sha], sha, took)
		}
	}
}

// stranger is a node that is only a name in Redis, with many presences, until its
// lease lapses.
func stranger(t *testing.T, n *node, room string, members, info int, lease time.Duration) {
	t.Helper()
	store, shard := n.Store(), n.Store().Shard(room)
	registration := luascripts.Registration{Node: "stranger", Token: "t", Lease: lease, MaxAge: time.Minute}
	incarnation, err := store.Register(t.Context(), shard, registration, "", false)
	if err != nil {
		t.Fatal(err)
	}
	batch := max(1, min(256, 64<<10/info))
	for i := 0; i < members; i += batch {
		b := luascripts.Batch{Shard: shard, Node: "stranger", Incarnation: incarnation.ID, Number: int64(1 + i/batch)}
		for j := i; j < min(i+batch, members); j++ {
			b.Ops = append(b.Ops, luascripts.Op{
				Action: luascripts.Add, Room: room, Short: fmt.Sprint(j), Record: luascripts.Record{User: fmt.Sprint("user", j), Info: bytes.Repeat([]byte("i"), info)},
			})
		}
		if _, err := store.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if i/batch%20 == 0 {
			if _, _, err := store.Renew(t.Context(), shard, registration, incarnation.ID, b.Number); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Row 25: a room of 100,000, whose list is read in pages, and which all leave at
// once as their node dies. No script holds Redis for long.
func TestHugeRoom(t *testing.T) {
	const members, lease = 100_000, 3 * time.Second
	s := redistest.Real(t)
	n := newNode(t, s, presence.Options{Lease: lease})
	quickScripts(t, s, func() {
		stranger(t, n, "lobby", members, 64, lease)
		w := watch(t, n, "lobby", nil)
		if c := w.Counts(); c.Presences != members || c.Users != members {
			t.Errorf("the view has %+v", c)
		}
		seen := 0
		for _, err := range n.All(t.Context(), "lobby") {
			if err != nil {
				t.Fatal(err)
			}
			seen++
		}
		if seen != members {
			t.Errorf("%d in the pages", seen)
		}
		c := n.open(t)
		n.add(t, "lobby", c, "ana")
		if _, err := n.LeaveAll(t.Context(), c, presence.Left); err != nil {
			t.Fatal(err)
		}
		pruner, err := prune.New(n.Tracker, nil)
		if err != nil {
			t.Fatal(err)
		}
		removed := 0
		redistest.Eventually(t, time.Minute, func() error {
			changes, err := pruner.Presences(t.Context())
			if err != nil {
				return err
			}
			for _, c := range changes {
				removed += len(c.Removed)
			}
			if removed < members {
				return fmt.Errorf("%d removed", removed)
			}
			return nil
		})
		redistest.Eventually(t, time.Minute, func() error {
			if c := w.Counts(); removed != members || c.Presences != 0 || c.Users != 0 {
				return fmt.Errorf("%d removed, the view has %+v", removed, c)
			}
			return nil
		})
	})
}

// Row 25: infos of 64 KiB, many at once, and of all who leave together.
func TestHugeInfo(t *testing.T) {
	const members, size, lease = 1000, 64 << 10, 3 * time.Second
	s := redistest.Real(t)
	n := newNode(t, s, presence.Options{MaxInfo: size, Lease: lease})
	info := bytes.Repeat([]byte("\x00\xff:+1\n!"), size)[:size]
	quickScripts(t, s, func() {
		w := watch(t, n, "lobby", nil)
		channels := make([]string, members)
		var joining sync.WaitGroup
		for i := range channels {
			channels[i] = n.open(t)
			joining.Go(func() {
				_, _, err := n.Add(t.Context(), "lobby", channels[i], presence.Member{User: fmt.Sprint("user", i), Info: info})
				if err != nil {
					t.Error(err)
				}
			})
		}
		joining.Wait()
		all, err := n.Snapshot(t.Context(), "lobby")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all.Presences {
			if !bytes.Equal(p.Info, info) {
				t.Fatalf("%s has an info of %d bytes", p.Channel, len(p.Info))
			}
		}
		redistest.Eventually(t, patience, func() error {
			if c := w.Counts(); c != all.Counts || c.Presences != members {
				return fmt.Errorf("the view has %+v, Redis %+v", c, all.Counts)
			}
			return nil
		})
		// All leave: those of another node, which dies, some in their grace, and
		// those of this one.
		stranger(t, n, "lobby", members, size, lease)
		for _, c := range channels[:members/2] {
			if _, err := n.LeaveAllAfter(t.Context(), c, presence.Disconnected, time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		pruner, err := prune.New(n.Tracker, nil)
		if err != nil {
			t.Fatal(err)
		}
		redistest.Eventually(t, patience, func() error {
			if _, err := pruner.Presences(t.Context()); err != nil {
				return err
			}
			if c := w.Counts(); c.Presences != members/2 {
				return fmt.Errorf("%d are there", c.Presences)
			}
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := n.Close(ctx); err != nil {
			t.Fatal(err)
		}
	})
}
