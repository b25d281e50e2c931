package presence

import "sync"

// task is work in the background that runs once at a time. If it is asked for while it
// runs, it runs once more, as the news may have come too late for the current round. The
// zero value is idle.
type task struct {
	mu             sync.Mutex
	running, asked bool
}

// begin asks for the work. It returns true if the caller must start it.
func (w *task) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running {
		w.asked = true
		return false
	}
	w.running = true
	return true
}

// again ends a round, and reports whether another one follows, because this one is
// unfinished or somebody has asked for it. Otherwise the task is idle.
func (w *task) again(unfinished bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running, w.asked = unfinished || w.asked, false
	return w.running
}

func (w *task) isRunning() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running
}
