package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// memFS is a file system that ends, like a process at kill -9, in the middle of
// anything, and that can be full. What was written stays, unless the power goes.
type memFS struct {
	files   map[string]*memData
	durable map[string]*memData // the names as they were when the folder was synced last
	left    int                 // operations and bytes until the end
	room    int                 // bytes until it is full; negative: no limit
	fixed   bool                // no file can be created
}

type memData struct {
	b      []byte
	synced int
}

var errEnd = errors.New("the process has ended")

func newMemFS() *memFS {
	return &memFS{files: map[string]*memData{}, durable: map[string]*memData{}, left: math.MaxInt, room: -1}
}

func (m *memFS) op() error {
	if m.left <= 0 {
		m.left = 0
		return errEnd
	}
	m.left--
	return nil
}

// powerCut takes away what was not synced, or not all of it.
func (m *memFS) powerCut(rng *rand.Rand) {
	if rng.IntN(2) == 0 {
		m.files = map[string]*memData{}
		for name, d := range m.durable { // order-free: copied
			m.files[name] = d
		}
	}
	for _, d := range m.files { // order-free: the names are few and the draw is a test's
		d.b = d.b[:d.synced+rng.IntN(len(d.b)-d.synced+1)]
	}
}

func (m *memFS) Append(path string, create bool) (File, error) {
	if err := m.op(); err != nil {
		return nil, err
	}
	d := m.files[path]
	if d == nil {
		if !create {
			return nil, fs.ErrNotExist
		}
		if m.room == 0 {
			return nil, syscall.ENOSPC
		}
		d = &memData{}
		m.files[path] = d
	}
	return &memFile{fs: m, d: d}, nil
}

func (m *memFS) Create(path string) (File, error) {
	if err := m.op(); err != nil {
		return nil, err
	}
	if m.room == 0 {
		return nil, syscall.ENOSPC
	}
	if m.fixed {
		return nil, fs.ErrPermission
	}
	d := &memData{}
	m.files[path] = d
	return &memFile{fs: m, d: d}, nil
}

func (m *memFS) Rename(from, to string) error {
	if err := m.op(); err != nil {
		return err
	}
	m.files[to] = m.files[from]
	delete(m.files, from)
	return nil
}

func (m *memFS) Remove(path string) error {
	if err := m.op(); err != nil {
		return err
	}
	delete(m.files, path)
	return nil
}

func (m *memFS) SyncDir(string) error {
	if err := m.op(); err != nil {
		return err
	}
	m.durable = map[string]*memData{}
	for name, d := range m.files { // order-free: copied
		m.durable[name] = d
	}
	return nil
}

type memFile struct {
	fs *memFS
	d  *memData
	at int
}

func (f *memFile) Read(b []byte) (int, error) {
	if err := f.fs.op(); err != nil {
		return 0, err
	}
	if f.at == len(f.d.b) {
		return 0, io.EOF
	}
	n := copy(b, f.d.b[f.at:])
	f.at += n
	return n, nil
}

func (f *memFile) Write(b []byte) (n int, err error) {
	if n = len(b); n > f.fs.left {
		n, err = f.fs.left, errEnd
	}
	if r := f.fs.room; r >= 0 && n > r {
		n, err = r, syscall.ENOSPC
	}
	f.fs.left -= n
	if f.fs.room >= 0 {
		f.fs.room -= n
	}
	f.d.b = append(f.d.b, b[:n]...)
	return n, err
}

func (f *memFile) Sync() error {
	if err := f.fs.op(); err != nil {
		return err
	}
	f.d.synced = len(f.d.b)
	return nil
}

func (f *memFile) Truncate(size int64) error {
	if err := f.fs.op(); err != nil {
		return err
	}
	f.d.b = f.d.b[:size]
	f.d.synced = min(f.d.synced, int(size))
	return nil
}

func (f *memFile) Close() error { return nil }

// lives is one node through many lives on one file, with what must hold from
// each to the next.
type lives struct {
	t     *testing.T
	rng   *rand.Rand
	fs    *memFS
	now   time.Time
	power bool // lives end with a loss of power

	handled   map[wire.LTime]bool
	highest   uint32 // incarnation of any life
	clusterAt wire.LTime
	sure      []Peer // in the file for certain
	unsure    map[string]bool
	left      bool
	starts    int
}

