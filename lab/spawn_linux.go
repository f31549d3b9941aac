package lab

import "syscall"

// childAttr puts a child in a session of its own, away from the terminal's signals,
// and has the kernel kill it when the thread that started it ends: see spawner.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}
