//go:build linux

package livefile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/atomicfile"
)

// TestLockIsItsOwners: nobody else can open the lock and so hold it, also where an earlier version
// made it; who has it for too long is named.
func TestLockIsItsOwners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "live.json")
	if err := os.WriteFile(path+".lock", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path + ".lock"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err = lock(ctx, path)
	if want := fmt.Sprintf("process %d ", os.Getpid()); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
	unlock()
	unlock, err = lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// TestLockIsAFile: what else is at its name is refused at once.
func TestLockIsAFile(t *testing.T) {
	for _, name := range []string{"list", "lock"} {
		path := filepath.Join(t.TempDir(), "live.json")
		bad := path
		if name == "lock" {
			bad += ".lock"
		}
		if err := syscall.Mkfifo(bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := lock(t.Context(), path); !errors.Is(err, atomicfile.ErrNotRegular) {
			t.Errorf("the %s is a pipe: %v", name, err)
		}
		if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
			t.Errorf("left behind: %v", entries)
		}
	}
}
