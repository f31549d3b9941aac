package agent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ibuki-dev/ibuki/logtest"
)

// TestSnapshotOnAFullFileSystem: the real thing. An agent starts, runs and stops
// on it, and the file is up to date as soon as there is room.
func TestSnapshotOnAFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("needs to mount a tmpfs: ", err)
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	path, filler := filepath.Join(dir, "s"), filepath.Join(dir, "filler")
	fill := func() {
		if err := os.WriteFile(filler, bytes.Repeat([]byte{1}, 1<<20), 0o600); err == nil {
			t.Fatal("the file system is not full")
		}
	}
	var log logtest.Buffer
	begin := func() *Agent {
		return realNode(t, "a", func(c *Config) { c.SnapshotPath, c.LogOutput = path, &log })
	}
	fill()
	a := begin() // there is no file yet, and none can be written
	a.Log().Open()
	must(t, os.Remove(filler))
	fileHas := func(line string) func() bool {
		return func() bool {
			text, _ := os.ReadFile(path)
			return strings.Contains(string(text), line)
		}
	}
	eventually(t, "the file", fileHas("alive: a 127.0.0.1:"))
	for i := 1; i < 4; i++ {
		fill()
		must(t, a.UserEvent(fmt.Sprint("event", i), nil, false))
		time.Sleep(50 * time.Millisecond) // the disk is tried at least once
		must(t, os.Remove(filler))
		eventually(t, "what was missed", fileHas(fmt.Sprintf("event-clock: %d\n", i)))
	}
	fill()
	a.Stop()
	must(t, os.Remove(filler))
	a = begin()
	defer a.Stop()
	if text, _ := os.ReadFile(path); !strings.Contains(string(text), "event-clock: 3\n") {
		t.Errorf("after a restart the file is %q", text)
	}
	if n := strings.Count(log.String(), "Failed to update snapshot"); n < 1 || n > 4 {
		t.Errorf("the full disk was reported %d times", n)
	}
}
