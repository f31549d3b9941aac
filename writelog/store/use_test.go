package store

import (
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

func TestDirectoryIsLocked(t *testing.T) {
	patience := lockPatience
	lockPatience = 50 * time.Millisecond
	defer func() { lockPatience = patience }()
	dir := t.TempDir()
	l := create(t, dirFS(dir), Options{})
	for _, err := range []error{func() error { _, err := Open(dir, Options{}); return err }(), func() error { _, err := Check(dir); return err }()} {
		if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
			t.Errorf("a second one: %v", err)
		}
	}
	must(t, l.Close())
	l, err := Open(dir, Options{})
	must(t, err)
	must(t, l.Close())
}

func TestOptionsNameAllFaults(t *testing.T) {
	_, err := Open(t.TempDir(), Options{SegmentSize: -1, MaxBytes: -1, CacheBytes: -1})
	for _, name := range []string{"SegmentSize", "MaxBytes", "CacheBytes"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("no word of %s in: %v", name, err)
		}
	}
}

// TestAMissingSegmentIsMissed: wherever it was.
func TestAMissingSegmentIsMissed(t *testing.T) {
	fs := newMemFS()
	l := create(t, fs, Options{SegmentSize: 200})
	for i := range uint64(20) {
		must(t, l.Save(hard(1, 1, i+1), entries(i+1, i+1, 1), nil))
	}
	must(t, l.Close())
	names, _ := fs.List()
	for i, name := range names {
		c := fs.copyOf()
		delete(c.names, name)
		_, err := reopened(c)
		var d *Damage
		if !errors.As(err, &d) || d.Segment != name || d.Index > 20 {
			t.Errorf("without file %d of %d: %v", i+1, len(names), err)
		}
		r, err := check("memory", c)
		if err != nil || r.Damage == nil || r.Damage.Segment != name {
			t.Errorf("the check of it: %+v, %v", r.Damage, err)
		}
	}
}

func TestCheckpointRemovesSegments(t *testing.T) {
	fs := newMemFS()
	l := create(t, fs, Options{SegmentSize: 500})
	for i := range uint64(100) {
		must(t, l.Save(hard(1, 1, i+1), entries(i+1, i+1, 1), nil))
	}
	size, files := l.Size(), len(fs.names)
	must(t, l.Checkpoint(snapshot(90, 1, "state")))
	if l.Size() > size/4 || len(fs.names) > files/4 || len(fs.names) != len(l.segments) {
		t.Errorf("%d of %d bytes and %d of %d files are left", l.Size(), size, len(fs.names), files)
	}
	want := dump(t, l)
	must(t, l.Close())
	l = open(t, fs, Options{})
	if got := dump(t, l); got != want {
		t.Errorf("%s\ninstead of\n%s", got, want)
	}
	if _, err := l.Entries(90, 92, math.MaxUint64); !errors.Is(err, raft.ErrCompacted) {
		t.Errorf("entry 90: %v", err)
	}
	var sum int64
	for _, f := range fs.names {
		sum += int64(len(f.data))
	}
	if d := sum - l.Size(); d < 0 || d > int64(len(fs.names))*headSize { // the seals
		t.Errorf("the size is %d, the files have %d bytes", l.Size(), sum)
	}
}

// TestFullLogComesBack: Save is refused before the bound, and takes entries again after a
// checkpoint; the hard state is always taken.
func TestFullLogComesBack(t *testing.T) {
	l := create(t, newMemFS(), Options{MaxBytes: 20_000})
	last := uint64(0)
	for round := range 5 {
		for {
			err := l.Save(nil, []*pb.Entry{entry(last+1, 1, strings.Repeat("x", 500))}, nil)
			if errors.Is(err, ErrFull) {
				break
			}
			must(t, err)
			last++
		}
		if s := l.Size(); s > 20_000 || s < 19_000 {
			t.Errorf("full at %d bytes", s)
		}
		must(t, l.Save(hard(uint64(round+1), 1, last), nil, nil))
		must(t, l.Checkpoint(snapshot(last, 1, "state")))
	}
	if last < 100 {
		t.Errorf("%d entries", last)
	}
}

