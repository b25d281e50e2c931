package main

import (
	"bytes"
	"context"
	"runtime"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

const (
	heapMB   metric = "heap MB"
	idle     metric = "idle, % of a core"
	touched  metric = "touched, % of a core"
	redisUse metric = "Redis, % of a core"
)

// nodeTable is one node with many connections.
func nodeTable() table {
	t := table{title: "A node with 100,000 connections in 2 rooms each", columns: []metric{heapMB, idle, touched, redisUse}}
	for name, rooms := range map[string]int{"rooms of 100": 2000} {
		t.rows = append(t.rows, row{
			name:    name,
			sides:   []string{ours},
			targets: []target{{of: heapMB, atMost: 150}, {of: idle, atMost: 3}},
			turn: func(ctx context.Context, b *bench, _ string) (sample, error) {
				return nodeTurn(ctx, b, b.ops(100_000), b.ops(rooms))
			},
		})
	}
	return t
}

// nodeTurn measures what the library holds, the users and infos of the members
// included, and what it does when nobody does anything, and when each
// connection is touched every 25 s.
func nodeTurn(ctx context.Context, b *bench, n, rooms int) (sample, error) {
	names := roomNames(rooms)
	channels := make([]*groups.Channel, 0, n)
	before := heap()
	r, err := newRollcall(ctx, b.server.addr, nil)
	if err != nil {
		return nil, err
	}
	defer r.close()
	r.channels = channels
	if err := r.grow(n); err != nil {
		return nil, err
	}
	err = parallel(1024, n, func(i int) error {
		who := presence.Member{User: userName(i), Info: bytes.Clone(infoBytes)}
		for _, room := range roomsOf(names, i, 2) {
			if _, _, err := r.tracker.Add(ctx, room, r.channels[i].Name(), who); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	m := sample{heapMB: (heap() - before) / 1e6}
	watch := max(time.Second, time.Duration(b.scale*float64(10*time.Second)))
	m[idle] = busy(watch, func(time.Duration) {})
	redisBefore, err := cpu(ctx, b.client)
	if err != nil {
		return nil, err
	}
	next := 0
	m[touched] = busy(watch, func(since time.Duration) {
		for ; next < int(since.Seconds()/25*float64(n)); next++ {
			r.tracker.Touch(r.channels[next%n].Name())
		}
	})
	redisAfter, err := cpu(ctx, b.client)
	m[redisUse] = (redisAfter - redisBefore).Seconds() / watch.Seconds() * 100
	runtime.KeepAlive(channels)
	return m, err
}

// heap is what is in use after a collection.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// busy calls tick every 10 ms for a while, and returns how much of a core the
// process has used.
func busy(d time.Duration, tick func(since time.Duration)) float64 {
	before, start := processCPU(), time.Now()
	for time.Since(start) < d {
		tick(time.Since(start))
		time.Sleep(10 * time.Millisecond)
	}
	return float64(processCPU()-before) / float64(time.Since(start)) * 100
}
