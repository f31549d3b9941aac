//go:build !windows

package livefile

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// tryLock takes the lock if it is free.
func tryLock(f *os.File) (bool, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var lockErr error
	if err := raw.Control(func(fd uintptr) { lockErr = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB) }); err != nil {
		return false, err
	}
	if errors.Is(lockErr, syscall.EWOULDBLOCK) || errors.Is(lockErr, syscall.EINTR) {
		return false, nil
	}
	return lockErr == nil, lockErr
}

// holder says who has the lock, as far as the system tells.
func holder(f *os.File) string {
	const unknown = "another process"
	info, err := f.Stat()
	if err != nil {
		return unknown
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return unknown
	}
	locks, err := os.Open("/proc/locks") // Linux has it
	if err != nil {
		return unknown
	}
	defer locks.Close()
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF
		word := strings.Fields(lines.Text())
		if len(word) < 6 || word[1] != "FLOCK" || !strings.HasSuffix(word[5], fmt.Sprintf(":%d", s.Ino)) {
			continue
		}
		name, _ := os.ReadFile("/proc/" + word[4] + "/comm")
		return strings.TrimSpace(fmt.Sprintf("process %s %s", word[4], strings.TrimSpace(string(name))))
	}
	return unknown
}
