package atomicfile

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// Errors that are about what is at a path.
var (
	// ErrNotRegular: something else than a file is there.
	ErrNotRegular = errors.New("not a regular file")
	// ErrForeignLink: there is a link of another user's.
	ErrForeignLink = errors.New("a symbolic link of another user")
)

const (
	maxLinks = 16 // that lead from one to the next
	tempExt  = ".tmp"
)

// Resolve returns the path of the file that path names, with the links followed that may
// be. There need not be a file yet; what is there is regular.
func Resolve(path string) (string, error) {
	for range maxLinks {
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return path, nil
		case err != nil:
			return "", err
		case info.Mode().IsRegular():
			return path, nil
		case info.Mode()&fs.ModeSymlink == 0:
			return "", &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
		case !trusted(info):
			return "", &fs.PathError{Op: "open", Path: path, Err: ErrForeignLink}
		}
		target, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return "", &fs.PathError{Op: "open", Path: path, Err: errors.New("too many links")}
}

// Open opens a file as os.OpenFile does, and never waits: neither for the other end of a
// pipe nor for anything else that is no file.
func Open(path string, flag int, mode fs.FileMode) (*os.File, error) {
	path, err := Resolve(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, flag|openFlags, mode)
	return regular(path, f, err)
}

// OpenToRead opens a file to read it, wherever links lead.
func OpenToRead(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|noWait, 0)
	return regular(path, f, err)
}

// regular closes what is no regular file.
func regular(path string, f *os.File, err error) (*os.File, error) {
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Create makes a file of that very name, in place of whatever file or link has it: the
// link goes, and what it pointed at stays as it was.
func Create(path string, flag int, mode fs.FileMode) (*os.File, error) {
	if info, err := os.Lstat(path); err == nil {
		if !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0 {
			return nil, &fs.PathError{Op: "create", Path: path, Err: ErrNotRegular}
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, flag|os.O_CREATE|os.O_EXCL|openFlags, mode)
}

// Replace makes text the content of the file: whoever reads it, whenever the power goes,
// finds the old one or the new one. It has that mode, or if keep the mode of the file that
// was there. What is returned is for Remove.
func Replace(path string, text []byte, mode fs.FileMode, keep bool) (info fs.FileInfo, err error) {
	if path, err = Resolve(path); err != nil {
		return nil, err
	}
	if old, err := os.Lstat(path); err == nil && keep {
		mode = old.Mode().Perm()
	}
	f, err := temporary(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(text); err != nil {
		return nil, err
	}
	if err = f.Chmod(mode); err != nil && chmodNeeded {
		return nil, err
	}
	if err = f.Sync(); err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if err = f.Close(); err != nil {
		return nil, err
	}
	return info, os.Rename(f.Name(), path)
}

// temporary makes an empty file beside path, which only its owner may open.
func temporary(path string) (*os.File, error) {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	name := fmt.Sprintf(".%s.%s%s", filepath.Base(path), hex.EncodeToString(random[:]), tempExt)
	return os.OpenFile(filepath.Join(filepath.Dir(path), name), os.O_WRONLY|os.O_CREATE|os.O_EXCL|openFlags, 0o600)
}

// Clean removes what writers of a file left beside it that were killed half-way. Nobody may be
// writing meanwhile.
func Clean(path string) {
	path, err := Resolve(path)
	if err != nil {
		return
	}
	made := regexp.MustCompile(`^\.` + regexp.QuoteMeta(filepath.Base(path)) + `\.[0-9a-f]{16}\.tmp$`)
	entries, _ := os.ReadDir(filepath.Dir(path)) // what can be read of it
	for _, e := range entries {
		if made.MatchString(e.Name()) && e.Type().IsRegular() {
			_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}

// Remove removes the file if it is still the one that Replace wrote.
func Remove(path string, written fs.FileInfo) error {
	path, err := Resolve(path)
	if err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(info, written) {
		return &fs.PathError{Op: "remove", Path: path, Err: errors.New("somebody else has written it since")}
	}
	return os.Remove(path)
}
