package dispatch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var errInjected = errors.New("injected")

// faultyFiles is a directory that fails as it is told.
type faultyFiles struct {
	dirFiles
	mu    sync.Mutex
	room  int64 // bytes that may still be written; -1: any
	syncs int   // fsyncs until one fails; -1: none does
	count int   // fsyncs that were asked for
	hold  chan struct{}
}

type faultyFile struct {
	segmentFile
	disk *faultyFiles
}

func (d *faultyFiles) create(n uint64) (segmentFile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.room == 0 {
		return nil, errInjected
	}
	f, err := d.dirFiles.create(n)
	return faultyFile{f, d}, err
}

func (d *faultyFiles) open(n uint64) (segmentFile, error) {
	f, err := d.dirFiles.open(n)
	return faultyFile{f, d}, err
}

func (f faultyFile) WriteAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.room >= 0 && int64(len(p)) > f.disk.room {
		n, _ := f.segmentFile.WriteAt(p[:f.disk.room], off)
		f.disk.room = 0
		return n, errInjected
	}
	if f.disk.room >= 0 {
		f.disk.room -= int64(len(p))
	}
	return f.segmentFile.WriteAt(p, off)
}

func (f faultyFile) Sync() error {
	f.disk.mu.Lock()
	hold := f.disk.hold
	f.disk.count++
	fails := f.disk.syncs == 0
	if f.disk.syncs > 0 {
		f.disk.syncs--
	} else if fails {
		f.disk.syncs = -1
	}
	f.disk.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if fails {
		return errInjected
	}
	return nil
}

// sync does nothing: the tests stop no machine, and a real one takes its time.
func (d *faultyFiles) sync() error { return nil }

func (d *faultyFiles) set(room int64, syncs int) {
	d.mu.Lock()
	d.room, d.syncs = room, syncs
	d.mu.Unlock()
}

func openFaulty(t testing.TB, dir string, cfg BufferConfig) (*Buffer, *faultyFiles) {
	t.Helper()
	disk := &faultyFiles{dirFiles: dirFiles(dir), room: -1, syncs: -1}
	cfg.files = disk
	return openTestBuffer(t, dir, cfg), disk
}

func TestBufferGoesOnAfterAFullDisk(t *testing.T) {
	for _, policy := range []SyncPolicy{SyncAlways, SyncInterval, SyncNever} {
		for room := int64(0); room < 300; room += 3 {
			dir := t.TempDir()
			b, disk := openFaulty(t, dir, BufferConfig{Sync: policy, SyncEvery: time.Hour, SegmentBytes: 100})
			want := []string{"first"}
			mustAppend(t, b, "first", "a")
			disk.set(room, -1)
			for i := range 6 {
				text := fmt.Sprintf("write %d", i)
				if _, err := b.Append([]byte(text), "a"); err == nil {
					want = append(want, text)
				} else if !errors.Is(err, errInjected) {
					t.Fatalf("%v: %v", policy, err)
				}
			}
			disk.set(-1, -1)
			mustAppend(t, b, "last", "a")
			want = append(want, "last")
			if b.Waiting("a") != len(want) {
				t.Fatalf("%v, room %d: %d wait, want %d", policy, room, b.Waiting("a"), len(want))
			}
			b.Close()
			b = openTestBuffer(t, dir, BufferConfig{})
			wantDrained(t, b, "a", want...)
			b.Close()
		}
	}
}

func TestBufferGivesUpASegmentWhoseSyncFailed(t *testing.T) {
	for after := range 12 {
		dir := t.TempDir()
		b, disk := openFaulty(t, dir, BufferConfig{SegmentBytes: 200, SyncEvery: time.Hour})
		disk.set(-1, after)
		var want []string
		failed := 0
		for i := range 12 {
			text := fmt.Sprintf("write %d", i)
			if _, err := b.Append([]byte(text), "a"); err == nil {
				want = append(want, text)
			} else if failed++; !errors.Is(err, errInjected) {
				t.Fatal(err)
			}
		}
		if failed != 1 {
			t.Errorf("%d appends failed by one fsync", failed)
		}
		if b.Waiting("a") != len(want) {
			t.Errorf("%d wait, want %d", b.Waiting("a"), len(want))
		}
		b.Close()
		b = openTestBuffer(t, dir, BufferConfig{})
		wantDrained(t, b, "a", want...)
		b.Close()
	}
}

func TestBufferSaysThatAnIntervalsSyncFailed(t *testing.T) {
	b, disk := openFaulty(t, t.TempDir(), BufferConfig{Sync: SyncInterval, SyncEvery: time.Hour})
	mustAppend(t, b, "1", "a")
	disk.set(-1, 0)
	b.flush()
	if _, err := b.Append([]byte("2"), "a"); !errors.Is(err, errInjected) {
		t.Errorf("the next Append says %v", err)
	}
	mustAppend(t, b, "3", "a")
	wantDrained(t, b, "a", "1", "3")
}

