package prune_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

const stadium = 1200 // more than are read in one step

// busyNode is one that is short of patience. On miniredis, whose scripts are slow,
// it has more.
func busyNode(t *testing.T, s *redistest.Server) *node {
	t.Helper()
	age, sweeps := 3*time.Second, 20*time.Millisecond
	if !s.Real() {
		age, sweeps = time.Minute, 500*time.Millisecond
	}
	of := presence.Options{MaxAge: age, FlushInterval: age / 10, RememberUsers: time.Second}
	return startNode(t, s, of, &prune.Options{Interval: sweeps})
}

// visit has one connection come, do this and that in some rooms, and go in one of
// several ways, or say nothing any more and be pruned.
func (n *node) visit(ctx context.Context, r *rand.Rand) error {
	c, err := n.Layer.NewChannel()
	if err != nil {
		return err
	}
	user := presence.Member{User: fmt.Sprint("user", r.IntN(5)), Info: []byte("hello")}
	if r.IntN(4) == 0 {
		user.User = ""
	}
	rooms := []string{"stadium", fmt.Sprint("room", r.IntN(6)), fmt.Sprint("room", r.IntN(6))}
	for _, room := range rooms {
		if _, _, err := n.Add(ctx, room, c.Name(), user); err != nil {
			return err
		}
	}
	n.Touch(c.Name())
	switch r.IntN(6) {
	case 0:
		_, err = n.LeaveAllAfter(ctx, c.Name(), presence.Disconnected, time.Duration(r.IntN(50)+1)*time.Millisecond)
	case 1:
		_, err = n.Remove(ctx, rooms[0], c.Name())
		if err == nil {
			_, _, err = n.Add(ctx, rooms[1], c.Name(), presence.Member{User: "changed"})
		}
	case 2:
		return nil // silent
	case 3:
		_, err = n.Kick(ctx, presence.Kick{Channel: c.Name()})
	}
	if err == nil {
		_, err = n.LeaveAll(ctx, c.Name(), presence.Left)
	}
	return err
}

// die has a node register, enter rooms, and be heard of no more.
func die(ctx context.Context, store *luascripts.Store, id string) error {
	r := luascripts.Registration{Node: id, Token: id, Lease: 300 * time.Millisecond, MaxAge: time.Minute}
	shard := store.Shard("room0")
	inc, err := store.Register(ctx, shard, r, "", false)
	if err != nil {
		return err
	}
	b := luascripts.Batch{Shard: shard, Node: id, Incarnation: inc.ID, Number: 1}
	for i := range 20 {
		room := fmt.Sprint("room", i%6)
		if store.Shard(room) != shard {
			room = "room0"
		}
		b.Ops = append(b.Ops, luascripts.Op{
			Action: luascripts.Add, Room: room, Short: fmt.Sprint(i), Record: luascripts.Record{User: "mortal"},
		})
	}
	_, err = store.Write(ctx, b)
	if errors.Is(err, luascripts.ErrFenced) {
		return nil // swept before it could enter
	}
	return err
}

// A fleet in which everything happens at once, and nothing is wrong.
func TestABusyFleetIsFoundRight(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		workers, dying := 3, 50*time.Millisecond
		if !s.Real() {
			workers, dying = 1, time.Second
		}
		nodes := []*node{busyNode(t, s), busyNode(t, s), busyNode(t, s)}
		var crowd []*groups.Channel
		for i := range stadium {
			crowd = append(crowd, nodes[i%3].Enter(t, "stadium", fmt.Sprint("fan", i/2)))
		}
		ctx, cancel := context.WithCancel(t.Context())
		var visits atomic.Int64
		var work sync.WaitGroup
		go func() {
			for ; ctx.Err() == nil; sleep(ctx, 200*time.Millisecond) {
				for i, c := range crowd {
					nodes[i%3].Touch(c.Name())
				}
			}
		}()
		for i, n := range nodes {
			work.Go(func() { _ = n.pruner.Run(ctx) }) // ends with ctx
			for seed := range workers {
				r := rand.New(rand.NewPCG(uint64(i), uint64(seed)))
				work.Go(func() {
					for ; ctx.Err() == nil; visits.Add(1) {
						if err := n.visit(ctx, r); err != nil && ctx.Err() == nil {
							t.Error(err)
							return
						}
					}
				})
			}
		}
		work.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := die(ctx, nodes[0].Store(), fmt.Sprint("mortal", i)); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
				sleep(ctx, dying)
			}
		})
		checker, err := prune.NewChecker(nodes[0], nil)
		if err != nil {
			t.Fatal(err)
		}
		start, passes, found := time.Now(), 0, 0
		more := func() bool {
			took := time.Since(start)
			return passes < 20 && took < 5*time.Second || visits.Load() < 100 && took < time.Minute
		}
		for ; more(); passes++ {
			for p, err := range checker.Check(t.Context()) {
				if err != nil {
					t.Error(err)
				} else if found++; found <= 10 {
					t.Errorf("found %v", p)
				}
			}
		}
		took := time.Since(start)
		cancel()
		work.Wait()
		t.Logf("%d passes in %v beside %d visits: %d found", passes, took, visits.Load(), found)
		if visits.Load() < 100 {
			t.Errorf("%d visits are no load", visits.Load())
		}
	})
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
