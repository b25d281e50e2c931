//go:build unix && !linux

package main

import "syscall"

// nodeAttributes keep Ctrl-C in a terminal from the nodes, so that the supervisor stops
// them in an orderly way. When it dies, their process groups are orphaned, and the
// kernel wakes those that are frozen.
func nodeAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
