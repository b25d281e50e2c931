package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/groups"
)

const (
	p50Ratio metric = "p50, of that with none stuck"
	p99Ratio metric = "p99, of that with none stuck"
)

// stuckTable is a node that hears many rooms, in one of which a consumer never
// reads. The times are those of the other rooms.
func stuckTable() table {
	t := table{title: "1,000 rooms, and a consumer that never reads", columns: []metric{p50, p99, p50Ratio, p99Ratio}}
	for _, policy := range []struct {
		name     string
		overflow groups.Overflow
	}{{"DropNewest", groups.DropNewest}, {"DropOldest", groups.DropOldest}, {"CloseChannel", groups.CloseChannel}} {
		t.rows = append(t.rows, row{
			name:    "stuck consumer, " + policy.name,
			sides:   []string{ours},
			targets: []target{{of: p50Ratio, atMost: 1.05}, {of: p99Ratio, atMost: 1.1}},
			quick:   true,
			turn: func(ctx context.Context, b *bench, _ string) (sample, error) {
				return stuckTurn(ctx, b, policy.overflow)
			},
		})
	}
	return t
}

// stuckTurn sends in short phases, of which every other one has the stuck
// consumer, and takes the median of what they measure: what else the machine does
// is the same for both. One message in ten is for that consumer, or in the other
// phases for one that reads.
func stuckTurn(ctx context.Context, b *bench, overflow groups.Overflow) (sample, error) {
	const rooms, callers, each, share = 1000, 16, 400, 10
	read, stuck := "read", "stuck"
	phases := max(200, b.ops(1000))
	from, err := newRollcallLayer(ctx, b.server.addr, nil)
	if err != nil {
		return nil, err
	}
	defer from.close()
	to, err := newRollcallLayer(ctx, b.server.addr, &groups.Options{Overflow: overflow})
	if err != nil {
		return nil, err
	}
	defer to.close()
	ctx, cancel := context.WithCancel(ctx)
	var consumers sync.WaitGroup
	defer consumers.Wait()
	defer cancel()

	in := &arrivals{took: make([]time.Duration, phases*each), came: make(chan struct{}, 1)}
	enter := func(room string) (*groups.Channel, error) {
		c, err := to.layer.NewChannel()
		if err != nil {
			return nil, err
		}
		return c, to.layer.GroupAdd(ctx, room, c.Name())
	}
	consume := func(room string, note func([]byte)) error {
		c, err := enter(room)
		if err != nil {
			return err
		}
		consumers.Go(func() {
			for {
				m, err := c.Receive(ctx)
				if err != nil {
					return
				}
				note(m.Payload)
			}
		})
		return nil
	}
	names := roomNames(rooms)
	if err := parallel(256, rooms, func(i int) error { return consume(names[i], in.note) }); err != nil {
		return nil, err
	}
	if err := consume(read, func([]byte) {}); err != nil {
		return nil, err
	}
	c, err := enter(stuck)
	if err != nil {
		return nil, err
	}
	consumers.Go(func() { // where it is closed, it comes again
		for err == nil {
			select {
			case <-c.Done():
				c, err = enter(stuck)
			case <-ctx.Done():
				return
			}
		}
	})

	send := func(room string, i int) error {
		payload := make([]byte, payloadSize)
		binary.LittleEndian.PutUint64(payload, uint64(time.Now().UnixNano()))
		binary.LittleEndian.PutUint64(payload[8:], uint64(i))
		return from.layer.GroupSend(ctx, room, groups.Message{Type: "m", Payload: payload})
	}
	for i := range 200 { // its mailbox holds 100
		if err := send(stuck, i); err != nil {
			return nil, err
		}
	}
	measured := make(map[string][]sample)
	expected := int64(0)
	for phase := range phases {
		special := []string{read, stuck}[phase%2]
		first := phase * each
		err := parallel(callers, each, func(i int) error {
			if i%share == 0 {
				return send(special, first+i)
			}
			return send(names[(first+i)%rooms], first+i)
		})
		if err != nil {
			return nil, err
		}
		expected += each - each/share
		in.settle(func() int64 { return expected })
		if got := in.count.Load(); got != expected {
			return nil, fmt.Errorf("%d messages arrived, want %d", got, expected)
		}
		took := slices.DeleteFunc(in.took[first:first+each], func(d time.Duration) bool { return d == 0 })
		slices.Sort(took)
		measured[special] = append(measured[special], sample{p50: micros(quantile(took, 0.5)), p99: micros(quantile(took, 0.99))})
	}
	if to.layer.Stats().Overflowed == 0 {
		return nil, fmt.Errorf("nobody was stuck")
	}
	m, none := median(measured[stuck]), median(measured[read])
	m[p50Ratio], m[p99Ratio] = m[p50]/none[p50], m[p99]/none[p99]
	return m, nil
}
