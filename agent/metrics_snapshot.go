package agent

import (
	"time"

	"github.com/ibuki-dev/ibuki/agent/snapshot"
)

// timedFS measures what a snapshot's store does: each write to the file in use, and each
// replacement of it, from the new file's creation on.
type timedFS struct {
	snapshot.FS
	meter   *meter
	created time.Time
}

func (t *timedFS) Append(path string, create bool) (snapshot.File, error) {
	f, err := t.FS.Append(path, create)
	if err != nil {
		return nil, err
	}
	return &timedFile{File: f, meter: t.meter}, nil
}

func (t *timedFS) Create(path string) (snapshot.File, error) {
	t.created = time.Now()
	f, err := t.FS.Create(path)
	if err != nil {
		return nil, err
	}
	return &timedFile{File: f, meter: t.meter, fresh: true}, nil
}

func (t *timedFS) Rename(from, to string) error {
	err := t.FS.Rename(from, to)
	if err == nil && !t.created.IsZero() {
		t.meter.since("serf.snapshot.compact", t.created)
	}
	return err
}

type timedFile struct {
	snapshot.File
	meter *meter
	fresh bool // its first write is a replacement's
}

func (f *timedFile) Write(b []byte) (int, error) {
	if f.fresh {
		f.fresh = false
		return f.File.Write(b)
	}
	defer f.meter.since("serf.snapshot.appendLine", time.Now())
	return f.File.Write(b)
}
