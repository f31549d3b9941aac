package livefile

import (
	"bytes"
	"io"
	"os"
	"time"

	"github.com/ibuki-dev/ibuki/atomicfile"
	"github.com/ibuki-dev/ibuki/live"
)

// read returns the whole file, within live.MaxFile, and what it was read of. It is
// read into buf if there is room.
func read(path string, buf []byte) ([]byte, os.FileInfo, error) {
	f, err := atomicfile.OpenToRead(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if info.Size() > live.MaxFile {
		return nil, nil, live.ErrTooLarge
	}
	text := bytes.NewBuffer(buf[:0])
	text.Grow(int(info.Size()) + bytes.MinRead) // within live.MaxFile
	_, err = text.ReadFrom(io.LimitReader(f, live.MaxFile+1))
	return text.Bytes(), info, err
}

// lastRead tells whether a file may be another than the one that was read.
type lastRead struct {
	info os.FileInfo
	// racy: the file was so new when it was read that it may have been written to
	// since without getting another time.
	racy bool
}

// timeGrain is the coarsest grain of a file's time, with room.
const timeGrain = 2 * time.Second

func newLastRead(now time.Time, info os.FileInfo) lastRead {
	return lastRead{info: info, racy: now.Sub(info.ModTime()) < timeGrain}
}

// covers reports whether info is surely what was read.
func (l *lastRead) covers(info os.FileInfo) bool {
	return l.info != nil && !l.racy && os.SameFile(l.info, info) &&
		l.info.Size() == info.Size() && l.info.ModTime().Equal(info.ModTime())
}