// Concurrent Appends share fsyncs: while one is under way the others are written,
// and the next one is for all of them.
func TestBufferCommitsInGroups(t *testing.T) {
	b, disk := openFaulty(t, t.TempDir(), BufferConfig{SyncEvery: time.Hour})
	mustAppend(t, b, "first", "a")
	hold := make(chan struct{})
	disk.mu.Lock()
	disk.count, disk.hold = 0, hold
	disk.mu.Unlock()
	const writers = 40
	var done sync.WaitGroup
	for i := range writers {
		done.Go(func() {
			if _, err := b.Append([]byte(fmt.Sprint(i)), "a"); err != nil {
				t.Error(err)
			}
		})
	}
	for written := 0; written < writers; { // all are in the file, one waits for the disk
		b.mu.Lock()
		written = len(b.tail)
		b.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	if n := b.Waiting("a"); n != 1 {
		t.Errorf("%d writes are visible before they are safe", n)
	}
	close(hold)
	done.Wait()
	if disk.count > 2 {
		t.Errorf("%d writes took %d fsyncs", writers, disk.count)
	}
	if n := b.Waiting("a"); n != writers+1 {
		t.Errorf("%d wait", n)
	}
}

// TestBufferCutAnywhere cuts the log at every byte, as a kill or a power cut does
// to what was not forced yet, and expects what was written whole before, no more.
func TestBufferCutAnywhere(t *testing.T) {
	dir := t.TempDir()
	b := openTestBuffer(t, dir, BufferConfig{SegmentBytes: 400, Sync: SyncNever})
	type state struct {
		segment uint64
		size    int64
		want    map[string][]string
	}
	var states []state
	want := map[string][]string{"a": nil, "b": nil}
	note := func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		states = append(states, state{b.last().number, b.last().size, map[string][]string{
			"a": slices.Clone(want["a"]), "b": slices.Clone(want["b"]),
		}})
	}
	for i := range 12 {
		text := fmt.Sprintf("write %d", i)
		mustAppend(t, b, text, "a", "b")
		want["a"], want["b"] = append(want["a"], text), append(want["b"], text)
		note()
		if i%3 == 2 {
			p, _, _ := b.Next("a")
			if err := b.Delivered("a", p.Ticket); err != nil {
				t.Fatal(err)
			}
			want["a"] = want["a"][1:]
			note()
		}
	}
	b.Close()
	numbers, _ := dirFiles(dir).list()
	for i, n := range numbers {
		data, err := os.ReadFile(dirFiles(dir).path(n))
		if err != nil {
			t.Fatal(err)
		}
		for cut := range len(data) {
			expect := map[string][]string{}
			for _, s := range states {
				if s.segment < n || s.segment == n && s.size <= int64(cut) {
					expect = s.want
				}
			}
			copied := t.TempDir()
			for _, m := range numbers[:i] {
				copyFile(t, dirFiles(dir).path(m), dirFiles(copied).path(m), -1)
			}
			copyFile(t, dirFiles(dir).path(n), dirFiles(copied).path(n), cut)
			b := openTestBuffer(t, copied, BufferConfig{Sync: SyncNever})
			mustAppend(t, b, "after", "a", "b")
			for _, r := range []string{"a", "b"} {
				wantDrained(t, b, r, append(slices.Clone(expect[r]), "after")...)
			}
			b.Close()
			if t.Failed() {
				t.Fatalf("segment %d cut at %d", n, cut)
			}
		}
	}
}

func copyFile(t testing.TB, from, to string, n int) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if n >= 0 {
		data = data[:n]
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestBufferReportsDamage flips each byte of acknowledged records: every one of
// them is found, with its file, and nothing is delivered as if it were right.
func TestBufferReportsDamage(t *testing.T) {
	dir := t.TempDir()
	b := openTestBuffer(t, dir, BufferConfig{SegmentBytes: 100})
	for i := range 8 {
		mustAppend(t, b, fmt.Sprintf("write %d", i), "a")
	}
	lastStart := int64(0)
	b.mu.Lock()
	lastStart = b.tail0Start(t)
	b.mu.Unlock()
	b.Close()
	numbers, _ := dirFiles(dir).list()
	if len(numbers) < 3 {
		t.Fatalf("segments %v", numbers)
	}
	for i, n := range numbers {
		path := dirFiles(dir).path(n)
		data, _ := os.ReadFile(path)
		for at := range data {
			if i == len(numbers)-1 && int64(at) >= lastStart {
				break // the very last record: nothing behind it vouches for it
			}
			bad := slices.Clone(data)
			bad[at] ^= 0x20
			os.WriteFile(path, bad, 0o600)
			_, err := OpenBuffer(dir, quickly(dir, BufferConfig{}))
			var damage *BufferDamage
			if !errors.As(err, &damage) || damage.File != path || damage.Offset > int64(at) {
				t.Fatalf("%s, byte %d: %v", filepath.Base(path), at, err)
			}
		}
		os.WriteFile(path, data, 0o600)
	}
	os.Remove(dirFiles(dir).path(numbers[1]))
	var damage *BufferDamage
	if _, err := OpenBuffer(dir, BufferConfig{}); !errors.As(err, &damage) || damage.File != dirFiles(dir).path(numbers[1]) {
		t.Errorf("a missing file: %v", err)
	}
}

// tail0Start returns where the last record of the last segment begins.
func (b *Buffer) tail0Start(t *testing.T) int64 {
	s := b.last()
	var in recordReader
	for at := int64(0); ; {
		_, next, err := in.read(s.file, s.number, at, s.size)
		if err != nil {
			t.Fatal(err)
		}
		if next == s.size {
			return at
		}
		at = next
	}
}

// TestBufferReportsDamageFoundLate: a file is damaged while the buffer is open.
func TestBufferReportsDamageFoundLate(t *testing.T) {
	dir := t.TempDir()
	b := openTestBuffer(t, dir, BufferConfig{})
	mustAppend(t, b, "1", "a")
	mustAppend(t, b, "2", "a")
	f, err := os.OpenFile(dirFiles(dir).path(1), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0xff}, 40); err != nil {
		t.Fatal(err)
	}
	var damage *BufferDamage
	if _, _, err := b.Next("a"); !errors.As(err, &damage) {
		t.Errorf("Next: %v", err)
	}
}

