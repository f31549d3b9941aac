package interop

import "syscall"

// dieWithParent: no agent outlives a test that panics or is killed. (The signal
// follows the thread that started the process; Go ends none that is not locked.)
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
