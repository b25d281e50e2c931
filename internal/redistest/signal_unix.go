//go:build unix

package redistest

import (
	"os"
	"syscall"
)

// terminate is the signal that asks a process to end.
const terminate = syscall.SIGTERM

func suspend(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
func resume(p *os.Process) error  { return p.Signal(syscall.SIGCONT) }
