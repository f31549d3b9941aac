package dispatch

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// bufferFiles is what a Buffer needs of the disk. Tests put faults in between.
type bufferFiles interface {
	list() ([]uint64, error) // the segments' numbers, ascending
	create(number uint64) (segmentFile, error)
	open(number uint64) (segmentFile, error)
	remove(number uint64) error
	sync() error // makes creations and removals durable
}

// segmentFile is one open segment, for reading and writing.
type segmentFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
	Stat() (os.FileInfo, error)
}

// segment is one file of the log.
type segment struct {
	number   uint64
	file     segmentFile
	firstSeq uint64 // of the first write in it, or after it
	size     int64  // bytes written
	seen     int64  // bytes that readers may see: those acknowledged
	synced   int64  // bytes that an fsync has covered
	failed   error  // the fsync's; nothing is written to it any more
}

const segmentSuffix = ".seg"

func segmentName(number uint64) string { return fmt.Sprintf("%016d%s", number, segmentSuffix) }

// dirFiles are the real files, in a directory.
type dirFiles string

func (d dirFiles) path(number uint64) string { return filepath.Join(string(d), segmentName(number)) }

func (d dirFiles) list() ([]uint64, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || segmentName(n) != e.Name() {
			return nil, fmt.Errorf("%s: not the name of a segment", filepath.Join(string(d), e.Name()))
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers, nil
}

func (d dirFiles) create(number uint64) (segmentFile, error) {
	return os.OpenFile(d.path(number), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
}

func (d dirFiles) open(number uint64) (segmentFile, error) {
	return os.OpenFile(d.path(number), os.O_RDWR, 0)
}

func (d dirFiles) remove(number uint64) error { return os.Remove(d.path(number)) }

func (d dirFiles) sync() error {
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
