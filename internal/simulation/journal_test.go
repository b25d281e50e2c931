package simulation_test

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// journal is what has happened, to be shown when something is wrong.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (f *fleet) log(format string, args ...any) {
	f.journal.mu.Lock()
	defer f.journal.mu.Unlock()
	line := fmt.Sprintf("%8.2f ", time.Since(f.began).Seconds()) + fmt.Sprintf(format, args...)
	f.journal.lines = append(f.journal.lines, line)
	if n := len(f.journal.lines); n > 400 {
		f.journal.lines = f.journal.lines[n-300:]
	}
}

// fail notes what is wrong; the history ends at its next step.
func (f *fleet) fail(format string, args ...any) {
	f.log("WRONG: "+format, args...)
	if f.wrong++; f.wrong <= 5 {
		f.t.Errorf("seed %d: "+format, append([]any{f.seed}, args...)...)
	}
}

func (f *fleet) tell() {
	f.journal.mu.Lock()
	defer f.journal.mu.Unlock()
	f.t.Logf("seed %d:\n%s", f.seed, strings.Join(f.journal.lines, "\n"))
}
