//go:build unix

package main

import "syscall"

// processGroup gives a node a process group of its own. Ctrl-C then reaches
// the supervisor alone, which stops its nodes in order; and should it die
// while a node is frozen, the kernel wakes that node, as it does with every
// stopped process whose group is orphaned.
func processGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

func (p *process) freeze() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

func (p *process) thaw() error { return p.cmd.Process.Signal(syscall.SIGCONT) }
