//go:build unix

package main

import "syscall"

const (
	devSigStop = syscall.SIGSTOP
	devSigCont = syscall.SIGCONT
)

// devSignal sends a signal to a process, or to the group -pid.
func devSignal(pid int, sig syscall.Signal) error { return syscall.Kill(pid, sig) }

// devAlone puts the keeper in a session of its own, away from the terminal's signals.
func devAlone() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
