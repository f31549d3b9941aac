package dispatch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// SalvageBuffer makes a whole buffer of what can be read of a damaged one that nobody
// uses: the writes that wait, in their order, for whom they wait. It is written beside,
// forced to the disk, and put in the place of the other, which is kept under the name
// that is returned. If nothing is damaged, nothing is done and the name is empty.
func SalvageBuffer(dir string) (_ *BufferReport, kept string, err error) {
	dir = filepath.Clean(dir)
	lock, err := lockBufferDir(dir)
	if err != nil {
		return nil, "", err
	}
	defer lock.Close()
	v, err := survey(dir)
	if err != nil {
		return nil, "", err
	}
	defer v.close()
	report := v.report()
	if len(report.Damage) == 0 {
		return report, "", nil
	}
	beside, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".salvage-")
	if err != nil {
		return report, "", err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(beside)
		}
	}()
	if err := v.rewrite(beside); err != nil {
		return report, "", err
	}
	kept = fmt.Sprintf("%s.damaged-%s", dir, time.Now().UTC().Format("20060102T150405.000"))
	if err := swap(dir, beside, kept); err != nil {
		return report, "", err
	}
	return report, kept, nil
}

// rewrite makes a new buffer of the writes that wait.
func (v *surveyor) rewrite(dir string) error {
	info, err := os.Stat(v.dir)
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, info.Mode().Perm()); err != nil {
		return err
	}
	var at time.Time
	total := int64(1 << 20)
	for _, s := range v.segments {
		total += 2 * s.size
	}
	b, err := OpenBuffer(dir, BufferConfig{
		MaxBytes: max(total, 1<<30), MaxWrite: 1 << 30, Sync: SyncInterval, SyncEvery: time.Hour, now: func() time.Time { return at },
	})
	if err != nil {
		return err
	}
	for i := range v.writes {
		w := &v.writes[i]
		names := v.waitsFor(w)
		if len(names) == 0 {
			continue
		}
		r, _, err := v.in.read(w.segment.file, w.segment.number, w.at, w.next)
		if err == nil {
			at = time.UnixMilli(r.at)
			_, err = b.Append(r.data, names...)
		}
		if err != nil {
			return errors.Join(err, b.Close())
		}
	}
	if err := errors.Join(b.Close(), b.syncErr); err != nil {
		return err
	}
	if err := copyOthers(v.dir, dir); err != nil {
		return err
	}
	return dirFiles(dir).sync()
}

// copyOthers copies what else a gateway keeps beside the segments: how it stands.
func copyOthers(from, to string) error {
	text, err := os.ReadFile(filepath.Join(from, stateName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(to, stateName), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// swap puts the directory beside in dir's place, and dir under the name kept. Where the
// system can, there is one or the other in that place at every moment.
func swap(dir, beside, kept string) error {
	if err := exchange(dir, beside); err == nil {
		err = os.Rename(beside, kept)
		return errors.Join(err, dirFiles(filepath.Dir(dir)).sync())
	}
	if err := os.Rename(dir, kept); err != nil {
		return err
	}
	if err := os.Rename(beside, dir); err != nil {
		return errors.Join(err, os.Rename(kept, dir))
	}
	return dirFiles(filepath.Dir(dir)).sync()
}
