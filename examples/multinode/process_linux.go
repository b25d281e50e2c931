package main

import "syscall"

// nodeAttributes keep Ctrl-C in a terminal from the nodes, so that the
// supervisor stops them in order; and have a node woken when the supervisor
// dies, as one that is frozen would never see that.
func nodeAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGCONT}
}
