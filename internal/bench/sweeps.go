package main

import "context"

// sweepTable is a sweep for what is stale where nothing is.
func sweepTable() table {
	return table{title: "A sweep that finds nothing", columns: []metric{p50, cpuOp}, rows: []row{{
		name:    "prune 100,000 presences in 100,000 rooms of 10 nodes",
		sides:   []string{ours},
		targets: []target{{of: cpuOp, atMost: 100}},
		turn: func(ctx context.Context, b *bench, _ string) (sample, error) {
			return sweepTurn(ctx, b, 10, b.ops(100_000))
		},
	}}}
}

// sweepTurn spreads n presences, each in a room of its own, over some nodes.
func sweepTurn(ctx context.Context, b *bench, nodes, n int) (sample, error) {
	names := roomNames(n)
	var last *rollcall
	for i := range nodes {
		r, err := newRollcall(ctx, b.server.addr, nil)
		if err != nil {
			return nil, err
		}
		defer r.close()
		if err := fill(ctx, r, names[i*n/nodes:(i+1)*n/nodes], n/nodes, 1); err != nil {
			return nil, err
		}
		last = r
	}
	return b.sweep(ctx, last, 200)
}
