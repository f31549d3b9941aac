//go:build !unix

package handler

import (
	"os"
	"os/exec"
)

func ownGroup(*exec.Cmd) {}

// endGroup ends the process itself: there are no groups here.
func endGroup(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
}

func killGroup(pid int) { endGroup(pid) }

// exitSignal: there are no signals here.
func exitSignal(*exec.ExitError) uint8 { return 255 }
