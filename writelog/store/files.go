package store

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// FS is what a Log needs of its directory. Tests and simulators put faults in between.
type FS interface {
	Lock() (io.Closer, error)         // takes the directory for this process, or ErrInUse
	List() ([]string, error)          // the names of its files
	Create(name string) (File, error) // empty, for reading and writing
	Open(name string) (File, error)   // for reading and writing
	Rename(from, to string) error
	Remove(name string) error
	SyncDir() error // makes creations, renamings and removals durable
}

// File is one open file, for reading and writing.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
}

// segment is one file of the log.
type segment struct {
	number uint64
	seed   uint32
	file   File
	head   int64 // the size of its first record
	end    int64 // behind its last record
}

const (
	segmentSuffix = ".seg"
	newSuffix     = ".new" // of a segment that has no whole head yet
)

func segmentName(number uint64) string { return fmt.Sprintf("%016d%s", number, segmentSuffix) }

// segmentNumber reads a name; other files have none.
func segmentNumber(name string) (number uint64, ok bool, err error) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok {
		return 0, false, nil
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n == 0 || segmentName(n) != name {
		return 0, false, fmt.Errorf("%s: not the name of a segment", name)
	}
	return n, true, nil
}

// dirFS are the real files, in a directory.
type dirFS string

func (d dirFS) path(name string) string { return filepath.Join(string(d), name) }

// Lock implements FS.
func (d dirFS) Lock() (io.Closer, error) { return lockDir(string(d)) }

// List implements FS.
func (d dirFS) List() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// Create implements FS.
func (d dirFS) Create(name string) (File, error) {
	return openFile(d.path(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

// Open implements FS.
func (d dirFS) Open(name string) (File, error) { return openFile(d.path(name), os.O_RDWR) }

// Rename implements FS.
func (d dirFS) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

// Remove implements FS.
func (d dirFS) Remove(name string) error { return os.Remove(d.path(name)) }

// SyncDir implements FS.
func (d dirFS) SyncDir() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !syncUnsupported(err) {
		return err
	}
	return nil
}

type diskFile struct{ *os.File }

func openFile(path string, flags int) (File, error) {
	f, err := os.OpenFile(path, flags, 0o640)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// Size implements File.
func (f diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
