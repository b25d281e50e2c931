package presence

import "sync"

// task is work in the background that is done once at a time. Who asks for it while it
// is done has it done once more: what is new may have come too late for the round under
// way. The zero value is idle.
type task struct {
	mu             sync.Mutex
	running, asked bool
}

// begin asks for the work. It returns true where the caller is to start it.
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

// again ends a round, and tells whether there is to be another one: as this one has
// not done all, or as somebody has asked for it. Else the task is idle.
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
