//go:build linux

package atomicfile

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A place is what may be at the path that a user names.
type place struct {
	name string
	make func(t *testing.T, path, precious string)
	ok   bool   // it may be written
	end  string // where it then is, if not at path
}

var places = []place{
	{name: "nothing", make: func(*testing.T, string, string) {}, ok: true},
	{name: "a file", make: func(t *testing.T, path, _ string) { put(t, path, "old") }, ok: true},
	{name: "a folder", make: func(t *testing.T, path, _ string) { check(t, os.Mkdir(path, 0o700)) }},
	{name: "a pipe", make: func(t *testing.T, path, _ string) { check(t, syscall.Mkfifo(path, 0o600)) }},
	{name: "a socket", make: func(t *testing.T, path, _ string) {
		l, err := net.Listen("unix", path)
		check(t, err)
		t.Cleanup(func() { l.Close() })
	}},
	{name: "a device", make: func(t *testing.T, path, _ string) {
		if err := syscall.Mknod(path, syscall.S_IFCHR|0o600, 1<<8|3); err != nil {
			t.Skip("no devices can be made here: ", err)
		}
	}},
	{name: "an own link", make: func(t *testing.T, path, precious string) { check(t, os.Symlink(precious, path)) }, ok: true, end: "precious"},
	{name: "a link to nothing", make: func(t *testing.T, path, _ string) { check(t, os.Symlink("later", path)) }, ok: true, end: "later"},
	{name: "a link to a folder", make: func(t *testing.T, path, _ string) { check(t, os.Symlink(".", path)) }},
	{name: "a link to a pipe", make: func(t *testing.T, path, precious string) {
		check(t, syscall.Mkfifo(precious+".pipe", 0o600))
		check(t, os.Symlink(precious+".pipe", path))
	}},
	{name: "a link to itself", make: func(t *testing.T, path, _ string) { check(t, os.Symlink(filepath.Base(path), path)) }},
	{name: "a link of another user", make: func(t *testing.T, path, precious string) {
		check(t, os.Symlink(precious, path))
		if err := os.Lchown(path, 54321, 54321); err != nil {
			t.Skip("no other user can be had here: ", err)
		}
	}},
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	check(t, os.WriteFile(path, []byte(text), 0o640))
}

// TestPlaces: what is no file of one's own stays as it is, whichever way it is to be written, and
// nothing is left beside it.
func TestPlaces(t *testing.T) {
	for _, p := range places {
		for _, how := range []string{"replace", "open", "clean and remove"} {
			t.Run(p.name+", "+how, func(t *testing.T) {
				dir := t.TempDir()
				path, precious := filepath.Join(dir, "list"), filepath.Join(dir, "precious")
				put(t, precious, "precious")
				p.make(t, path, precious)
				before := listing(t, dir)
				var err error
				switch how {
				case "replace":
					_, err = Replace(path, []byte("new"), 0o644, false)
				case "open":
					var f *os.File
					if f, err = Open(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err == nil {
						_, err = f.WriteString("new")
						f.Close()
					}
				case "clean and remove":
					Clean(path)
					other, statErr := os.Stat(dir)
					check(t, statErr)
					if Remove(path, other) == nil {
						t.Error("what another one wrote was removed")
					}
				}
				if how == "clean and remove" {
					if after := listing(t, dir); after != before {
						t.Errorf("%s became %s", before, after)
					}
					return
				}
				if (err == nil) != p.ok {
					t.Fatalf("%v", err)
				}
				if !p.ok {
					if after := listing(t, dir); after != before {
						t.Errorf("%s became %s", before, after)
					}
					return
				}
				end := p.end
				if end == "" {
					end = "list"
				}
				if b, err := os.ReadFile(filepath.Join(dir, end)); err != nil || string(b) != "new" {
					t.Errorf("%q, %v", b, err)
				}
				if b, _ := os.ReadFile(precious); end != "precious" && string(b) != "precious" {
					t.Errorf("another file became %q", b)
				}
			})
		}
	}
}

// listing is what is in a folder, and what is in the files.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range entries {
		text := ""
		if e.Type().IsRegular() {
			all, err := os.ReadFile(filepath.Join(dir, e.Name()))
			check(t, err)
			text = string(all)
		}
		b.WriteString(e.Type().String() + " " + e.Name() + " " + text + "\n")
	}
	return b.String()
}

