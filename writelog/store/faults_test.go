package store

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// work does some of everything and returns what the log held after each step that was
// acknowledged, and what it would hold after the one that was not.
func work(fs *memFS, o Options) (acked, next string, err error) {
	o.FS = fs
	model := newModel()
	acked = model.dump()
	l, err := Open("memory", o)
	if err != nil {
		return acked, acked, err
	}
	defer l.Close()
	next = acked
	steps := []func() error{
		func() error { return l.SetIdentity(testID) },
		func() error { return model.save(l, hard(1, 1, 0), entries(1, 4, 1), nil) },
		func() error { return model.save(l, hard(2, 0, 3), entries(4, 9, 2), nil) },
		func() error { return model.checkpoint(l, snapshot(2, 1, "at 2")) },
		func() error { return model.save(l, nil, entries(10, 12, 2), nil) },
		func() error { return model.save(l, nil, nil, snapshot(20, 3, "at 20")) },
		func() error { return model.save(l, hard(3, 1, 20), entries(21, 32, 3), nil) },
		func() error { return model.save(l, hard(3, 1, 30), entries(31, 37, 4), nil) },
		func() error { return model.save(l, nil, []*pb.Entry{entry(38, 4, strings.Repeat("x", 1500))}, nil) },
		func() error { return model.checkpoint(l, snapshot(30, 3, "at 30")) },
		func() error { return model.save(l, nil, entries(39, 40, 4), nil) },
	}
	for _, step := range steps {
		if err = step(); err != nil {
			next = model.dump()
			break
		}
		acked = model.dump()
		next = acked
	}
	if err != nil {
		for name, again := range map[string]error{
			"Save": l.Save(hard(9, 1, 0), nil, nil), "SetIdentity": l.SetIdentity(testID), "Checkpoint": l.Checkpoint(snapshot(90, 1, "")),
		} {
			if !errors.Is(again, ErrFailed) || !errors.Is(again, errInjected) {
				return acked, next, fmt.Errorf("%s after a fault: %w", name, again)
			}
		}
		if _, err := l.Term(1); !errors.Is(err, ErrFailed) {
			return acked, next, fmt.Errorf("Term after a fault: %w", err)
		}
	}
	return acked, next, err
}

// model is a raft.MemoryStorage that is given the same.
type model struct{ *raft.MemoryStorage }

func newModel() *model { return &model{raft.NewMemoryStorage()} }

func (m *model) dump() string {
	text, err := contents(m)
	if err != nil {
		panic(err)
	}
	return text
}

func (m *model) save(l *Log, h *pb.HardState, all []*pb.Entry, snap *pb.Snapshot) error {
	if snap != nil {
		if err := m.ApplySnapshot(snap); err != nil {
			return err
		}
	}
	if err := m.Append(all); err != nil {
		return err
	}
	if h != nil {
		m.setHard(h)
	} else if o, _, _ := m.InitialState(); o != nil {
		m.setHard(o)
	}
	return l.Save(h, all, snap)
}

// setHard raises the commit index to the snapshot's, as InitialState of a Log does.
func (m *model) setHard(h *pb.HardState) {
	h = proto.CloneOf(h)
	if first, _ := m.FirstIndex(); h.GetCommit() < first-1 {
		h.Commit = new(first - 1)
	}
	_ = m.SetHardState(h)
}

func (m *model) checkpoint(l *Log, snap *pb.Snapshot) error {
	index := snap.GetMetadata().GetIndex()
	if _, err := m.CreateSnapshot(index, snap.GetMetadata().GetConfState(), snap.GetData()); err != nil {
		return err
	}
	if err := m.Compact(index); err != nil {
		return err
	}
	return l.Checkpoint(snap)
}

