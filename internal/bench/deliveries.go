package main

import (
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/rollcall-go/rollcall/groups"
)

// deliveryTable is a message that many channels of one node get.
func deliveryTable() table {
	return table{title: "Delivery on a node", columns: []metric{p50, p99, allocs}, rows: []row{{
		name:    "a message to 10,000 local channels",
		sides:   []string{ours},
		targets: []target{{of: p50, atMost: 1000}, {of: allocs, atMost: 100}},
		turn:    deliveryTurn,
	}}}
}

// deliveryTurn measures from the send until the mailboxes have the message. A
// hundred of them are looked at, so that looking costs little.
func deliveryTurn(ctx context.Context, b *bench, _ string) (sample, error) {
	const channels = 10_000
	messages := max(5, b.ops(100))
	r, err := newRollcallLayer(ctx, b.server.addr, nil)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.grow(channels); err != nil {
		return nil, err
	}
	room := roomName(0)
	for _, c := range r.channels {
		if err := r.layer.GroupAdd(ctx, room, c.Name()); err != nil {
			return nil, err
		}
	}
	m := groups.Message{Type: "m", Payload: make([]byte, payloadSize)}
	var took []time.Duration
	var mallocs uint64
	for range messages {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		if err := r.layer.GroupSend(ctx, room, m); err != nil {
			return nil, err
		}
		for i := channels - 1; i >= 0; i -= channels / 100 {
			if _, err := r.channels[i].Receive(ctx); err != nil {
				return nil, err
			}
		}
		took = append(took, time.Since(start))
		runtime.ReadMemStats(&after)
		mallocs += after.Mallocs - before.Mallocs
		for i, c := range r.channels {
			if (channels-1-i)%(channels/100) == 0 {
				continue
			}
			if _, err := c.Receive(ctx); err != nil {
				return nil, err
			}
		}
	}
	slices.Sort(took)
	return sample{
		p50:    micros(quantile(took, 0.5)),
		p99:    micros(quantile(took, 0.99)),
		allocs: float64(mallocs) / float64(messages),
	}, nil
}
