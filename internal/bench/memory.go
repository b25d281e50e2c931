package main

import "context"

// memoryTable is what a presence takes in Redis, in three layouts.
func memoryTable() table {
	layout := func(name string, rooms, n int, limit float64) row {
		return row{
			name:    name,
			sides:   everyone,
			quick:   rooms == n,
			targets: []target{{of: bytesOf, atMost: limit}},
			turn:    memoryTurn(rooms, n),
		}
	}
	return table{
		title:   "Memory of Redis",
		columns: []metric{bytesOf, topic},
		rows: []row{
			layout("1,000 rooms of 100", 1000, 100_000, 273),
			layout("100,000 rooms of 1", 100_000, 100_000, 666),
			layout("1 room of 100,000", 1, 100_000, 362),
		},
	}
}

// memoryTurn fills rooms. What FLUSHALL frees is the data, and what stays and
// was not there before are the subscriptions.
func memoryTurn(rooms, n int) func(context.Context, *bench, string) (sample, error) {
	return func(ctx context.Context, b *bench, name string) (sample, error) {
		n, rooms := max(2000, b.ops(n)), max(1, rooms*max(2000, b.ops(n))/n)
		return b.with(ctx, name, func(s side) (sample, error) {
			if err := fill(ctx, s, []string{roomName(1 << 20)}, 1, 1); err != nil { // loads the scripts
				return nil, err
			}
			if err := b.empty(ctx); err != nil {
				return nil, err
			}
			empty, err := usedMemory(ctx, b.client)
			if err != nil {
				return nil, err
			}
			if err := fill(ctx, s, roomNames(rooms), n, 1); err != nil {
				return nil, err
			}
			full, err := usedMemory(ctx, b.client)
			if err != nil {
				return nil, err
			}
			if err := b.empty(ctx); err != nil {
				return nil, err
			}
			topics, err := usedMemory(ctx, b.client)
			if err != nil {
				return nil, err
			}
			m := sample{bytesOf: (full - topics) / float64(n)}
			if rooms == n { // else it drowns in the connections' buffers
				m[topic] = (topics - empty) / float64(rooms)
			}
			return m, nil
		})
	}
}
