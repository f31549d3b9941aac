//go:build !unix

package lab

import (
	"errors"
	"os"
	"syscall"
)

// There is nothing like these here; signalProcess refuses them.
const (
	sigStop = syscall.Signal(0x7e)
	sigCont = syscall.Signal(0x7f)
)

// signalProcess can only end a process.
func signalProcess(pid int, sig syscall.Signal) error {
	if sig != syscall.SIGKILL || pid <= 0 {
		return errors.New("this system has no such signal")
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

func keeperAttr() *syscall.SysProcAttr { return nil }
func childAttr() *syscall.SysProcAttr  { return nil }
