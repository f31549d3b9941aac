//go:build unix

package handler

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

// exitSignal is the exit code for a process that a signal ended.
func exitSignal(e *exec.ExitError) uint8 {
	if s, ok := e.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return uint8(128 + s.Signal())
	}
	return 255
}
