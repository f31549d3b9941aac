//go:build !windows

package livefile

import (
	"os/exec"
	"syscall"
)

// inOwnGroup makes ending the command end what it started.
func inOwnGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
