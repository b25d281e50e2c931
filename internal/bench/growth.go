package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// growths are the measurements of which a plot is made: cost as the work grows.
func growths() []func(ctx context.Context, b *bench) ([]*chart, error) {
	return []func(context.Context, *bench) ([]*chart, error){
		growRoomsPerChannel, growMembersPerRoom, growPresences, growNodes,
	}
}

// plot measures and writes the plots into a folder.
func (b *bench) plot(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, grow := range growths() {
		charts, err := grow(ctx, b)
		if err != nil {
			return err
		}
		for _, c := range charts {
			f, err := os.Create(filepath.Join(dir, c.file+".svg"))
			if err != nil {
				return err
			}
			err = c.svg(f)
			if closeErr := f.Close(); err == nil {
				err = closeErr
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

const cpuLabel = "Redis CPU, µs"

// growRoomsPerChannel is the cost for each presence, as connections are in more
// rooms.
func growRoomsPerChannel(ctx context.Context, b *bench) ([]*chart, error) {
	c := &chart{file: "rooms-per-channel", title: "Rooms of a connection, 64 callers", x: "rooms of each connection", y: cpuLabel + " for each presence"}
	for _, each := range []int{1, 2, 5, 10, 20, 50, 100} {
		for _, name := range []string{ours, um} {
			n := max(64, b.ops(20_000/each))
			rooms := roomNames(max(each, n*each/100))
			if err := b.empty(ctx); err != nil {
				return nil, err
			}
			s, err := openGrowing(ctx, name, b.server.addr)
			if err != nil {
				return nil, err
			}
			m, err := b.liveThrough(ctx, s, rooms, n, each)
			s.close()
			if err != nil {
				return nil, fmt.Errorf("%d rooms, %s: %w", each, name, err)
			}
			for _, what := range []metric{"join", "touch", "leave all"} {
				c.add(name+", "+string(what), float64(each), m[what]/float64(each))
			}
		}
	}
	return []*chart{c}, nil
}

// liveThrough lets n members join rooms, be touched, and leave. It returns the
// cost for each member.
func (b *bench) liveThrough(ctx context.Context, s side, rooms []string, n, each int) (sample, error) {
	if err := s.subscribe(ctx, rooms); err != nil {
		return nil, err
	}
	if err := s.grow(n); err != nil {
		return nil, err
	}
	join, err := b.run(ctx, work{64, n * each, func(i int) error {
		return s.join(ctx, roomsOf(rooms, i/each, each)[i%each], i/each)
	}})
	if err != nil {
		return nil, err
	}
	var touch sample
	if r, ok := s.(*rollcall); ok {
		touch, err = b.flush(ctx, r, n, 1)
	} else {
		touch, err = b.run(ctx, work{64, n, func(i int) error {
			return s.(refresher).refresh(ctx, roomsOf(rooms, i, each), i)
		}})
	}
	if err != nil {
		return nil, err
	}
	leave, err := b.run(ctx, work{64, n, func(i int) error { return s.leaveAll(ctx, roomsOf(rooms, i, each), i) }})
	if err != nil {
		return nil, err
	}
	return sample{"join": join[cpuOp] * float64(each), "touch": touch[cpuOp], "leave all": leave[cpuOp]}, nil
}

// growMembersPerRoom is the cost of an operation on a room, as it has more
// members.
func growMembersPerRoom(ctx context.Context, b *bench) ([]*chart, error) {
	one := &chart{file: "members-per-room", title: "Members of a room, 64 callers", x: "members of the room", y: cpuLabel + " for each operation"}
	all := &chart{file: "snapshot", title: "Snapshot of a room, 4 callers", x: "members of the room", y: cpuLabel + " for each member read"}
	for _, size := range []int{1, 10, 100, 1000, 10_000, 100_000} {
		if size > b.most {
			break
		}
		rooms := roomNames(10)
		if size > 10_000 {
			rooms = rooms[:2]
		}
		for _, name := range []string{ours, um} {
			if err := b.empty(ctx); err != nil {
				return nil, err
			}
			_, err := b.with(ctx, name, func(s side) (sample, error) {
				n, more := size*len(rooms), max(64, b.ops(2000))
				if err := fill(ctx, s, rooms, n, 1); err != nil {
					return nil, err
				}
				if err := s.grow(n + more); err != nil {
					return nil, err
				}
				snapshots := max(4, b.ops(200_000/size))
				for _, w := range []struct {
					chart *chart
					what  string
					work  work
					units int
				}{
					{all, "snapshot", work{4, snapshots, func(i int) error {
						_, err := s.snapshot(ctx, rooms[i%len(rooms)])
						return err
					}}, size},
					{one, "counts", work{64, more, func(i int) error {
						_, _, err := s.counts(ctx, rooms[i%len(rooms)])
						return err
					}}, 1},
					{one, "join", work{64, more, func(i int) error { return s.join(ctx, rooms[i%len(rooms)], n+i) }}, 1},
					{one, "leave", work{64, more, func(i int) error { return s.leave(ctx, rooms[i%len(rooms)], n+i) }}, 1},
				} {
					m, err := b.run(ctx, w.work)
					if err != nil {
						return nil, err
					}
					w.chart.add(name+", "+w.what, float64(size), m[cpuOp]/float64(w.units))
				}
				return nil, nil
			})
			if err != nil {
				return nil, fmt.Errorf("%d members, %s: %w", size, name, err)
			}
		}
	}
	return []*chart{one, all}, nil
}