// life runs one life to its end.
func (l *lives) life() {
	store, r, err := Open(l.fs, "s", false)
	if err != nil {
		if !errors.Is(err, errEnd) {
			l.t.Fatalf("life %d: %v", l.starts, err)
		}
		return
	}
	l.starts++
	l.check(r)
	if l.left && r.Left > 0 {
		l.sure, l.left = nil, false
	}
	store.Self = Peer{Name: "self", Addr: addr4(99)}
	if i, ok := FindPeer(store.Memory.Peers, "self"); ok {
		store.Memory.Peers = slices.Delete(store.Memory.Peers, i, i+1)
	}
	w := newWriter(store, slog.New(slog.DiscardHandler))
	own := store.Memory
	w.begin(l.now)
	if l.fs.left == 0 {
		return
	}
	l.sure, l.unsure = own.Peers, map[string]bool{}
	inc := own.Incarnation + 1
	if own.Event == 0 { // the first exchange of a new node skips what was
		w.Times(serf.Restorable{EventMin: l.clusterAt})
	}
	told := max(own.Event, w.next.Event)
	for l.fs.left > 0 {
		l.highest = max(l.highest, inc)
		l.turn(w, &inc, &told)
	}
}

// turn is a while in a life: something happens, and the writer writes.
func (l *lives) turn(w *writer, inc *uint32, told *wire.LTime) {
	l.now = l.now.Add(time.Duration(l.rng.IntN(3000)) * time.Millisecond)
	peers := w.next.Peers
	var event wire.LTime
	leaves := false
	switch l.rng.IntN(12) {
	case 0, 1, 2, 3:
		peers = l.otherPeers(peers)
		w.Peers(peers)
	case 4, 5, 6, 7: // an event, or all that were missed
		if *told >= l.clusterAt {
			l.clusterAt++
		}
		*told++
		event = *told
		w.Times(serf.Restorable{EventMin: event})
	case 8:
		*inc++
		w.Times(serf.Restorable{Incarnation: *inc})
	case 9:
		w.Times(serf.Restorable{Clock: w.next.Clock + 1})
	case 10:
		w.Seeds([]string{fmt.Sprint("seed", l.rng.IntN(3))})
	case 11:
		if l.rng.IntN(40) == 0 {
			leaves = true
			w.Leave()
		}
	}
	for _, p := range slices.Concat(peers, l.sure) {
		i, in := FindPeer(l.sure, p.Name)
		if j, still := FindPeer(peers, p.Name); !in || !still || l.sure[i].Name != peers[j].Name {
			l.unsure[p.Name] = true
		}
	}
	w.step(l.now)
	if leaves {
		l.left = true
		l.fs.left = 0
		return
	}
	if l.fs.left == 0 { // it ended while it wrote
		return
	}
	saved := w.retryAt.IsZero() && (!l.power || !w.store.dirty)
	if saved {
		l.sure, l.unsure = peers, map[string]bool{}
	}
	if event > 0 && saved { // what a handler does now, it does once
		if l.handled[event] {
			l.t.Fatalf("life %d: event %d is handled again", l.starts, event)
		}
		l.handled[event] = true
	}
}

// otherPeers changes a list in a few places.
func (l *lives) otherPeers(old []Peer) []Peer {
	list := slices.Clone(old)
	for range 1 + l.rng.IntN(3) {
		p := Peer{Name: fmt.Sprintf("node-%02d", l.rng.IntN(30)), Addr: addr4(byte(l.rng.IntN(5))), Lost: l.rng.IntN(3) == 0}
		i, ok := FindPeer(list, p.Name)
		switch {
		case !ok:
			list = slices.Insert(list, i, p)
		case l.rng.IntN(2) == 0:
			list = slices.Delete(list, i, i+1)
		default:
			list[i] = p
		}
	}
	return list
}

