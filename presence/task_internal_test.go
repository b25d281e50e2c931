package presence

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestATask(t *testing.T) {
	var w task
	if w.isRunning() || !w.begin() || !w.isRunning() {
		t.Fatal("an idle task does not begin")
	}
	if w.again(false) || w.isRunning() {
		t.Error("another round that nobody asked for")
	}
	if !w.begin() || w.begin() || w.begin() {
		t.Error("not started once")
	}
	if !w.again(false) || w.again(false) {
		t.Error("not one more round for those who asked meanwhile")
	}
	if !w.begin() || !w.again(true) || w.again(false) {
		t.Error("not one more round for what was left")
	}
	if !w.begin() || w.begin() || !w.again(true) || w.again(false) {
		t.Error("who asked before a round has another one after it")
	}
}

// Whatever was new when the work was asked for is seen by a round that begins later.
func TestATaskMissesNothing(t *testing.T) {
	var w task
	var asked, seen atomic.Int64
	var rounds, work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for range 5000 {
				asked.Add(1)
				if w.begin() {
					rounds.Go(func() {
						for more := true; more; more = w.again(false) {
							seen.Store(asked.Load())
						}
					})
				}
			}
		})
	}
	work.Wait()
	rounds.Wait()
	if seen.Load() != asked.Load() || w.isRunning() {
		t.Errorf("saw %d of %d", seen.Load(), asked.Load())
	}
}
