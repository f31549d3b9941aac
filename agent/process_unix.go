//go:build unix

package agent

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the command the leader of a process group.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// endGroup asks all processes of the group to end.
func endGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGTERM) }

// killGroup ends all processes of the group.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
