package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"
)

// result is what the sides of a row have measured, as medians of their turns.
type result struct {
	row   row
	sides map[string]sample
}

// takeTurns lets each side do the work, one after the other, some times over,
// on a server without data.
func (b *bench) takeTurns(ctx context.Context, r row) (result, error) {
	turns := make(map[string][]sample)
	for range b.rounds {
		for _, name := range r.sides {
			if err := b.empty(ctx); err != nil {
				return result{}, err
			}
			start := time.Now()
			s, err := r.turn(ctx, b, name)
			switch {
			case err != nil && name == ours, ctx.Err() != nil:
				return result{}, fmt.Errorf("%s, %s: %w", r.name, name, err)
			case err != nil: // what others cannot do is no reason to measure nothing
				fmt.Fprintf(os.Stderr, "%s, %s: %v\n", r.name, name, err)
				continue
			}
			if os.Getenv("BENCH_TURNS") != "" {
				fmt.Fprintln(os.Stderr, r.name, name, s, time.Since(start).Round(time.Millisecond))
			}
			turns[name] = append(turns[name], s)
		}
	}
	res := result{row: r, sides: make(map[string]sample)}
	for name, samples := range turns {
		res.sides[name] = median(samples)
	}
	return res, nil
}

// empty removes all data, and what the last turn has left in this process.
func (b *bench) empty(ctx context.Context) error {
	if err := b.client.Do(ctx, "FLUSHALL", "SYNC").Err(); err != nil {
		return err
	}
	runtime.GC()
	return nil
}

// with opens a side, lets f use it, and closes it.
func (b *bench) with(ctx context.Context, name string, f func(s side) (sample, error)) (sample, error) {
	s, err := openSide(ctx, name, b.server.addr)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return f(s)
}

// ops scales a number of operations down for a quick run.
func (b *bench) ops(n int) int { return max(1, int(float64(n)*b.scale)) }
