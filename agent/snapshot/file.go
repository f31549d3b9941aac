package snapshot

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ibuki-dev/ibuki/atomicfile"
)

// CompactExt is what Serf's compaction puts behind the name of the new file.
// Ours has the same name, so that one program clears away what the other left.
const CompactExt = ".compact"

// FS is the part of a file system that a snapshot needs; tests have
// one that fails and ends at any byte.
type FS interface {
	// Append opens a file to read it and to write at its end, and creates it if create.
	Append(path string, create bool) (File, error)
	// Create opens an empty file.
	Create(path string) (File, error)
	Rename(from, to string) error
	Remove(path string) error
	SyncDir(path string) error // of the file at path
}

// File is what a snapshot needs of an open file.
type File interface {
	io.ReadWriteCloser
	Sync() error
	Truncate(size int64) error
}

// Disk is the real one.
type Disk struct{}

// Append opens a file to read it and to write at its end.
func (Disk) Append(path string, create bool) (File, error) {
	flags := os.O_RDWR | os.O_APPEND
	if create {
		flags |= os.O_CREATE
	}
	return fileOf(atomicfile.Open(path, flags, fileMode))
}

// Create opens an empty file, in place of what another one left.
func (Disk) Create(path string) (File, error) {
	return fileOf(atomicfile.Create(path, os.O_RDWR|os.O_APPEND, fileMode))
}

const fileMode = 0o644 // as with Serf

// fileOf returns no typed nil.
func fileOf(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Rename is os.Rename.
func (Disk) Rename(from, to string) error { return os.Rename(from, to) }

// Remove is os.Remove.
func (Disk) Remove(path string) error { return os.Remove(path) }

// SyncDir makes the names in the folder of a file last.
func (Disk) SyncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// RealPath follows links, so that replacing the file does not replace a link to it.
func RealPath(path string) (string, error) { return atomicfile.Resolve(path) }

// isFull reports whether there was no room for something.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

const leaveLine = "leave\n"

const (
	// compactMin is the size below which a file is not compacted, Serf's.
	compactMin = 128 << 10
	// compactGrowth is how many times its compact size a larger file may have.
	compactGrowth = 4
	// maxUnsaved bounds the lines that wait for a disk that does not take them,
	// in bytes. If more come, the file has to be written anew.
	maxUnsaved = 64 << 10
)

// Store keeps a memory in a file. It is used by one goroutine.
//
// Rule: the file is the last compact one and whole lines behind it. Invariant: what
// is in the file, followed by unsaved, reads as mem, unless stale.
type Store struct {
	fs     FS
	path   string
	Self   Peer
	Memory Memory

	file    File  // nil: none is open
	size    int64 // of its whole lines
	base    int64 // of the last compact file
	unsaved []byte
	stale   bool // only a new file will do
	left    bool // the last line is "leave"
	dirty   bool // written since the last Sync
	buf     []byte
}

// Open reads the file and opens it for more. If err is not nil, the file
// cannot be used at all.
func Open(fsys FS, path string, rejoin bool) (*Store, *Reader, error) {
	s := &Store{fs: fsys, path: path}
	f, err := fsys.Append(path, true)
	if isFull(err) { // not even a name: it is tried again later
		s.stale = true
		return s, &Reader{}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	r, err := readFrom(f, rejoin)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	if r.whole == 0 {
		r = orphan(fsys, path, rejoin, r)
	} else if r.partial && f.Truncate(r.whole) != nil {
		s.stale = true // what comes next must not be put behind half a line
	}
	s.file, s.size, s.base, s.Memory = f, r.whole, r.whole, r.Memory
	return s, r, nil
}

// orphan reads what a compaction has left. Serf removes the old file before it
// renames the new one: whoever dies in between leaves only that.
func orphan(fsys FS, path string, rejoin bool, empty *Reader) *Reader {
	f, err := fsys.Append(path+CompactExt, false)
	if err != nil {
		return empty
	}
	defer f.Close()
	r, err := readFrom(f, rejoin)
	if err != nil {
		return empty
	}
	r.whole = 0 // of the file itself
	return r
}

// change makes next the memory. The file says so when save has succeeded.
func (s *Store) change(next *Memory, left bool) {
	n := len(s.unsaved)
	s.unsaved = s.Memory.become(next, s.unsaved)
	if left && (!s.left || len(s.unsaved) > n) {
		s.left = true
		s.unsaved = append(s.unsaved, leaveLine...)
	}
	if s.stale || len(s.unsaved) > maxUnsaved && n > 0 {
		s.unsaved, s.stale = nil, true
	}
}

// save writes what is not in the file yet. On an error it may be tried again.
func (s *Store) save() error {
	if len(s.unsaved) == 0 && !s.stale {
		return nil
	}
	if !s.stale {
		return s.append()
	}
	return s.compact()
}

// append writes the lines that wait. A piece of them is taken back.
func (s *Store) append() error {
	n, err := s.file.Write(s.unsaved)
	if err == nil && n < len(s.unsaved) {
		err = io.ErrShortWrite
	}
	if err == nil {
		s.size += int64(n)
		s.unsaved = s.unsaved[:0]
		s.dirty = true
		return nil
	}
	if n > 0 && s.file.Truncate(s.size) != nil {
		s.stale = true
	}
	return err
}

// grown reports whether a compact file would be much smaller.
func (s *Store) grown() bool { return s.size > max(compactMin, compactGrowth*s.base) }

// compact replaces the file by one that has only what counts: whoever reads,
// whenever this process or the machine stops, finds the old one or the new one.
func (s *Store) compact() (err error) {
	s.buf = s.Memory.appendTo(s.buf[:0], s.Self)
	if s.left {
		s.buf = append(s.buf, leaveLine...)
	}
	tmp := s.path + CompactExt
	f, err := s.fs.Create(tmp)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			_ = s.fs.Remove(tmp) // it may be what fills the disk
		}
	}()
	n, err := f.Write(s.buf)
	if err == nil && n < len(s.buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := s.fs.Rename(tmp, s.path); err != nil {
		return err
	}
	_ = s.fs.SyncDir(s.path) // some file systems cannot; the file is in place
	if s.file != nil {
		s.file.Close()
	}
	s.file, s.size, s.base = f, int64(len(s.buf)), int64(len(s.buf))
	s.unsaved, s.stale, s.dirty = s.unsaved[:0], false, false
	return nil
}

// sync waits until what was written would survive a loss of power.
func (s *Store) sync() error {
	if !s.dirty || s.file == nil {
		return nil
	}
	err := s.file.Sync()
	s.dirty = false
	s.stale = s.stale || err != nil // what was not synced may be gone, whatever a second try says
	return err
}

// close writes what it can.
func (s *Store) close() error {
	err := errors.Join(s.save(), s.sync())
	if s.file != nil {
		err = errors.Join(err, s.file.Close())
		s.file = nil
	}
	return err
}