// TestDamageFoundByReading: bytes that change after the log was opened are not served.
func TestDamageFoundByReading(t *testing.T) {
	fs := newMemFS()
	l := create(t, fs, Options{CacheBytes: 1})
	must(t, l.Save(hard(1, 1, 0), entries(1, 40, 1), nil))
	file := fs.names[newestName(fs)]
	file.data[len(file.data)/2] ^= 4
	if all, err := l.Entries(1, 5, math.MaxUint64); err != nil || len(all) != 4 {
		t.Errorf("what is intact: %v %v", all, err)
	}
	_, err := l.Entries(1, 41, math.MaxUint64)
	var d *Damage
	if !errors.As(err, &d) || !errors.Is(err, ErrFailed) || d.Index < 15 || d.Index > 25 {
		t.Errorf("what is not: %v", err)
	}
	if err := l.Save(nil, entries(41, 41, 1), nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("Save after it: %v", err)
	}
}

func TestCheckSaysWhatIsIntact(t *testing.T) {
	fs := newMemFS()
	many(t, fs)
	whole, err := check("memory", fs)
	must(t, err)
	if whole.Damage != nil || whole.Places != nil || whole.Torn != 0 || whole.Identity != testID || whole.Snapshot != 22 ||
		whole.Term != 5 || whole.Vote != 3 || whole.Commit != 28 || !reflect.DeepEqual(whole.Entries, []Range{{23, 32}}) {
		t.Errorf("of a whole log: %+v", whole)
	}
	name := newestName(fs)
	torn := fs.copyOf()
	torn.names[name].data = torn.names[name].data[:len(torn.names[name].data)-1]
	before := len(torn.names[name].data)
	r, err := check("memory", torn)
	must(t, err)
	if r.Damage != nil || r.Torn < 1200 || !reflect.DeepEqual(r.Entries, []Range{{23, 30}}) || len(torn.names[name].data) != before {
		t.Errorf("of a torn one: %+v", r)
	}
	// Entry 27 is the first of the newest segment.
	bad := fs.copyOf()
	data := bad.names[name].data
	data[strings.Index(string(data), "entry 27")] ^= 1
	r, err = check("memory", bad)
	must(t, err)
	if r.Damage == nil || len(r.Places) != 1 || r.Places[0].Index != 27 || !reflect.DeepEqual(r.Entries, []Range{{23, 26}, {28, 32}}) {
		t.Errorf("of a damaged one: %+v", r)
	}
	if _, err := Check(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of none: %v", err)
	}
}

func TestDamageSaysWhatAndTheCure(t *testing.T) {
	text := (&Damage{Dir: "d", Segment: "s.seg", Offset: 5, Index: 9, Reason: "gone"}).Error()
	for _, part := range []string{"d", "s.seg", "byte 5", "entry 9", "gone", "move the directory away"} {
		if !strings.Contains(text, part) || strings.Contains(text, "\n") {
			t.Errorf("no %q in %q", part, text)
		}
	}
}

