package main

import (
	"context"
	"fmt"
	"time"
)

const (
	wall    metric = "wall ms"
	redisMS metric = "Redis CPU ms"
	events  metric = "events"
	script  metric = "longest script ms"
	pingMax metric = "longest PING ms"
	pingMed metric = "median PING ms"
)

// stormTable is what happens when many come or go at once. Each connection is
// in two rooms of a hundred.
func stormTable() table {
	return table{
		title:   "Storms",
		columns: []metric{wall, redisMS, events, script, pingMax, pingMed},
		rows: []row{
			{
				name:  "10,000 connections come at once to a new node",
				sides: []string{ours, um},
				turn:  stormTurn(10_000, false),
			},
			{
				name:  "10,000 connections drop and come again at once",
				sides: []string{ours, um},
				turn:  stormTurn(10_000, true),
			},
			{
				name:  "a node with 20,000 connections closes",
				sides: []string{ours, um},
				turn:  closeTurn(20_000),
			},
		},
	}
}

// stormTurn lets n connections come, each by a goroutine of its own. Where they
// were there before, as other channels, those leave first.
func stormTurn(n int, again bool) func(context.Context, *bench, string) (sample, error) {
	return func(ctx context.Context, b *bench, name string) (sample, error) {
		n := b.ops(n)
		rooms := roomNames(max(2, n/50))
		return b.with(ctx, name, func(s side) (sample, error) {
			if err := s.grow(2 * n); err != nil {
				return nil, err
			}
			if again {
				if err := fill(ctx, s, rooms, n, 2); err != nil {
					return nil, err
				}
			}
			m, err := b.storm(ctx, func() error {
				return parallel(n, n, func(i int) error {
					if again {
						if err := s.leaveAll(ctx, roomsOf(rooms, i, 2), i); err != nil {
							return err
						}
					}
					for _, room := range roomsOf(rooms, i, 2) {
						if err := s.joinFirst(ctx, room, n+i); err != nil {
							return err
						}
					}
					return nil
				})
			})
			if err != nil {
				return nil, err
			}
			return m, expect(ctx, s, rooms[0], 2*n/len(rooms))
		})
	}
}

// closeTurn ends a node in good order. The peer has nothing to end all at once,
// so its connections leave one by one, many at a time.
func closeTurn(n int) func(context.Context, *bench, string) (sample, error) {
	return func(ctx context.Context, b *bench, name string) (sample, error) {
		n := b.ops(n)
		rooms := roomNames(max(2, n/50))
		return b.with(ctx, name, func(s side) (sample, error) {
			if err := fill(ctx, s, rooms, n, 2); err != nil {
				return nil, err
			}
			m, err := b.storm(ctx, func() error {
				if r, ok := s.(*rollcall); ok {
					return r.tracker.Close(ctx)
				}
				return parallel(1024, n, func(i int) error { return s.leaveAll(ctx, roomsOf(rooms, i, 2), i) })
			})
			if err != nil {
				return nil, err
			}
			return m, expect(ctx, s, rooms[0], 0)
		})
	}
}

// storm measures one piece of work, and how Redis serves another client
// meanwhile.
func (b *bench) storm(ctx context.Context, do func() error) (sample, error) {
	if err := b.client.Do(ctx, "SLOWLOG", "RESET").Err(); err != nil {
		return nil, err
	}
	p, err := startProbe(b.server.addr)
	if err != nil {
		return nil, err
	}
	time.Sleep(100 * time.Millisecond) // the probe has warmed up
	published, err := calls(ctx, b.client, "publish")
	if err != nil {
		return nil, err
	}
	before, err := cpu(ctx, b.client)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	failed := do()
	took := time.Since(start)
	after, err := cpu(ctx, b.client)
	if err != nil {
		return nil, err
	}
	typical, longest, err := p.stop()
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	if failed != nil {
		return nil, failed
	}
	publishedNow, err := calls(ctx, b.client, "publish")
	if err != nil {
		return nil, err
	}
	slow, err := slowest(ctx, b.client)
	return sample{
		wall:    millis(took),
		redisMS: millis(after - before),
		events:  publishedNow - published,
		script:  millis(slow),
		pingMax: millis(longest),
		pingMed: millis(typical),
	}, err
}
