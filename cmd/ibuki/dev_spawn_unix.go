//go:build unix && !linux

package main

import "syscall"

// devAttr puts a child in a session of its own, away from the terminal's signals.
// There is no death signal here; the keeper alone cleans up after a killed dev.
func devAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
