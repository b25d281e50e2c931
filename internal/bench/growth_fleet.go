package main

import (
	"context"
	"fmt"
	"time"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// growPresences is the cost of an operation, as there are more presences in
// all, in rooms of a hundred on one node.
func growPresences(ctx context.Context, b *bench) ([]*chart, error) {
	cost := &chart{file: "presences", title: "Presences in all, 64 callers", x: "presences, in rooms of 100", y: cpuLabel}
	bytes := &chart{file: "bytes", title: "Memory of Redis", x: "presences, in rooms of 100", y: "bytes for each presence"}
	for _, name := range []string{ours, um} {
		if err := b.empty(ctx); err != nil {
			return nil, err
		}
		empty, err := usedMemory(ctx, b.client)
		if err != nil {
			return nil, err
		}
		s, err := openGrowing(ctx, name, b.server.addr)
		if err != nil {
			return nil, err
		}
		err = b.growTo(ctx, s, name, empty, cost, bytes)
		s.close()
		if err != nil {
			return nil, err
		}
	}
	return []*chart{cost, bytes}, nil
}

// openGrowing opens a side whose presences stay although it takes minutes.
func openGrowing(ctx context.Context, name, addr string) (side, error) {
	if name == ours {
		return newRollcall(ctx, addr, &presence.Options{MaxAge: time.Hour, FlushInterval: time.Second})
	}
	return openSide(ctx, name, addr)
}

func (b *bench) growTo(ctx context.Context, s side, name string, empty float64, cost, bytes *chart) error {
	for have, want := 0, 1000; want <= b.most; want *= 10 {
		if err := s.grow(want + 1000); err != nil {
			return err
		}
		err := parallel(1024, want-have, func(i int) error { return s.join(ctx, roomName((have+i)/100), have+i) })
		if err != nil {
			return err
		}
		have = want
		used, err := usedMemory(ctx, b.client)
		if err != nil {
			return err
		}
		bytes.add(name, float64(want), (used-empty)/float64(want))
		if err := s.subscribe(ctx, roomNames(max(10, want/100))); err != nil {
			return err
		}
		room := func(i int) string { return roomName(i % max(10, want/100)) }
		join, err := b.run(ctx, work{64, 1000, func(i int) error { return s.join(ctx, room(i), want+i) }})
		if err != nil {
			return err
		}
		cost.add(name+", join", float64(want), join[cpuOp])
		leave, err := b.run(ctx, work{64, 1000, func(i int) error { return s.leave(ctx, room(i), want+i) }})
		if err != nil {
			return err
		}
		cost.add(name+", leave", float64(want), leave[cpuOp])
		if r, ok := s.(*rollcall); ok {
			touch, err := b.flush(ctx, r, want, 1)
			if err != nil {
				return err
			}
			cost.add(name+", touch", float64(want), touch[cpuOp])
			sweep, err := b.sweep(ctx, r, 50)
			if err != nil {
				return err
			}
			cost.add(name+", sweep of nothing", float64(want), sweep[cpuOp])
		}
	}
	return nil
}

// sweep is a number of sweeps that find nothing.
func (b *bench) sweep(ctx context.Context, r *rollcall, times int) (sample, error) {
	pruner, err := prune.New(r.tracker, nil)
	if err != nil {
		return nil, err
	}
	return b.run(ctx, work{1, times, func(int) error {
		changes, err := pruner.Presences(ctx)
		if err == nil && len(changes) > 0 {
			err = fmt.Errorf("%d rooms had stale presences", len(changes))
		}
		return err
	}})
}

// growNodes is the cost of an operation on rooms that more nodes hear.
func growNodes(ctx context.Context, b *bench) ([]*chart, error) {
	c := &chart{file: "nodes", title: "Nodes that hear the rooms, 64 callers", x: "nodes", y: cpuLabel + " for each operation"}
	rooms := roomNames(100)
	for _, nodes := range []int{1, 2, 4, 8, 16} {
		for _, name := range []string{ours, um} {
			if err := b.empty(ctx); err != nil {
				return nil, err
			}
			m, err := b.withNodes(ctx, name, nodes, func(all []side) (sample, error) {
				for _, s := range all {
					if err := s.subscribe(ctx, rooms); err != nil {
						return nil, err
					}
				}
				n := b.ops(5000)
				if err := all[0].grow(n); err != nil {
					return nil, err
				}
				join, err := b.run(ctx, work{64, n, func(i int) error { return all[0].join(ctx, rooms[i%100], i) }})
				if err != nil {
					return nil, err
				}
				m := sample{"join": join[cpuOp]}
				if r, ok := all[0].(*rollcall); ok {
					sweep, err := b.sweep(ctx, r, 100)
					if err != nil {
						return nil, err
					}
					m["sweep of nothing"] = sweep[cpuOp]
				}
				return m, nil
			})
			if err != nil {
				return nil, fmt.Errorf("%d nodes, %s: %w", nodes, name, err)
			}
			for _, what := range []metric{"join", "sweep of nothing"} {
				if y, ok := m[what]; ok {
					c.add(name+", "+string(what), float64(nodes), y)
				}
			}
		}
	}
	return []*chart{c}, nil
}

// withNodes is with for several nodes.
func (b *bench) withNodes(ctx context.Context, name string, n int, f func(all []side) (sample, error)) (sample, error) {
	var all []side
	for range n {
		s, err := openSide(ctx, name, b.server.addr)
		if err != nil {
			return nil, err
		}
		defer s.close()
		all = append(all, s)
	}
	return f(all)
}
