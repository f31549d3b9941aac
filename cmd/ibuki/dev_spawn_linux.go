package main

import "syscall"

// devAttr puts a child in a session of its own, away from the terminal's signals,
// and has the kernel kill it when the thread that started it ends: see devSpawner.
func devAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}
