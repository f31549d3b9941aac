package snapshot

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/logtest"
	"github.com/ibuki-dev/ibuki/serf"
)

// stuckFS is a disk that takes nothing while it is held, or says that it is full.
type stuckFS struct {
	Disk
	held sync.Mutex
	full atomic.Bool
}

type stuckFile struct {
	File
	fs *stuckFS
}

func (f *stuckFS) Append(path string, create bool) (File, error) {
	file, err := f.Disk.Append(path, create)
	return &stuckFile{file, f}, err
}

func (f *stuckFS) Create(path string) (File, error) {
	file, err := f.Disk.Create(path)
	return &stuckFile{file, f}, err
}

var errFull = errors.New("no space left")

func (f *stuckFile) Write(b []byte) (int, error) {
	f.fs.held.Lock()
	defer f.fs.held.Unlock()
	if f.fs.full.Load() {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, errFull
	}
	return f.File.Write(b)
}

func startOn(t *testing.T, fs FS, path string, log *logtest.Buffer) *Snapshot {
	t.Helper()
	store, _, err := Open(fs, path, false)
	if err != nil {
		t.Fatal(err)
	}
	store.Self = Peer{Name: "self", Addr: addr4(99)}
	return Start(store, slog.New(slog.NewTextHandler(log, nil)))
}

func TestP166_HandlersWaitForTheFile(t *testing.T) {
	fs, path := &stuckFS{}, filepath.Join(t.TempDir(), "s")
	var log logtest.Buffer
	s := startOn(t, fs, path, &log)
	defer s.Close()
	event := serf.Event{Type: serf.EventUser, LTime: 7}
	waited := func(e serf.Event) time.Duration {
		begun := time.Now()
		s.Recorded(&e)
		return time.Since(begun)
	}
	s.Times(serf.Restorable{EventMin: 7})
	s.Recorded(&event)
	if text, _ := os.ReadFile(path); !strings.Contains(string(text), "event-clock: 7\n") {
		t.Errorf("recorded, but the file has %q", text)
	}
	if d := waited(serf.Event{Type: serf.EventMemberJoin}); d > recordMax/2 {
		t.Errorf("a member event waited %v", d)
	}

	fs.held.Lock() // the disk hangs: a handler waits, but not for ever
	s.Times(serf.Restorable{EventMin: 8})
	event.LTime = 8
	if d := waited(event); d < recordMax {
		t.Errorf("waited %v for a disk that hangs", d)
	}
	fs.held.Unlock()
	s.Recorded(&event)
	s.Times(serf.Restorable{QueryMin: 3})
	s.Recorded(&serf.Event{Type: serf.EventQuery, LTime: 3})
	if text, _ := os.ReadFile(path); !strings.Contains(string(text), "event-clock: 8\n") || !strings.Contains(string(text), "query-clock: 3\n") {
		t.Errorf("the file has %q", text)
	}
}

// TestSnapshotOnAFullDisk: what happens while nothing can be written is in
// the file when it can be again, and half lines never are.
func TestSnapshotOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, path := &stuckFS{}, filepath.Join(t.TempDir(), "s")
		var log logtest.Buffer
		s := startOn(t, fs, path, &log)
		s.Peers([]Peer{{Name: "a", Addr: addr4(1)}})
		time.Sleep(time.Second)
		fs.full.Store(true)
		var peers []Peer
		for i := range 5000 { // more lines than are kept
			peers = append(peers, Peer{Name: fmt.Sprintf("n%04d", i), Addr: addr4(byte(i))})
			s.Peers(slices.Clone(peers))
			if i%100 == 0 {
				time.Sleep(time.Minute)
			}
		}
		s.Times(serf.Restorable{EventMin: 9})
		begun := time.Now()
		s.Recorded(&serf.Event{Type: serf.EventUser, LTime: 9})
		if d := time.Since(begun); d > time.Second {
			t.Errorf("a handler waited %v for a full disk", d)
		}
		text, _ := os.ReadFile(path)
		if r := read(t, string(text), false); r.partial || r.Bad > 0 || describe(r.Peers) != "a self" {
			t.Errorf("on the full disk the file is %q", text)
		}
		fs.full.Store(false)
		time.Sleep(time.Minute)
		text, _ = os.ReadFile(path)
		if r := read(t, string(text), false); len(r.Peers) != 5001 || r.Event != 9 || r.Bad > 0 {
			t.Errorf("afterwards %d peers, event time %d", len(r.Peers), r.Event)
		}
		s.Close()
		if n := strings.Count(log.String(), "Failed to update snapshot"); n != 1 {
			t.Errorf("the full disk was reported %d times", n)
		}
		if n := strings.Count(log.String(), "is being written again"); n != 1 {
			t.Errorf("its end was reported %d times", n)
		}
	})
}
