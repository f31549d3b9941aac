package fill

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// spoolName is what the names of the files of spools begin with.
const spoolName = "fill-"

// Spool is a file that one goroutine writes and another one reads at the same time. What was read gives its place to
// what comes, so that the file has a bound: a writer that is so far ahead waits.
type Spool struct {
	file *os.File
	most int64

	mu      sync.Mutex
	changed *sync.Cond
	written int64
	read    int64
	end     error // io.EOF: it is complete
}

// NewSpool makes one in a directory, of at most so many bytes.
func NewSpool(dir string, most int64) (*Spool, error) {
	file, err := os.CreateTemp(dir, spoolName+"*.dump")
	if err != nil {
		return nil, err
	}
	s := &Spool{file: file, most: most}
	s.changed = sync.NewCond(&s.mu)
	return s, nil
}

// RemoveSpools removes those that a process left in a directory.
func RemoveSpools(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, spoolName+"*.dump"))
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// Write appends, when there is room.
func (s *Spool) Write(b []byte) (n int, err error) {
	for n < len(b) {
		s.mu.Lock()
		for s.written-s.read == s.most && s.end == nil {
			s.changed.Wait()
		}
		at, room, end := s.written%s.most, s.most-(s.written-s.read), s.end
		s.mu.Unlock()
		if end != nil {
			return n, end
		}
		part := b[n:]
		part = part[:min(int64(len(part)), room, s.most-at)]
		wrote, err := s.file.WriteAt(part, at)
		n += wrote
		s.mu.Lock()
		s.written += int64(wrote)
		s.changed.Broadcast()
		s.mu.Unlock()
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// End says that nothing follows: what is read then ends with err, nil being io.EOF. The first call counts.
func (s *Spool) End(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		err = io.EOF
	}
	if s.end == nil {
		s.end = err
	}
	s.changed.Broadcast()
}

// Read returns what was written, and waits for it. A fault ends it at once.
func (s *Spool) Read(b []byte) (int, error) {
	s.mu.Lock()
	for s.read == s.written && s.end == nil {
		s.changed.Wait()
	}
	at, there, end := s.read, s.written-s.read, s.end
	s.mu.Unlock()
	if end != nil && (there == 0 || !errors.Is(end, io.EOF)) {
		return 0, end
	}
	n, err := s.file.ReadAt(b[:min(int64(len(b)), there, s.most-at%s.most)], at%s.most)
	s.mu.Lock()
	s.read += int64(n)
	s.changed.Broadcast()
	s.mu.Unlock()
	return n, err
}

// Close removes the file. Nobody may read or write any more.
func (s *Spool) Close() error {
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}
