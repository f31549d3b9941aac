package store

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
)

var errInjected = errors.New("injected")

// memFS is a disk that can lose power, and that fails at a chosen step.
type memFS struct {
	mu     sync.Mutex
	names  map[string]*memFile
	kept   map[string]*memFile // the names as they were when the directory was synced
	opened int
	steps  int // until one fails; below 0: none does
	count  int // steps that were taken
	locked bool
}

type memFile struct {
	fs   *memFS
	data []byte
	kept []byte // as it was when it was synced

	dirty [][2]int // what was written since; none of it is written later if a sync fails
}

func newMemFS() *memFS {
	return &memFS{names: map[string]*memFile{}, kept: map[string]*memFile{}, steps: -1}
}

// step reports whether a change of the disk is to fail.
func (m *memFS) step() error {
	m.count++
	if m.steps == 0 {
		m.steps = -1
		return errInjected
	}
	m.steps--
	return nil
}

type memLock struct{ m *memFS }

func (l memLock) Close() error {
	l.m.locked = false
	return nil
}

func (m *memFS) Lock() (io.Closer, error) {
	if m.locked {
		return nil, ErrInUse
	}
	m.locked = true
	return memLock{m}, nil
}

func (m *memFS) List() ([]string, error) { return slices.Sorted(maps.Keys(m.names)), nil }

func (m *memFS) Create(name string) (File, error) {
	if err := m.step(); err != nil {
		return nil, err
	}
	f := &memFile{fs: m}
	m.names[name] = f
	m.opened++
	return f, nil
}

func (m *memFS) Open(name string) (File, error) {
	f := m.names[name]
	if f == nil {
		return nil, os.ErrNotExist
	}
	m.opened++
	return f, nil
}

func (m *memFS) Rename(from, to string) error {
	if err := m.step(); err != nil {
		return err
	}
	m.names[to] = m.names[from]
	delete(m.names, from)
	return nil
}

func (m *memFS) Remove(name string) error {
	if err := m.step(); err != nil {
		return err
	}
	delete(m.names, name)
	return nil
}

func (m *memFS) SyncDir() error {
	if err := m.step(); err != nil {
		return err
	}
	m.kept = maps.Clone(m.names)
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return bytes.NewReader(f.data).ReadAt(p, off)
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.fs.step()
	if err != nil {
		p = p[:len(p)/2]
	}
	f.dirty = append(f.dirty, [2]int{int(off), int(off) + len(p)})
	if end := int(off) + len(p); end > len(f.data) {
		f.data = append(f.data, make([]byte, end-len(f.data))...)
	}
	return copy(f.data[off:], p), err
}

func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	dirty := f.dirty
	f.dirty = nil
	if err := f.fs.step(); err != nil {
		return err
	}
	f.kept = f.kept[:min(len(f.kept), len(f.data))]
	for _, d := range dirty {
		if from, to := d[0], min(d[1], len(f.data)); from < to {
			f.kept = append(f.kept, make([]byte, max(0, to-len(f.kept)))...)
			copy(f.kept[from:to], f.data[from:])
		}
	}
	return nil
}

func (f *memFile) Truncate(n int64) error {
	if err := f.fs.step(); err != nil {
		return err
	}
	f.data = f.data[:n]
	return nil
}

func (f *memFile) Size() (int64, error) { return int64(len(f.data)), nil }

func (f *memFile) Close() error {
	f.fs.opened--
	return nil
}

// copyOf returns the disk as it is.
func (m *memFS) copyOf() *memFS {
	c := newMemFS()
	for name, f := range m.names {
		c.names[name] = &memFile{fs: c, data: bytes.Clone(f.data), kept: bytes.Clone(f.data)}
	}
	c.kept = maps.Clone(c.names)
	return c
}

// crash returns the disk as it may be after a power cut: of what was not synced, each
// sector and each name is there or not.
func (m *memFS) crash(random *rand.Rand) *memFS {
	c := newMemFS()
	names := maps.Clone(m.kept)
	for _, name := range slices.Sorted(maps.Keys(m.names)) {
		if random.IntN(2) == 0 {
			names[name] = m.names[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.kept)) {
		if m.names[name] == nil && random.IntN(2) == 0 {
			delete(names, name)
		}
	}
	for name, f := range names {
		c.names[name] = &memFile{fs: c}
		c.names[name].data = f.lost(random)
		c.names[name].kept = bytes.Clone(c.names[name].data)
	}
	c.kept = maps.Clone(c.names)
	return c
}

func (f *memFile) lost(random *rand.Rand) []byte {
	short, long := len(f.kept), len(f.data)
	if short > long {
		short, long = long, short
	}
	size := short + random.IntN(long-short+1)
	if random.IntN(2) == 0 {
		size = len(f.data)
	}
	data := make([]byte, size)
	copy(data, f.kept)
	for at := 0; at < size; at += sectorSize {
		if random.IntN(2) == 0 && at < len(f.data) {
			copy(data[at:min(at+sectorSize, size)], f.data[at:])
		}
	}
	return data
}
