//go:build linux

package agent

import (
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ibuki-dev/ibuki/agent/transport/transporttest"
)

// TestFilesThatAreNone: every file that an agent is told to write is refused by name where there is
// something else, before anything starts, and what is there stays.
func TestFilesThatAreNone(t *testing.T) {
	for option, set := range map[string]func(c *Config, path string){
		"addr_file": func(c *Config, path string) { c.AddrFile = path },
		"snapshot":  func(c *Config, path string) { c.SnapshotPath = path },
		"tags_file": func(c *Config, path string) { c.TagsFile = path },
		"keyring":   func(c *Config, path string) { c.KeyringFile = path },
	} {
		for kind, make := range map[string]func(path string) error{
			"a pipe":           func(path string) error { return syscall.Mkfifo(path, 0o600) },
			"a folder":         func(path string) error { return os.Mkdir(path, 0o700) },
			"a link to a pipe": func(path string) error { _ = syscall.Mkfifo(path+".p", 0o600); return os.Symlink(path+".p", path) },
		} {
			t.Run(option+", "+kind, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "named")
				if err := make(path); err != nil {
					t.Fatal(err)
				}
				before, err := os.Lstat(path)
				if err != nil {
					t.Fatal(err)
				}
				cfg := Config{Name: "n", Bind: netip.MustParseAddrPort("10.0.0.1:7946"), Listen: transporttest.NewMemNet().Listen, LogOutput: io.Discard}
				set(&cfg, path)
				a, err := New(cfg)
				if err == nil {
					err = a.Start(t.Context())
					a.Stop()
				}
				if err == nil || !strings.Contains(err.Error(), path) {
					t.Errorf("%v", err)
				}
				after, err := os.Lstat(path)
				if err != nil || after.Mode().Type() != before.Mode().Type() || !os.SameFile(before, after) {
					t.Errorf("%v became %v, %v", before.Mode(), after, err)
				}
				if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) > 1 && before.Mode()&fs.ModeSymlink == 0 {
					t.Errorf("left behind: %v", entries)
				}
			})
		}
	}
}
