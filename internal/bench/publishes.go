package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/centrifugal/centrifuge"

	"github.com/rollcall-go/rollcall/groups"
)

const (
	payloadSize = 256
	topicCount  = 64
	burst       = 256 // messages that a floor sends at once, where there are as many callers
	mailboxSize = 4096

	// A floor in which each caller and each receiver is a goroutine that waits.
	goroutines = "go-redis, goroutines"

	// The floors: one caller sends what the others have in bursts, and whoever
	// reads the connection is the receiver.
	pipes = "go-redis"
	bare  = "bare TCP"

	processOp metric = "process CPU µs/op"
	lost      metric = "lost, counted"
	silent    metric = "lost, silently"
)

// publishTable is a message from one node to another. The times are from the
// call until the other node's receiver has the message. The processor time is of
// this process, which is both nodes: unlike the rate, it stays the same on a busy
// machine.
func publishTable() table {
	t := table{title: "Publish to receive, 256 bytes", columns: []metric{kops, p50, p99, processOp, cpuOp, lost, silent}}
	for _, callers := range []int{1, 64, 1024} {
		r := row{
			name:  fmt.Sprintf("publish to receive, %d callers", callers),
			sides: []string{ours, peer, goroutines, pipes, bare},
			turn:  publishTurn(callers, 0),
		}
		switch callers {
		case 1:
			r.targets = []target{{of: p50, against: bare, atMost: 1.08}}
		case 64:
			r.targets = []target{{of: kops, atLeast: 300}, {of: silent, atMost: 0}}
		default:
			r.targets = []target{{of: kops, atLeast: 600}, {of: silent, atMost: 0}}
		}
		t.rows = append(t.rows, r)
	}
	t.rows = append(t.rows, row{
		name:  "publish to receive, 64 callers, 20,000 a second",
		sides: []string{ours, peer},
		turn:  publishTurn(64, 20_000),
	})
	return t
}

// wire is a way from a sender to a receiver.
type wire struct {
	publish func(topic int, payload []byte) error
	flush   func() error // sends what was published; nil: publish does
	dropped func() int   // that were counted as lost
	close   func()
}

// publishTurn sends as fast as it can, or so many messages a second.
func publishTurn(callers, rate int) func(context.Context, *bench, string) (sample, error) {
	return func(ctx context.Context, b *bench, name string) (sample, error) {
		n := b.ops(500_000)
		switch {
		case callers == 1:
			n = b.ops(20_000)
		case rate > 0:
			n = b.ops(5 * rate)
		}
		in := &arrivals{came: make(chan struct{}, 1)}
		w, err := openWire(ctx, b, name, in.note)
		if err != nil {
			return nil, err
		}
		defer w.close()
		job := work{callers: callers, n: n}
		size := 1
		if w.flush != nil {
			size = min(callers, burst)
			job.callers, job.n = 1, max(1, n/size)
			n = job.n * size
		}
		in.took = make([]time.Duration, n)
		start, cpuBefore := time.Now(), processCPU()
		job.do = func(at int) error {
			if rate > 0 {
				time.Sleep(time.Until(start.Add(time.Duration(at) * time.Second / time.Duration(rate))))
			}
			for i := at * size; i < (at+1)*size; i++ {
				payload := make([]byte, payloadSize)
				binary.LittleEndian.PutUint64(payload, uint64(time.Now().UnixNano()))
				binary.LittleEndian.PutUint64(payload[8:], uint64(i))
				if err := w.publish(i%topicCount, payload); err != nil {
					return err
				}
			}
			if w.flush != nil {
				if err := w.flush(); err != nil {
					return err
				}
			}
			if callers == 1 {
				in.wait()
			}
			return nil
		}
		m, err := b.run(ctx, job)
		if err != nil {
			return nil, err
		}
		end := in.settle(func() int64 { return int64(n - w.dropped()) })
		m[processOp] = micros(processCPU()-cpuBefore) / float64(n)
		took := slices.DeleteFunc(in.took, func(d time.Duration) bool { return d == 0 })
		slices.Sort(took)
		if len(took) == 0 {
			return nil, fmt.Errorf("nothing arrived")
		}
		m[kops] = float64(len(took)) / end.Sub(start).Seconds() / 1000
		m[cpuOp] /= float64(size)
		m[p50], m[p99] = micros(quantile(took, 0.5)), micros(quantile(took, 0.99))
		m[lost] = float64(w.dropped())
		m[silent] = float64(n - len(took) - w.dropped())
		return m, nil
	}
}

