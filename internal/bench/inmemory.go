package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

// inMemoryTable is what does not ask Redis at all.
func inMemoryTable() table {
	touch := func(callers int) row {
		return row{
			name:    fmt.Sprintf("a touch, %d callers", callers),
			sides:   []string{ours},
			targets: []target{{of: nsOp, atMost: 50}, {of: allocs, atMost: 0}},
			turn: inMemoryTurn(callers, func(r *rollcall, _ *presence.Watcher) func(int) {
				var names []string
				for _, c := range r.channels {
					names = append(names, c.Name())
				}
				return func(i int) { r.tracker.Touch(names[i%len(names)]) }
			}),
		}
	}
	return table{title: "In memory", columns: []metric{nsOp, allocs}, rows: []row{
		touch(1), touch(64),
		{
			name:    "counts from a live view",
			sides:   []string{ours},
			targets: []target{{of: nsOp, atMost: 100}, {of: allocs, atMost: 0}},
			turn: inMemoryTurn(1, func(_ *rollcall, w *presence.Watcher) func(int) {
				return func(int) { w.Counts() }
			}),
		},
		{
			name:  "snapshot of 100 from a live view",
			sides: []string{ours},
			turn: inMemoryTurn(1, func(_ *rollcall, w *presence.Watcher) func(int) {
				return func(i int) {
					if i%100 == 0 {
						w.Snapshot()
					}
				}
			}),
		},
	}}
}

// inMemoryTurn calls what prepare returns a million times, on a node that has
// 100 rooms of 100 and watches one.
func inMemoryTurn(callers int, prepare func(*rollcall, *presence.Watcher) func(i int)) func(context.Context, *bench, string) (sample, error) {
	return func(ctx context.Context, b *bench, _ string) (sample, error) {
		r, err := newRollcall(ctx, b.server.addr, nil)
		if err != nil {
			return nil, err
		}
		defer r.close()
		if err := fill(ctx, r, roomNames(100), 100*b.ops(100), 1); err != nil {
			return nil, err
		}
		watcher, err := r.tracker.Watch(ctx, roomName(0), nil)
		if err != nil {
			return nil, err
		}
		defer watcher.Close()
		do := prepare(r, watcher)
		n := b.ops(1 << 20)
		var before, after runtime.MemStats
		var group sync.WaitGroup
		runtime.ReadMemStats(&before)
		start := time.Now()
		for c := range callers {
			group.Go(func() {
				for i := c; i < n; i += callers {
					do(i)
				}
			})
		}
		group.Wait()
		elapsed := time.Since(start)
		runtime.ReadMemStats(&after)
		return sample{
			nsOp:   float64(elapsed) / float64(n),
			allocs: float64(int(after.Mallocs-before.Mallocs)*100/n) / 100, // what others allocate meanwhile is less
		}, nil
	}
}
