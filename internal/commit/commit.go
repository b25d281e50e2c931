// Package commit groups what concurrent callers ask for into batches: the first runs at
// once, and what arrives meanwhile forms the next. There are no timers.
package commit

import (
	"runtime"
	"slices"
	"sync"
)

// Queue runs batches one after the other. It is safe for concurrent use.
//
// The callers that wait bound it: each has one item there. Of callers that have given
// up, about as many items are left at most.
type Queue[T any] struct {
	take func(pending []T) int
	run  func(batch []T)

	mu      sync.Mutex
	pending []T
	gaveUp  int // callers, since their items were last taken out
	running bool
	idle    sync.Cond
}

// NewQueue returns a Queue. take says how many of the pending items, at least
// one, form the next batch; run carries a batch out.
func NewQueue[T any](take func(pending []T) int, run func(batch []T)) *Queue[T] {
	q := &Queue[T]{take: take, run: run}
	q.idle.L = &q.mu
	return q
}

// Push adds an item. It does not wait for its batch.
func (q *Queue[T]) Push(item T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending = append(q.pending, item)
	if !q.running {
		q.running = true
		go q.drain()
	}
}

// GiveUp says that a caller waits no more. Once as many have done so as may still wait,
// it takes out the items that are gone: a call costs little, however long the queue.
func (q *Queue[T]) GiveUp(gone func(item T) bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.gaveUp++; q.gaveUp > len(q.pending)/2 {
		q.pending = slices.DeleteFunc(q.pending, gone)
		q.gaveUp = 0
	}
}

// Wait returns when everything that was pushed has been carried out.
func (q *Queue[T]) Wait() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.running {
		q.idle.Wait()
	}
}

func (q *Queue[T]) drain() {
	for {
		q.mu.Lock()
		if len(q.pending) == 0 {
			q.running = false
			q.pending = nil
			q.idle.Broadcast()
			q.mu.Unlock()
			return
		}
		n := q.take(q.pending)
		batch := q.pending[:n:n]
		q.pending = q.pending[n:]
		q.mu.Unlock()
		q.run(batch)
		runtime.Gosched() // callers that were answered may have more for the next batch
	}
}
