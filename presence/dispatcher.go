package presence

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	maxWaiting  = 128 // calls of the handler for one room
	slowHandler = time.Second
)

// dispatcher calls the change handler. Calls for one room come one at a time and in
// order; rooms do not wait for each other.
type dispatcher struct {
	handler func(context.Context, Change)
	log     *zap.Logger

	mu      sync.Mutex
	waiting map[string][]Change // has a room while a goroutine serves it
	running int                 // goroutines; not a WaitGroup, which may not grow from 0 while it is waited for
	idle    chan struct{}       // closed when none is running; nil unless somebody waits

	panics, merged atomic.Uint64
}

func newDispatcher(handler func(context.Context, Change), log *zap.Logger) *dispatcher {
	return &dispatcher{handler: handler, log: log, waiting: make(map[string][]Change)}
}

// wanted reports whether there is a handler. If not, nothing is posted.
func (d *dispatcher) wanted() bool { return d.handler != nil }

// post queues a call of the handler, without waiting.
func (d *dispatcher) post(c Change) {
	if !d.wanted() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	queue, running := d.waiting[c.Room]
	if len(queue) < maxWaiting {
		d.waiting[c.Room] = append(queue, c)
	} else {
		// The handler cannot keep up. The rest becomes one bulk change, which says how
		// the room is but not how it got there.
		d.merged.Add(1)
		queue[len(queue)-1] = Change{Room: c.Room, Counts: c.Counts, Bulk: true}
	}
	if !running {
		d.start(func() { d.serve(c.Room) })
	}
}

// start runs f in the background. The caller holds mu.
func (d *dispatcher) start(f func()) {
	d.running++
	go func() {
		defer d.end()
		f()
	}()
}

func (d *dispatcher) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running--
	if d.running == 0 && d.idle != nil {
		close(d.idle)
		d.idle = nil
	}
}

func (d *dispatcher) serve(room string) {
	over := false
	defer func() {
		if !over { // the handler ended this goroutine (runtime.Goexit)
			d.mu.Lock()
			defer d.mu.Unlock()
			d.start(func() { d.serve(room) })
		}
	}()
	for {
		d.mu.Lock()
		queue := d.waiting[room]
		if len(queue) == 0 {
			over = true
			delete(d.waiting, room)
			d.mu.Unlock()
			return
		}
		c := queue[0]
		d.waiting[room] = queue[1:]
		d.mu.Unlock()
		d.call(c)
	}
}

func (d *dispatcher) call(c Change) {
	start := time.Now()
	d.guard(func() { d.handler(context.Background(), c) })
	if took := time.Since(start); took > slowHandler {
		d.log.Warn("change handler is slow", zap.String("room", c.Room), zap.Duration("took", took))
	}
}

// do calls a function of the application in a goroutine of its own.
func (d *dispatcher) do(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.start(func() { d.guard(f) })
}

// guard keeps a panic of the application from ending the process: the write that the
// call reports stands.
func (d *dispatcher) guard(f func()) {
	defer func() {
		if p := recover(); p != nil {
			d.panics.Add(1)
			d.log.Error("handler panicked", zap.Any("panic", p), zap.Stack("stack"))
		}
	}()
	f()
}

// wait returns when no call is queued or running.
func (d *dispatcher) wait(ctx context.Context) error {
	d.mu.Lock()
	if d.running == 0 {
		d.mu.Unlock()
		return nil
	}
	if d.idle == nil {
		d.idle = make(chan struct{})
	}
	idle := d.idle
	d.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