// check compares what was read with what must have been kept.
func (l *lives) check(r *Reader) {
	if r.Bad > 0 {
		l.t.Fatalf("life %d: %d bad lines in %q", l.starts, r.Bad, l.fs.files["s"].b)
	}
	if r.Incarnation < l.highest {
		l.t.Fatalf("life %d: incarnation %d, and %d was used", l.starts, r.Incarnation, l.highest)
	}
	if l.left { // it may have been noted or not
		return
	}
	for _, p := range l.sure {
		if _, ok := FindPeer(r.Peers, p.Name); !ok && !l.unsure[p.Name] {
			l.t.Fatalf("life %d: %s is lost; read %s", l.starts, p.Name, show(&r.Memory))
		}
	}
	for _, p := range r.Peers {
		if _, ok := FindPeer(l.sure, p.Name); !ok && !l.unsure[p.Name] && p.Name != "self" {
			l.t.Fatalf("life %d: %s came from nowhere; read %s", l.starts, p.Name, show(&r.Memory))
		}
	}
}

// TestTenThousandLives: the writer is ended at a random byte or call, ten thousand
// times; it always starts again, has every member that it had confirmed, starts
// above its old incarnation and handles no event twice.
func TestTenThousandLives(t *testing.T) {
	for _, power := range []bool{false, true} {
		rounds := 10000
		if testing.Short() || power {
			rounds = 1000
		}
		l := &lives{t: t, rng: rand.New(rand.NewPCG(7, 7)), fs: newMemFS(), now: t0, power: power, handled: map[wire.LTime]bool{}}
		for range rounds {
			l.fs.left = 1 + l.rng.IntN(1000)
			if l.rng.IntN(50) == 0 {
				l.fs.left = 1 + l.rng.IntN(200000) // long enough to compact
			}
			l.life()
			if power {
				l.fs.powerCut(l.rng)
			}
		}
		t.Logf("power %v: %d of %d starts got as far as to read, %d events, incarnation %d", power, l.starts, rounds, len(l.handled), l.highest)
		if l.starts < rounds/2 || len(l.handled) < rounds/10 {
			t.Errorf("only %d starts and %d events", l.starts, len(l.handled))
		}
	}
}

// TestSnapshotRoomRunsOut: at whatever byte the disk is full, the file stays
// readable, and has everything when there is room again.
func TestSnapshotRoomRunsOut(t *testing.T) {
	for room := range 700 {
		m := newMemFS()
		store, _, err := Open(m, "s", false)
		if err != nil {
			t.Fatal(err)
		}
		store.Self = Peer{Name: "self", Addr: addr4(99)}
		m.room = room
		w := newWriter(store, slog.New(slog.DiscardHandler))
		now := t0
		w.begin(now)
		var peers []Peer
		for i := range 20 {
			peers = append(slices.Clone(peers), Peer{Name: fmt.Sprintf("n%02d", i), Addr: addr4(byte(i))})
			w.Peers(peers)
			now = now.Add(time.Minute)
			w.step(now)
			if d := m.files["s"]; d != nil {
				if r := read(t, string(d.b), false); r.Bad > 0 {
					t.Fatalf("room for %d: %q", room, d.b)
				}
			}
		}
		m.room = -1
		now = now.Add(time.Minute)
		w.step(now)
		if r := read(t, string(m.files["s"].b), false); describe(r.Peers) != describe(peers)+" self" || r.partial {
			t.Fatalf("room for %d: afterwards %q", room, m.files["s"].b)
		}
		if m.files["s"+CompactExt] != nil {
			t.Fatalf("room for %d: a compaction is left behind", room)
		}
	}
}

