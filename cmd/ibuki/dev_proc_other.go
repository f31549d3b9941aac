//go:build !unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// There is nothing like these here; devSignal refuses them.
const (
	devSigStop = syscall.Signal(0x7e)
	devSigCont = syscall.Signal(0x7f)
)

// devSignal can only end a process.
func devSignal(pid int, sig syscall.Signal) error {
	if sig != syscall.SIGKILL || pid <= 0 {
		return errors.New("this system has no such signal")
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

func devAlone() *syscall.SysProcAttr { return nil }
func devAttr() *syscall.SysProcAttr  { return nil }