// arrivals are the messages that have come.
type arrivals struct {
	took  []time.Duration
	count atomic.Int64
	last  atomic.Int64
	came  chan struct{} // a token while there is something new
}

func (a *arrivals) note(payload []byte) {
	now := time.Now().UnixNano()
	sent := int64(binary.LittleEndian.Uint64(payload))
	a.took[binary.LittleEndian.Uint64(payload[8:])] = time.Duration(now - sent)
	a.last.Store(now)
	a.count.Add(1)
	select {
	case a.came <- struct{}{}:
	default:
	}
}

// wait returns when the next one has come, or it seems that it does not.
func (a *arrivals) wait() {
	select {
	case <-a.came:
	case <-time.After(time.Second):
	}
}

// settle waits until all have come, or none has for a second, and returns when
// the last one did.
func (a *arrivals) settle(want func() int64) time.Time {
	for begun := time.Now().UnixNano(); a.count.Load() < want(); time.Sleep(time.Millisecond) {
		if time.Since(time.Unix(0, max(begun, a.last.Load()))) >= time.Second {
			break
		}
	}
	return time.Unix(0, a.last.Load())
}

func openWire(ctx context.Context, b *bench, name string, note func([]byte)) (*wire, error) {
	switch name {
	case ours:
		return rollcallWire(ctx, b.server.addr, note)
	case peer:
		return centrifugeWire(ctx, b.server.addr, note)
	case goroutines:
		return goroutinesWire(ctx, b.server.addr, note)
	case pipes:
		return clientWire(ctx, b.server.addr, note)
	case bare:
		return bareWire(b.server.addr, note)
	}
	return nil, fmt.Errorf("no wire %q", name)
}

func rollcallWire(ctx context.Context, addr string, note func([]byte)) (*wire, error) {
	from, err := newRollcall(ctx, addr, nil)
	if err != nil {
		return nil, err
	}
	to, err := newRollcallLayer(ctx, addr, &groups.Options{Capacity: mailboxSize})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var receivers sync.WaitGroup
	for _, room := range roomNames(topicCount) {
		c, err := to.layer.NewChannel()
		if err != nil {
			cancel()
			return nil, err
		}
		if err := to.layer.GroupAdd(ctx, room, c.Name()); err != nil {
			cancel()
			return nil, err
		}
		receivers.Go(func() {
			for {
				m, err := c.Receive(ctx)
				if err != nil {
					return
				}
				note(m.Payload)
			}
		})
	}
	names := roomNames(topicCount)
	return &wire{
		publish: func(topic int, payload []byte) error {
			return from.layer.GroupSend(ctx, names[topic], groups.Message{Type: "m", Payload: payload})
		},
		dropped: func() int { return int(to.layer.Stats().Overflowed) },
		close: func() {
			cancel()
			receivers.Wait()
			from.close()
			to.close()
		},
	}, nil
}

func centrifugeWire(ctx context.Context, addr string, note func([]byte)) (*wire, error) {
	from, err := newCentrifuge(addr, false)
	if err != nil {
		return nil, err
	}
	to, err := newCentrifugeHearing(addr, false, deaf{published: func(_ string, data []byte) { note(data) }})
	if err != nil {
		return nil, err
	}
	names := roomNames(topicCount)
	if err := to.subscribe(ctx, names); err != nil {
		return nil, err
	}
	return &wire{
		publish: func(topic int, payload []byte) error {
			_, err := from.broker.Publish(names[topic], payload, centrifuge.PublishOptions{})
			return err
		},
		dropped: func() int { return 0 }, // it does not count them
		close: func() {
			from.close()
			to.close()
		},
	}, nil
}
