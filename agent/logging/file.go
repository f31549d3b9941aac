package logging

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/ibuki-dev/ibuki/atomicfile"
	"gopkg.in/natefinch/lumberjack.v2"
)

// File is a file that the log is written to. When it is full it is renamed, with
// the time in its name, and replaced by an empty one.
type File struct {
	Path     string
	MaxMB    int // how large it gets; 0: 100
	MaxFiles int // how many old ones are kept; 0: 7
	MaxDays  int // how long they are kept at most; 0: no limit
}

// The defaults of File.
const (
	logFileMB    = 100
	logFilesKept = 7
)

// Validate returns all faults at once.
func (f *File) Validate() (faults []error) {
	for _, n := range []struct {
		key   string
		value int
	}{{"log_file_max_mb", f.MaxMB}, {"log_file_max_files", f.MaxFiles}, {"log_file_max_days", f.MaxDays}} {
		if n.value < 0 {
			faults = append(faults, fmt.Errorf("%s is %d: it cannot be negative", n.key, n.value))
		}
		if n.value > 0 && f.Path == "" {
			faults = append(faults, fmt.Errorf("%s needs log_file", n.key))
		}
	}
	return faults
}

// Open opens the file, so that a path which cannot be written to is told at once.
func (f File) Open() (*Writer, error) {
	file, err := atomicfile.Open(f.Path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	f.Path = file.Name() // where the links lead
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	if f.MaxMB == 0 {
		f.MaxMB = logFileMB
	}
	if f.MaxFiles == 0 {
		f.MaxFiles = logFilesKept
	}
	return &Writer{to: &lumberjack.Logger{Filename: f.Path, MaxSize: f.MaxMB, MaxBackups: f.MaxFiles, MaxAge: f.MaxDays}}, nil
}

// Writer writes to a File. What the disk does not take is lost and counted: a
// full disk ends neither the log nor anything else.
type Writer struct {
	mu   sync.Mutex
	to   io.WriteCloser
	lost int // writes since the last that went well
}

// Write never fails.
func (w *Writer) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost > 0 {
		if _, err := fmt.Fprintf(w.to, "(%d writes of log lines were lost: the file could not be written)\n", w.lost); err != nil {
			w.lost++
			return len(b), nil
		}
		w.lost = 0
	}
	if _, err := w.to.Write(b); err != nil {
		w.lost++
	}
	return len(b), nil
}

// Reopen closes the file; the next line opens it by its path again, so that another
// program may have moved it.
func (w *Writer) Reopen() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Close()
}
