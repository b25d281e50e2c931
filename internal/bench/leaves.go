package main

import (
	"context"
	"fmt"
)

// leaveTable is a departure and its event, from one room and from ten at once.
func leaveTable() table {
	t := table{title: "Leave and its event", columns: writeColumns}
	for _, callers := range []int{64, 1024} {
		one := row{
			name:  fmt.Sprintf("leave, 1,000 rooms, %d callers", callers),
			sides: writers,
			quick: callers == 64,
			turn:  leaveTurn(callers),
		}
		ten := row{
			name:  fmt.Sprintf("leave all of 10 rooms, %d callers", callers),
			sides: writers,
			quick: callers == 64,
			turn:  leaveAllTurn(callers),
		}
		if callers == 64 {
			one.targets = []target{{of: cpuOp, atMost: 5, scaleBy: um, was: 12.2}}
			ten.targets = []target{{of: cpuOp, atMost: 35, scaleBy: um, was: 123}}
		}
		t.rows = append(t.rows, one, ten)
	}
	return t
}

func leaveTurn(callers int) func(context.Context, *bench, string) (sample, error) {
	return func(ctx context.Context, b *bench, name string) (sample, error) {
		n := b.ops(50_000)
		return b.with(ctx, name, func(s side) (sample, error) {
			names := roomNames(max(1, n/100))
			if err := fill(ctx, s, names, n, 1); err != nil {
				return nil, err
			}
			m, err := b.run(ctx, work{callers, n, func(i int) error { return s.leave(ctx, names[i%len(names)], i) }})
			if err != nil {
				return nil, err
			}
			return m, expect(ctx, s, names[0], 0)
		})
	}
}

func leaveAllTurn(callers int) func(context.Context, *bench, string) (sample, error) {
	return func(ctx context.Context, b *bench, name string) (sample, error) {
		n := b.ops(10_000)
		return b.with(ctx, name, func(s side) (sample, error) {
			names := roomNames(max(10, n/10))
			if err := fill(ctx, s, names, n, 10); err != nil {
				return nil, err
			}
			m, err := b.run(ctx, work{callers, n, func(i int) error { return s.leaveAll(ctx, roomsOf(names, i, 10), i) }})
			if err != nil {
				return nil, err
			}
			return m, expect(ctx, s, names[0], 0)
		})
	}
}

// fill puts n members into so many rooms each.
func fill(ctx context.Context, s side, names []string, n, each int) error {
	if err := s.subscribe(ctx, names); err != nil {
		return err
	}
	if err := s.grow(n); err != nil {
		return err
	}
	return parallel(1024, n*each, func(i int) error {
		member, k := i/each, i%each
		return s.join(ctx, names[(member*each+k)%len(names)], member)
	})
}

// roomsOf are the rooms that fill has put a member into.
func roomsOf(names []string, member, each int) []string {
	rooms := make([]string, each)
	for k := range rooms {
		rooms[k] = names[(member*each+k)%len(names)]
	}
	return rooms
}
