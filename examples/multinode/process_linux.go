package main

import "syscall"

// nodeAttributes keep Ctrl-C in a terminal from the nodes, so that the supervisor stops
// them in an orderly way. They also wake a node when the supervisor dies, as a frozen
// one would never notice.
func nodeAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGCONT}
}
