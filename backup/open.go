package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Folder is a backup whose files were checked against its manifest.
type Folder struct {
	*Manifest
	dir string
}

// Open checks the files of a folder. read hears of how many bytes are read, piece by piece.
func Open(ctx context.Context, dir string, heard func(bytes int64)) (*Folder, error) {
	m, err := read(dir)
	if err != nil {
		return nil, err
	}
	f := &Folder{m, dir}
	for i := range m.Files {
		if err := f.check(ctx, &m.Files[i], heard); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *Folder) check(ctx context.Context, file *File, heard func(bytes int64)) error {
	in, err := f.open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	h, buffer := sha256.New(), make([]byte, 1<<20)
	for size := int64(0); ; {
		n, err := in.Read(buffer)
		h.Write(buffer[:n])
		size += int64(n)
		heard(int64(n))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF) && (size != file.Bytes || sum(h) != file.SHA256):
			return fmt.Errorf("%w: %s is not what was written: it has %d bytes, checksum %.12s…, and the manifest says %d, %.12s…",
				ErrBad, filepath.Join(f.dir, file.Name), size, sum(h), file.Bytes, file.SHA256)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func (f *Folder) open(file *File) (*os.File, error) {
	name := filepath.Join(f.dir, file.Name)
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no regular file", ErrBad, name)
	}
	in, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrBad, err)
	}
	return in, err
}
