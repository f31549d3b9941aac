package main

import (
	"os/exec"
	"runtime"
	"sync"
)

// devSpawner starts every child from one thread that lives as long as the
// program: Linux sends the parent-death signal when the starting *thread* ends,
// and Go ends threads as it likes.
type devSpawner struct {
	once sync.Once
	work chan func()
}

func (s *devSpawner) start(cmd *exec.Cmd) error {
	s.once.Do(func() {
		s.work = make(chan func())
		go func() {
			runtime.LockOSThread()
			for f := range s.work {
				f()
			}
		}()
	})
	cmd.SysProcAttr = devAttr()
	done := make(chan error)
	s.work <- func() { done <- cmd.Start() }
	return <-done
}
