//go:build !unix

package main

import (
	"errors"
	"syscall"
)

var errNoFreeze = errors.New("this system cannot freeze a process")

func nodeAttributes() *syscall.SysProcAttr { return nil }

func (p *process) freeze() error { return errNoFreeze }

func (p *process) thaw() error { return errNoFreeze }
