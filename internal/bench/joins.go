package main

import (
	"context"
	"fmt"
)

var writeColumns = []metric{kops, p50, p99, processOp, cpuOp}

// joinTable is a join and its event, in rooms of several shapes.
func joinTable() table {
	t := table{title: "Join and its event", columns: writeColumns}
	limit := map[int]target{
		64:   {of: cpuOp, atMost: 5.5, scaleBy: um, was: 15.3},
		1024: {of: cpuOp, atMost: 4.5, scaleBy: um, was: 13.1},
	}
	for _, callers := range []int{64, 1024} {
		t.rows = append(t.rows, row{
			name:  fmt.Sprintf("join, 1,000 rooms, %d callers", callers),
			sides: writers,
			quick: true,
			targets: []target{
				limit[callers],
				{of: kops, against: um, atLeast: 1.8},
			},
			turn: joinTurn(callers, func(n int) int { return max(1, n/100) }),
		}, row{
			name:  fmt.Sprintf("join, a room of its own, %d callers", callers),
			sides: writers,
			targets: []target{
				limit[callers],
				{of: kops, against: um, atLeast: 1.8},
			},
			turn: joinTurn(callers, func(n int) int { return n }),
		}, row{
			name:  fmt.Sprintf("join and first subscription, %d callers", callers),
			sides: everyone,
			turn:  firstJoinTurn(callers),
		})
	}
	t.rows = append(t.rows, row{
		name:    "join, all one room, 1024 callers",
		sides:   everyone,
		quick:   true,
		targets: []target{{of: cpuOp, atMost: 2, scaleBy: um, was: 13.1}},
		turn:    joinTurn(1024, func(int) int { return 1 }),
	})
	return t
}

// joinTurn joins rooms that the node hears already. Callers that follow each
// other join different rooms.
func joinTurn(callers int, rooms func(n int) int) func(context.Context, *bench, string) (sample, error) {
	return func(ctx context.Context, b *bench, name string) (sample, error) {
		n := b.ops(50_000)
		return b.with(ctx, name, func(s side) (sample, error) {
			names := roomNames(rooms(n))
			if err := s.subscribe(ctx, names); err != nil {
				return nil, err
			}
			if err := s.grow(n); err != nil {
				return nil, err
			}
			m, err := b.run(ctx, work{callers, n, func(i int) error { return s.join(ctx, names[i%len(names)], i) }})
			if err != nil {
				return nil, err
			}
			return m, expect(ctx, s, names[0], n/len(names))
		})
	}
}

// firstJoinTurn joins rooms that the node does not hear.
func firstJoinTurn(callers int) func(context.Context, *bench, string) (sample, error) {
	return func(ctx context.Context, b *bench, name string) (sample, error) {
		n := b.ops(50_000)
		return b.with(ctx, name, func(s side) (sample, error) {
			names := roomNames(n)
			if err := s.grow(n); err != nil {
				return nil, err
			}
			m, err := b.run(ctx, work{callers, n, func(i int) error { return s.joinFirst(ctx, names[i], i) }})
			if err != nil {
				return nil, err
			}
			return m, expect(ctx, s, names[n-1], 1)
		})
	}
}

// expect fails if a room does not have so many: then something else was
// measured than the row says.
func expect(ctx context.Context, s side, room string, want int) error {
	got, _, err := s.counts(ctx, room)
	if err == nil && got != want {
		err = fmt.Errorf("%s has %d presences, want %d", room, got, want)
	}
	return err
}
