package main

import (
	"context"
	"fmt"
)

// readTable is what a reader asks Redis.
func readTable() table {
	t := table{title: "Reads from Redis", columns: writeColumns}
	limit := map[int]target{
		100:  {of: cpuOp, atMost: 13, scaleBy: peer, was: 63},
		1000: {of: cpuOp, atMost: 190, scaleBy: peer, was: 826},
	}
	for _, size := range []int{10, 100, 1000, 10_000} {
		r := row{
			name:  fmt.Sprintf("snapshot of %d, 16 callers", size),
			sides: []string{ours, peer, maps, hgetall},
			quick: size == 100 || size == 1000,
			turn:  snapshotTurn(size),
		}
		if t, ok := limit[size]; ok {
			r.targets = []target{t}
		}
		t.rows = append(t.rows, r)
	}
	for _, callers := range []int{64, 1024} {
		t.rows = append(t.rows, row{
			name:  fmt.Sprintf("counts of a room, %d callers", callers),
			sides: []string{ours, um, maps},
			turn:  countsTurn(callers),
		})
	}
	t.rows = append(t.rows, row{
		name:    "counts of 500 rooms, for each, 16 callers",
		sides:   []string{ours, um, maps},
		quick:   true,
		targets: []target{{of: cpuOp, atMost: 0.6, scaleBy: um, was: 4.5}},
		turn:    countsOfTurn(500),
	})
	return t
}

func snapshotTurn(size int) func(context.Context, *bench, string) (sample, error) {
	return func(ctx context.Context, b *bench, name string) (sample, error) {
		return b.with(ctx, name, func(s side) (sample, error) {
			room := roomNames(1)
			if err := fill(ctx, s, room, size, 1); err != nil {
				return nil, err
			}
			n := b.ops(min(50_000, 2_000_000/size))
			return b.run(ctx, work{16, n, func(int) error {
				got, err := s.snapshot(ctx, room[0])
				if err == nil && got != size {
					err = fmt.Errorf("snapshot has %d of %d", got, size)
				}
				return err
			}})
		})
	}
}

func countsTurn(callers int) func(context.Context, *bench, string) (sample, error) {
	return func(ctx context.Context, b *bench, name string) (sample, error) {
		return b.with(ctx, name, func(s side) (sample, error) {
			each := b.ops(100)
			rooms := roomNames(100)
			if err := fill(ctx, s, rooms, 100*each, 1); err != nil {
				return nil, err
			}
			return b.run(ctx, work{callers, b.ops(200_000), func(i int) error {
				got, _, err := s.counts(ctx, rooms[i%100])
				if err == nil && got != each {
					err = fmt.Errorf("%d presences of %d", got, each)
				}
				return err
			}})
		})
	}
}

// countsOfTurn asks for the counts of many rooms, in one round trip where the
// side can.
func countsOfTurn(each int) func(context.Context, *bench, string) (sample, error) {
	return func(ctx context.Context, b *bench, name string) (sample, error) {
		return b.with(ctx, name, func(s side) (sample, error) {
			rooms := roomNames(each)
			if err := fill(ctx, s, rooms, each*b.ops(10), 1); err != nil {
				return nil, err
			}
			m, err := b.run(ctx, work{16, b.ops(1000), func(int) error {
				if r, ok := s.(*rollcall); ok {
					_, err := r.tracker.CountsOf(ctx, rooms...)
					return err
				}
				return parallel(64, each, func(i int) error {
					_, _, err := s.counts(ctx, rooms[i])
					return err
				})
			}})
			if err != nil {
				return nil, err
			}
			m[kops] *= float64(each)
			m[cpuOp] /= float64(each)
			return m, nil
		})
	}
}