// TestFaultAtEveryStep: each change of the disk fails once, the log is dead from then on,
// and opened again it holds what was acknowledged, and perhaps what was under way.
func TestFaultAtEveryStep(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	whole := newMemFS()
	if _, _, err := work(whole, Options{SegmentSize: 300}); err != nil || whole.opened != 0 {
		t.Fatal(err, whole.opened)
	}
	for n := range whole.count {
		fs := newMemFS()
		fs.steps = n
		acked, next, err := work(fs, Options{SegmentSize: 300})
		if !errors.Is(err, errInjected) {
			t.Fatalf("step %d: %v", n, err)
		}
		if fs.opened != 0 {
			t.Errorf("step %d: %d files are left open", n, fs.opened)
		}
		for range 20 {
			holdsEither(t, fs.crash(random), n, acked, next)
		}
		holdsEither(t, fs, n, acked, next)
	}
}

func holdsEither(t *testing.T, fs *memFS, n int, acked, next string) {
	t.Helper()
	got, err := reopened(fs)
	if err != nil || got != acked && got != next {
		t.Fatalf("step %d, opened again: %v\n%s\nacknowledged was\n%s", n, err, got, acked)
	}
	if again, err := reopened(fs); err != nil || again != got {
		t.Fatalf("step %d, once more: %v\n%s\ninstead of\n%s", n, err, again, got)
	}
}

// TestFaultWhileOpening: what a first attempt to open a log leaves does no harm.
func TestFaultWhileOpening(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	torn := newMemFS()
	torn.steps = 43
	acked, next, err := work(torn, Options{SegmentSize: 300})
	if !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	torn.names["0000000000000099.seg.new"] = &memFile{fs: torn, data: []byte("half")}
	for n := 0; ; n++ {
		fs := torn.copyOf()
		fs.steps = n
		l, err := Open("memory", Options{FS: fs})
		if err == nil {
			l.Close()
			if n < 4 {
				t.Errorf("only %d steps", n)
			}
			return
		}
		if fs.opened != 0 || fs.locked {
			t.Errorf("step %d: left open", n)
		}
		for range 20 {
			holdsEither(t, fs.crash(random), n, acked, next)
		}
	}
}

// TestAFailedSyncIsMadeUpFor: what the system keeps in memory and takes for written after
// an fsync that failed is written again when the log is opened.
func TestAFailedSyncIsMadeUpFor(t *testing.T) {
	fs := newMemFS()
	l := create(t, fs, Options{})
	fs.steps = 1
	if err := l.Save(hard(1, 1, 0), entries(1, 3, 1), nil); !errors.Is(err, errInjected) || !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	l.Close()
	name := newestName(fs)
	file := fs.names[name]
	end := int64(len(file.kept))
	fs.count = 0
	l = open(t, fs, Options{})
	want := dump(t, l)
	if last, _ := l.LastIndex(); last != 3 || fs.count < 2 || end == int64(len(file.kept)) {
		t.Errorf("the last entry is %d after %d steps", last, fs.count)
	}
	fs.locked = false
	if got, err := reopened(fs.crash(rand.New(rand.NewPCG(3, 3)))); err != nil || got != want {
		t.Errorf("after a power cut: %v\n%s", err, got)
	}
}

// machine is a Log beside a raft.MemoryStorage.
type machine struct {
	t     *rapid.T
	fs    *memFS
	o     Options
	l     *Log
	m     *model
	term  uint64
	vote  uint64
	bound uint64 // the commit index
}

func (c *machine) last() uint64 { n, _ := c.m.LastIndex(); return n }

// save draws a Save that Raft could ask for.
func (c *machine) save(t *rapid.T) (h *pb.HardState, all []*pb.Entry, snap *pb.Snapshot) {
	last := c.last()
	if rapid.IntRange(0, 3).Draw(t, "new term") == 0 {
		c.term++
		c.vote = rapid.Uint64Range(0, 3).Draw(t, "vote")
	}
	if rapid.IntRange(0, 9).Draw(t, "snapshot") == 0 {
		last += rapid.Uint64Range(1, 9).Draw(t, "ahead")
		snap = snapshot(last, c.term, rapid.StringN(0, 20, -1).Draw(t, "state"))
		c.bound = last
	}
	if n := rapid.Uint64Range(0, 12).Draw(t, "entries"); n > 0 {
		first := last + 1
		if last > c.bound && rapid.IntRange(0, 2).Draw(t, "overlap") == 0 {
			first = rapid.Uint64Range(c.bound+1, last).Draw(t, "from")
		}
		size := rapid.IntRange(0, 3).Draw(t, "size")
		for i := first; i < first+n; i++ {
			all = append(all, entry(i, c.term, fmt.Sprintf("%d/%d%0*d", i, c.term, size*size*40, 0)))
		}
		last = first + n - 1
	}
	c.bound = rapid.Uint64Range(c.bound, last).Draw(t, "commit")
	return hard(c.term, c.vote, c.bound), all, snap
}