// A torn batch: of records that were written together and never acknowledged, an
// earlier one is missing and a later one whole. That is no damage.
func TestBufferTakesATornBatchForTorn(t *testing.T) {
	dir := t.TempDir()
	b, disk := openFaulty(t, dir, BufferConfig{SyncEvery: time.Hour})
	mustAppend(t, b, "safe", "a")
	size := b.last().size
	hold := make(chan struct{})
	disk.mu.Lock()
	disk.hold = hold
	disk.mu.Unlock()
	var done sync.WaitGroup
	for range 3 {
		done.Go(func() { _, _ = b.Append([]byte("unsafe"), "a") })
	}
	for written := 0; written < 3; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		written = len(b.tail)
		b.mu.Unlock()
	}
	copied := t.TempDir()
	copyFile(t, dirFiles(dir).path(1), dirFiles(copied).path(1), -1)
	close(hold)
	done.Wait()
	f, err := os.OpenFile(dirFiles(copied).path(1), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, 8), size); err != nil { // a page that did not reach the disk
		t.Fatal(err)
	}
	wantDrained(t, openTestBuffer(t, copied, BufferConfig{}), "a", "safe")
}

// Model: any sequence of calls, closings and reopenings delivers to each replica
// what was appended for it, in order, less what was marked.
func TestBufferAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "buffer")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		cfg := BufferConfig{
			Sync:         rapid.SampledFrom([]SyncPolicy{SyncInterval, SyncNever}).Draw(rt, "policy"),
			SyncEvery:    time.Hour,
			SegmentBytes: rapid.Int64Range(1, 600).Draw(rt, "segment"),
		}
		b := openTestBuffer(t, dir, cfg)
		defer func() { b.Close() }()
		names := []string{"a", "b", "c"}
		type kept struct {
			ticket Ticket
			text   string
		}
		model := make(map[string][]kept)
		count := 0
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				to := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 3, rapid.ID).Draw(rt, "to")
				count++
				text := fmt.Sprint(count)
				ticket := mustAppend(t, b, text, to...)
				for _, r := range to {
					model[r] = append(model[r], kept{ticket, text})
				}
			},
			"deliver": func(rt *rapid.T) {
				r := rapid.SampledFrom(names).Draw(rt, "replica")
				p, ok, err := b.Next(r)
				if err != nil || ok != (len(model[r]) > 0) {
					rt.Fatalf("Next(%s): %v %v, %d wait", r, ok, err, len(model[r]))
				}
				if !ok {
					return
				}
				if string(p.Data) != model[r][0].text {
					rt.Fatalf("Next(%s) is %s, want %s", r, p.Data, model[r][0].text)
				}
				if err := b.Delivered(r, p.Ticket); err != nil {
					rt.Fatal(err)
				}
				model[r] = model[r][1:]
			},
			"mark": func(rt *rapid.T) {
				r := rapid.SampledFrom(names).Draw(rt, "replica")
				if len(model[r]) == 0 {
					return
				}
				i := rapid.IntRange(0, len(model[r])-1).Draw(rt, "which")
				if err := b.Delivered(r, model[r][i].ticket); err != nil {
					rt.Fatal(err)
				}
				model[r] = slices.Delete(model[r], i, i+1)
			},
			"forget": func(rt *rapid.T) {
				r := rapid.SampledFrom(names).Draw(rt, "replica")
				if err := b.Forget(r); err != nil {
					rt.Fatal(err)
				}
				delete(model, r)
			},
			"reopen": func(rt *rapid.T) {
				if err := b.Close(); err != nil {
					rt.Fatal(err)
				}
				if b, err = OpenBuffer(dir, quickly(dir, cfg)); err != nil {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) {
				for _, r := range names {
					if n := b.Waiting(r); n != len(model[r]) {
						rt.Fatalf("%d wait for %s, want %d", n, r, len(model[r]))
					}
				}
			},
		})
		for _, r := range names {
			var want []string
			for _, k := range model[r] {
				want = append(want, k.text)
			}
			if got := drain(t, b, r); !slices.Equal(got, want) {
				rt.Fatalf("%s gets %q, want %q", r, got, want)
			}
		}
	})
}
