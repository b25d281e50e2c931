package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

// touchTable is what keeps a presence alive.
func touchTable() table {
	t := table{title: "Touch, or refresh, of a connection", columns: []metric{kops, p50, cpuOp}}
	for _, rooms := range []int{1, 10} {
		t.rows = append(t.rows, row{
			name:    fmt.Sprintf("touch of a connection in %d rooms, 64 callers", rooms),
			sides:   everyone,
			quick:   true,
			targets: []target{{of: cpuOp, atMost: 0.9, scaleBy: um, was: map[int]float64{1: 12.8, 10: 123}[rooms]}},
			turn:    touchTurn(rooms, 64),
		}, row{
			name:  fmt.Sprintf("touch of a connection in %d rooms, 1024 callers", rooms),
			sides: []string{peer, um, maps},
			turn:  touchTurn(rooms, 1024),
		})
	}
	return t
}

// refresher is a side that keeps each presence alive by a call of its own.
type refresher interface {
	refresh(ctx context.Context, rooms []string, member int) error
}

func touchTurn(rooms, callers int) func(context.Context, *bench, string) (sample, error) {
	return func(ctx context.Context, b *bench, name string) (sample, error) {
		n := b.ops(50_000)
		if name != ours {
			n /= rooms
		}
		names := roomNames(max(10, n/100))
		if name == ours {
			return flushTurn(ctx, b, names, n, rooms)
		}
		return b.with(ctx, name, func(s side) (sample, error) {
			if err := fill(ctx, s, names, n, rooms); err != nil {
				return nil, err
			}
			return b.run(ctx, work{callers, n, func(i int) error {
				return s.(refresher).refresh(ctx, roomsOf(names, i, rooms), i)
			}})
		})
	}
}

// flushTurn touches all channels, and measures until Redis has all of it.
func flushTurn(ctx context.Context, b *bench, names []string, n, rooms int) (sample, error) {
	r, err := newRollcall(ctx, b.server.addr, &presence.Options{MaxAge: 20 * time.Second, FlushInterval: time.Second})
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := fill(ctx, r, names, n, rooms); err != nil {
		return nil, err
	}
	return b.flush(ctx, r, n, 3)
}

// flush touches the first n members some times, and measures until Redis has
// all of it. The flush interval is a second.
func (b *bench) flush(ctx context.Context, r *rollcall, n, flushes int) (sample, error) {
	presences := r.tracker.Store().Presences(0, r.layer.NodeID())
	time.Sleep(1500 * time.Millisecond) // a flush of what was touched before is over
	var used, took time.Duration
	for range flushes {
		now, err := b.client.Time(ctx).Result()
		if err != nil {
			return nil, err
		}
		since := strconv.FormatInt(now.UnixMilli(), 10)
		before, err := cpu(ctx, b.client)
		if err != nil {
			return nil, err
		}
		start := time.Now()
		for _, c := range r.channels[:n] {
			r.tracker.Touch(c.Name())
		}
		took += time.Since(start)
		for {
			seen, err := b.client.ZCount(ctx, presences, since, "+inf").Result()
			if err != nil {
				return nil, err
			}
			if seen >= int64(n) {
				break
			}
			if time.Since(start) > 2*time.Minute {
				return nil, fmt.Errorf("%d of %d touches were flushed", seen, n)
			}
			time.Sleep(50 * time.Millisecond)
		}
		after, err := cpu(ctx, b.client)
		if err != nil {
			return nil, err
		}
		used += after - before
	}
	total := float64(n * flushes)
	return sample{
		kops:  total / took.Seconds() / 1000,
		p50:   micros(took) / total, // a touch is too short to measure each
		cpuOp: micros(used) / total,
	}, nil
}