func (c *machine) reopen(crash bool) {
	if crash {
		c.fs = c.fs.crash(rand.New(rand.NewPCG(uint64(c.fs.count), 5)))
	}
	if err := c.l.Close(); err != nil {
		c.t.Fatal(err)
	}
	o := c.o
	o.FS = c.fs
	var err error
	if c.l, err = Open("memory", o); err != nil {
		c.t.Fatal(err)
	}
}

// same compares what the two answer.
func (c *machine) same(t *rapid.T) {
	if got, want := dumpOf(t, c.l), dumpOf(t, c.m); got != want {
		t.Fatalf("the log:\n%s\nthe model:\n%s", got, want)
	}
	lo := rapid.Uint64Range(0, c.last()+1).Draw(t, "lo")
	hi := rapid.Uint64Range(lo, c.last()+1).Draw(t, "hi")
	most := rapid.OneOf(rapid.Uint64Range(0, 400), rapid.Just(uint64(math.MaxUint64))).Draw(t, "most")
	got, err := c.l.Entries(lo, hi, most)
	want, err2 := c.m.Entries(lo, hi, most)
	if !errors.Is(err, err2) || len(got) != len(want) {
		t.Fatalf("Entries(%d, %d, %d): %d entries, %v, want %d, %v", lo, hi, most, len(got), err, len(want), err2)
	}
	for i := range got {
		if !proto.Equal(got[i], want[i]) {
			t.Fatalf("%v instead of %v", got[i], want[i])
		}
	}
	for _, i := range []uint64{lo, hi, hi + 1} {
		got, err := c.l.Term(i)
		want, err2 := c.m.Term(i)
		if got != want || !errors.Is(err, err2) {
			t.Fatalf("Term(%d): %d, %v, want %d, %v", i, got, err, want, err2)
		}
	}
}

func dumpOf(t *rapid.T, s raft.Storage) string {
	text, err := contents(s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestLogIsAsMemoryStorage: with any operations, and opened again at any time, also after
// a power cut.
func TestLogIsAsMemoryStorage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &machine{t: t, fs: newMemFS(), m: newModel(), term: 1, o: Options{
			SegmentSize: rapid.Int64Range(100, 2000).Draw(t, "segment"),
			CacheBytes:  rapid.IntRange(1, 5000).Draw(t, "cache"),
		}}
		o := c.o
		o.FS = c.fs
		var err error
		if c.l, err = Open("memory", o); err != nil {
			t.Fatal(err)
		}
		defer func() { c.l.Close() }()
		if err := c.l.SetIdentity(testID); err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"save": func(t *rapid.T) {
				h, all, snap := c.save(t)
				if err := c.m.save(c.l, h, all, snap); err != nil {
					t.Fatal(err)
				}
			},
			"checkpoint": func(t *rapid.T) {
				first, _ := c.m.FirstIndex()
				if c.bound < first {
					t.Skip("nothing is committed")
				}
				index := rapid.Uint64Range(first, c.bound).Draw(t, "index")
				term, _ := c.m.Term(index)
				if err := c.m.checkpoint(c.l, snapshot(index, term, "checkpoint")); err != nil {
					t.Fatal(err)
				}
			},
			"reopen": func(*rapid.T) { c.reopen(false) },
			"crash":  func(*rapid.T) { c.reopen(true) },
			"":       c.same,
		})
	})
}
