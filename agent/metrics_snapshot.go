package agent

import (
	"time"
)

// timedFS measures what a snapshot's store does: each write to the file in use, and each
// replacement of it, from the new file's creation on.
type timedFS struct {
	snapshotFS
	meter   *meter
	created time.Time
}

func (t *timedFS) Append(path string, create bool) (snapshotFile, error) {
	f, err := t.snapshotFS.Append(path, create)
	if err != nil {
		return nil, err
	}
	return &timedFile{snapshotFile: f, meter: t.meter}, nil
}

func (t *timedFS) Create(path string) (snapshotFile, error) {
	t.created = time.Now()
	f, err := t.snapshotFS.Create(path)
	if err != nil {
		return nil, err
	}
	return &timedFile{snapshotFile: f, meter: t.meter, fresh: true}, nil
}

func (t *timedFS) Rename(from, to string) error {
	err := t.snapshotFS.Rename(from, to)
	if err == nil && !t.created.IsZero() {
		t.meter.since("serf.snapshot.compact", t.created)
	}
	return err
}

type timedFile struct {
	snapshotFile
	meter *meter
	fresh bool // its first write is a replacement's
}

func (f *timedFile) Write(b []byte) (int, error) {
	if f.fresh {
		f.fresh = false
		return f.snapshotFile.Write(b)
	}
	defer f.meter.since("serf.snapshot.appendLine", time.Now())
	return f.snapshotFile.Write(b)
}
