package lab

import (
	"os/exec"
	"runtime"
	"sync"
)

// spawner starts every child from one thread that lives as long as the
// program: Linux sends the parent-death signal when the starting *thread* ends,
// and Go ends threads as it likes.
type spawner struct {
	once sync.Once
	work chan func()
}

func (s *spawner) start(cmd *exec.Cmd) error {
	s.once.Do(func() {
		s.work = make(chan func())
		go func() {
			runtime.LockOSThread()
			for f := range s.work {
				f()
			}
		}()
	})
	cmd.SysProcAttr = childAttr()
	done := make(chan error)
	s.work <- func() { done <- cmd.Start() }
	return <-done
}