// TestReplace: the mode, what is left beside the file, and that nobody can prepare the name.
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "list")
	for _, one := range []struct {
		mode fs.FileMode
		keep bool
		want fs.FileMode
	}{{0o600, false, 0o600}, {0o644, true, 0o600}, {0o644, false, 0o644}, {0o600, true, 0o644}} {
		written, err := Replace(path, []byte("x"), one.mode, one.keep)
		check(t, err)
		info, err := os.Lstat(path)
		check(t, err)
		if info.Mode().Perm() != one.want || !os.SameFile(info, written) {
			t.Errorf("%+v: mode %v", one, info.Mode())
		}
	}
	first, err := temporary(path)
	check(t, err)
	second, err := temporary(path)
	check(t, err)
	defer first.Close()
	defer second.Close()
	if info, _ := first.Stat(); first.Name() == second.Name() || info.Mode().Perm() != 0o600 {
		t.Errorf("%s and %s, %v", first.Name(), second.Name(), info.Mode())
	}
	others := []string{".list2024", ".list.0123456789abcdef", ".list.0123456789abcdeg.tmp", ".lists.0123456789abcdef.tmp", "list.tmp"}
	for _, name := range others {
		put(t, filepath.Join(dir, name), "")
	}
	check(t, os.Mkdir(filepath.Join(dir, ".list.aaaaaaaaaaaaaaaa.tmp"), 0o700))
	Clean(path)
	entries, err := os.ReadDir(dir)
	check(t, err)
	if len(entries) != len(others)+2 {
		t.Errorf("after Clean: %v", entries)
	}
	if _, err := Replace(filepath.Join(dir, "nosuch", "list"), nil, 0o600, false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestFailedReplaceLeavesAll: a folder that cannot be written to, a disk that is full.
func TestFailedReplaceLeavesAll(t *testing.T) {
	for _, folder := range []struct {
		name string
		make func(t *testing.T, dir string)
	}{
		{"read-only", func(t *testing.T, dir string) {
			if os.Geteuid() == 0 {
				if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_RDONLY, ""); err != nil {
					t.Skip("no file system can be made here: ", err)
				}
				t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
				return
			}
			check(t, os.Chmod(dir, 0o500))
		}},
		{"full", func(t *testing.T, dir string) {
			if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16k"); err != nil {
				t.Skip("no file system can be made here: ", err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
			put(t, filepath.Join(dir, "list"), "old")
		}},
	} {
		t.Run(folder.name, func(t *testing.T) {
			dir := t.TempDir()
			folder.make(t, dir)
			before := listing(t, dir)
			if _, err := Replace(filepath.Join(dir, "list"), make([]byte, 1<<20), 0o600, true); err == nil {
				t.Fatal("it was written")
			}
			if after := listing(t, dir); after != before {
				t.Errorf("%q became %q", before, after)
			}
		})
	}
}

// TestRemoveOnlyOnesOwn: a file that somebody has put there since stays.
func TestRemoveOnlyOnesOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "addr")
	written, err := Replace(path, []byte("one"), 0o644, false)
	check(t, err)
	_, err = Replace(path, []byte("two"), 0o644, false)
	check(t, err)
	if err := Remove(path, written); err == nil {
		t.Error("another one's file was removed")
	}
	written, err = Replace(path, []byte("three"), 0o644, false)
	check(t, err)
	check(t, Remove(path, written))
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestCreate: whatever link has the name goes, and what it points at stays.
func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path, precious := filepath.Join(dir, "new"), filepath.Join(dir, "precious")
	put(t, precious, "precious")
	check(t, os.Symlink(precious, path))
	f, err := Create(path, os.O_RDWR, 0o600)
	check(t, err)
	_, err = f.WriteString("new")
	check(t, err)
	check(t, f.Close())
	if got := listing(t, dir); got != "---------- new new\n---------- precious precious\n" {
		t.Error(got)
	}
	for _, bad := range []func(string) error{func(p string) error { return os.Mkdir(p, 0o700) }, func(p string) error { return syscall.Mkfifo(p, 0o600) }} {
		check(t, os.Remove(path))
		check(t, bad(path))
		if f, err := Create(path, os.O_RDWR, 0o600); err == nil {
			f.Close()
			t.Error("it was replaced")
		}
	}
}
