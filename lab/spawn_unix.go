//go:build unix && !linux

package lab

import "syscall"

// childAttr puts a child in a session of its own, away from the terminal's signals.
// There is no death signal here; the keeper alone cleans up after a killed dev.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
