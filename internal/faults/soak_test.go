package faults_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

var (
	soakFor  = flag.Duration("faults.soak", 0, "soak a fleet for so long; 0: not at all")
	soakSize = flag.Int("faults.connections", 20_000, "how many connections a soaked fleet has")
)

// TestSoak has four nodes hold many connections, which come and go all the while,
// under one random fault after the other. After each, all is right; at the end,
// when all have gone, each node uses what it used at first.
func TestSoak(t *testing.T) {
	if *soakFor == 0 {
		t.Skip("runs with -faults.soak")
	}
	redistest.RequireProgram(t, "redis-server", "valkey-server")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	m := &mix{random: rand.New(rand.NewPCG(seed, 0))}
	m.setup = setup{nodes: 4, linked: true, replicas: true, args: nodeArgs{Quiet: true, MaxAge: 20 * time.Second}}
	m.fleet = newFleet(t, run{"soak", server}, m.setup)
	m.rewound = true
	m.tellUse("at first")
	start := time.Now()
	for time.Since(start) < *soakFor && !t.Failed() {
		m.hold(*soakSize / m.setup.nodes)
		last(5 * time.Second)
		what := m.wreck()
		over := time.Now()
		m.calm()
		m.replace()
		redistest.Eventually(t, 2*patience, m.counted)
		m.settled(over, patience, what)
		m.tellUse(fmt.Sprint("after ", time.Since(start).Round(time.Second)))
	}
	for _, n := range m.living() {
		ask[int](m.fleet, n, "empty", 0)
	}
	last(3 * time.Second) // topics linger
	m.tellUse("when all have gone")
	m.finish()
}

// tellUse prints what the nodes use, by node.
func (m *mix) tellUse(when string) {
	m.t.Helper()
	var heap, goroutines, files []string
	for _, n := range m.living() {
		u := ask[used](m.fleet, n, "used", 0)
		heap = append(heap, fmt.Sprintf("%.1f", float64(u.Heap)/(1<<20)))
		goroutines, files = append(goroutines, fmt.Sprint(u.Goroutines)), append(files, fmt.Sprint(u.Files))
	}
	m.t.Logf("soak %s: MiB %s; goroutines %s; files %s", when, heap, goroutines, files)
}

// hold has each node fill up to so many connections, and has them come and go
// until calm.
func (m *mix) hold(connections int) {
	m.t.Helper()
	var work sync.WaitGroup
	for _, n := range m.living() {
		work.Go(func() {
			if _, err := try[int](m.fleet, n, "hold", connections); err != nil {
				m.t.Error(err)
			}
		})
	}
	work.Wait()
}

// counted compares the counts of all rooms with who is connected.
func (m *mix) counted() error {
	want := map[string]int{}
	for _, n := range m.living() {
		own, err := try[map[string]int](m.fleet, n, "census", 0)
		if err != nil {
			return err
		}
		for room, count := range own {
			want[room] += count
		}
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	reader, err := presence.NewReader(ctx, m.client, nil)
	if err != nil {
		return err
	}
	rooms := slices.Sorted(maps.Keys(want))
	counts, err := reader.CountsOf(ctx, rooms...)
	if err != nil {
		return err
	}
	for i, room := range rooms {
		if got := counts[i].Presences; got != want[room] {
			return fmt.Errorf("%s has %d presences, want %d", room, got, want[room])
		}
	}
	return nil
}

// census is how many of this node's connections are in each room.
func (n *node) census() map[string]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	rooms := map[string]int{}
	for _, p := range n.people {
		for _, room := range p.rooms {
			rooms[room]++
		}
	}
	return rooms
}

const churners = 16 // who replace one connection after the other

// hold fills up to so many connections, each read by a goroutine, and replaces
// them until the load is stopped.
func (n *node) hold(connections int) error {
	enter := func() error {
		j := joining{User: fmt.Sprint("user", rand.IntN(10_000)), Info: fmt.Sprint(rand.IntN(1000))}
		j.Rooms = []string{fmt.Sprint("soak", rand.IntN(1000)), fmt.Sprint("soak", 1000+rand.IntN(1000))}
		if rand.IntN(100) == 0 {
			j.Rooms[0] = rooms[0]
		}
		name, err := n.joinOnce(j)
		if err != nil {
			return err
		}
		if ch, ok := n.layer.Channel(name); ok {
			go func() {
				for {
					if _, err := ch.Receive(context.Background()); err != nil { // until it is closed
						return
					}
				}
			}()
		}
		return nil
	}
	missing := func() int {
		n.mu.Lock()
		defer n.mu.Unlock()
		return connections - len(n.people)
	}
	var filling sync.WaitGroup
	for range churners {
		filling.Go(func() {
			for missing() > 0 {
				if enter() != nil {
					last(50 * time.Millisecond)
				}
			}
		})
	}
	filling.Wait()
	ctx, calm := context.WithCancel(context.Background())
	n.calm = calm
	for range churners {
		n.loading.Go(func() {
			for ctx.Err() == nil {
				last(rand.N(200 * time.Millisecond))
				if missing() <= 0 {
					_ = n.leave(leaving{n.somebody(), time.Duration(rand.IntN(2)) * lease / 2})
				}
				_ = enter()
			}
		})
	}
	return nil
}

// somebody is a connection by chance.
func (n *node) somebody() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for channel := range n.people {
		return channel
	}
	return ""
}