// TestRaftRunsOnIt: a group of one, restarted again and again, with checkpoints.
func TestRaftRunsOnIt(t *testing.T) {
	raft.SetLogger(&raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)})
	fs := newMemFS()
	applied := 0
	for round := range 4 {
		l := open(t, fs, Options{SegmentSize: 2000, CacheBytes: 500})
		must(t, l.SetIdentity(testID))
		cfg := &raft.Config{ID: testID.Member, ElectionTick: 10, HeartbeatTick: 1, Storage: l, MaxSizePerMsg: 1 << 20,
			MaxInflightMsgs: 16, PreVote: true, CheckQuorum: true}
		snap, err := l.Snapshot()
		must(t, err)
		cfg.Applied = snap.GetMetadata().GetIndex()
		node, err := raft.NewRawNode(cfg)
		must(t, err)
		if round == 0 {
			must(t, node.Bootstrap([]raft.Peer{{ID: testID.Member}}))
		}
		members := snap.GetMetadata().GetConfState()
		applied = len(strings.Fields(string(snap.GetData())))
		state := string(snap.GetData())
		index, term := cfg.Applied, uint64(0)
		settle := func() {
			for node.HasReady() {
				rd := node.Ready()
				must(t, l.Save(rd.HardState, rd.Entries, rd.Snapshot))
				for _, e := range rd.CommittedEntries {
					index, term = e.GetIndex(), e.GetTerm()
					switch {
					case e.GetType() == pb.EntryConfChange:
						var cc pb.ConfChange
						must(t, proto.Unmarshal(e.GetData(), &cc))
						members = node.ApplyConfChange(&cc)
					case len(e.GetData()) > 0:
						state += string(e.GetData()) + " "
						applied++
					}
				}
				node.Advance(rd)
			}
		}
		settle()
		must(t, node.Campaign())
		settle()
		for i := range 50 {
			must(t, node.Propose(fmt.Appendf(nil, "%d/%d", round, i)))
			settle()
		}
		if applied != 50*(round+1) {
			t.Fatalf("round %d: %d are applied", round, applied)
		}
		if round%2 == 0 {
			must(t, l.Checkpoint(&pb.Snapshot{Data: []byte(state), Metadata: &pb.SnapshotMetadata{
				Index: &index, Term: &term, ConfState: members,
			}}))
		}
		must(t, l.Close())
	}
}

// TestMemoryOfManyEntries: entries that are on the disk take little memory.
func TestMemoryOfManyEntries(t *testing.T) {
	const n = 100_000
	l := create(t, discardFS{newMemFS()}, Options{CacheBytes: 64 << 10, MaxBytes: 1 << 40, SegmentSize: 1 << 30})
	batch := make([]*pb.Entry, 1000)
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	data := strings.Repeat("x", 300)
	before := used()
	for i := uint64(0); i < n; i += 1000 {
		for k := range batch {
			batch[k] = entry(i+uint64(k)+1, 1, data)
		}
		must(t, l.Save(nil, batch, nil))
	}
	clear(batch)
	if grown := int64(used()) - int64(before); grown > 2<<20 {
		t.Errorf("%d entries take %d bytes of memory", n, grown)
	} else {
		t.Logf("%d entries take %d bytes of memory", n, grown)
	}
	runtime.KeepAlive(l)
}

// discardFS keeps nothing of what is written behind the head.
type discardFS struct{ *memFS }

func (d discardFS) Open(name string) (File, error) {
	f, err := d.memFS.Open(name)
	return discardFile{f}, err
}

type discardFile struct{ File }

func (f discardFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (f discardFile) Sync() error                            { return nil }

// TestReadersBesideAWriter: what is read while it is written and removed is whole.
func TestReadersBesideAWriter(t *testing.T) {
	l := create(t, newMemFS(), Options{SegmentSize: 2000, CacheBytes: 2000})
	done := make(chan error, 2)
	const n = 600
	for range cap(done) {
		go func() {
			for last := uint64(0); last < n; {
				first, _ := l.FirstIndex()
				last, _ = l.LastIndex()
				all, err := l.Entries(first, last+1, 3000)
				if err != nil && !errors.Is(err, raft.ErrCompacted) && !errors.Is(err, raft.ErrUnavailable) {
					done <- err
					return
				}
				for i, e := range all {
					if want := fmt.Sprintf("entry %d of term 1", first+uint64(i)); string(e.GetData()) != want {
						done <- fmt.Errorf("%q instead of %q", e.GetData(), want)
						return
					}
				}
			}
			done <- nil
		}()
	}
	for i := uint64(1); i <= n; i++ {
		must(t, l.Save(hard(1, 1, i), entries(i, i, 1), nil))
		if i%50 == 0 {
			must(t, l.Checkpoint(snapshot(i-20, 1, "state")))
		}
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