// TestSnapshotInAFixedFolder: the file can be written, but not replaced. Half a line
// at its end does not spoil the next.
func TestSnapshotInAFixedFolder(t *testing.T) {
	m := newMemFS()
	m.files["s"] = &memData{b: []byte("alive: a 10.0.0.1:7946\nclock: 5\nalive: b 10.0.")}
	m.fixed = true
	for life := range 3 {
		store, r, err := Open(m, "s", false)
		if err != nil || r.Clock != 5+wire.LTime(life) || r.Bad > 0 || r.partial != (life == 0) {
			t.Fatalf("life %d: %v, %+v", life, err, r)
		}
		w := newWriter(store, slog.New(slog.DiscardHandler))
		w.begin(t0)
		w.Times(serf.Restorable{Clock: r.Clock + 1})
		w.step(t0)
		if !w.retryAt.IsZero() {
			t.Fatalf("life %d: it is taken for a failure", life)
		}
	}
	if r := read(t, string(m.files["s"].b), false); describe(r.Peers) != "a" || r.Clock != 8 || r.Incarnation != 51 || r.Bad > 0 {
		t.Errorf("%s from %q", show(&r.Memory), m.files["s"].b)
	}
}

func TestSnapshotCompacts(t *testing.T) {
	m := newMemFS()
	store, _, _ := Open(m, "s", false)
	w := newWriter(store, slog.New(slog.DiscardHandler))
	w.begin(t0)
	most := 0
	for i := range 40000 {
		w.Times(serf.Restorable{EventMin: wire.LTime(i)})
		w.step(t0.Add(time.Duration(i) * time.Millisecond))
		most = max(most, len(m.files["s"].b))
	}
	if most < compactMin-100 || most > compactMin {
		t.Errorf("the file grew to %d bytes, want little less than %d", most, compactMin)
	}
	if r := read(t, string(m.files["s"].b), false); r.Event != 39999 {
		t.Errorf("event time %d", r.Event)
	}
}

// TestSnapshotOrphans: what a compaction that was cut off has left counts only if
// there is nothing else.
func TestSnapshotOrphans(t *testing.T) {
	const a, b = "alive: a 10.0.0.1:7946\n", "alive: b 10.0.0.2:7946\nalive: c 10.0.0.3:79"
	for _, c := range []struct{ file, orphan, want string }{
		{"", b, "b"}, {a, b, "a"}, {"", "", ""}, {"-", b, "b"}, {"-", "", ""}, {"alive: a", b, "b"}, {a + "alive: x 1", "", "a"},
	} {
		path := filepath.Join(t.TempDir(), "s")
		if c.file != "-" {
			must(t, os.WriteFile(path, []byte(c.file), 0o600))
		}
		if c.orphan != "" {
			must(t, os.WriteFile(path+CompactExt, []byte(c.orphan), 0o600))
		}
		store, r, err := Open(Disk{}, path, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := describe(r.Peers); got != c.want {
			t.Errorf("%+v: read %q", c, got)
		}
		must(t, store.compact())
		must(t, store.close())
		if _, err := os.Stat(path + CompactExt); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v: the orphan is still there", c)
		}
		if _, r, _ := Open(Disk{}, path, false); describe(r.Peers) != c.want {
			t.Errorf("%+v: after a compaction %q", c, describe(r.Peers))
		}
	}
}

func TestSnapshotThroughALink(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, os.Symlink(file, link))
	path, err := RealPath(link)
	must(t, err)
	store, _, err := Open(Disk{}, path, false)
	if err != nil {
		t.Fatal(err)
	}
	must(t, store.compact())
	must(t, store.close())
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v", info)
	}
	if text, _ := os.ReadFile(file); len(text) == 0 {
		t.Error("the file behind it was not written")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var t0 = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// describe is a list of peers in one line; a question mark is behind those who are lost.
func describe(peers []Peer) string {
	var out []string
	for _, p := range peers {
		mark := ""
		if p.Lost {
			mark = "?"
		}
		out = append(out, p.Name+mark)
	}
	return strings.Join(out, " ")
}

// A link at the name of the new file is not followed: whoever may write to the folder would have
// another file overwritten.
func TestCompactFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	file, precious := filepath.Join(dir, "s"), filepath.Join(dir, "precious")
	must(t, os.WriteFile(precious, []byte("precious"), 0o600))
	must(t, os.Symlink(precious, file+CompactExt))
	store, _, err := Open(Disk{}, file, false)
	must(t, err)
	must(t, store.compact())
	must(t, store.close())
	if b, err := os.ReadFile(precious); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
	if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() {
		t.Errorf("%v, %v", info, err)
	}
}
