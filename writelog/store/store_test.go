package store

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strings"
	"testing"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

var testID = Identity{Cluster: 7, Member: 3}

func entry(index, term uint64, data string) *pb.Entry {
	return &pb.Entry{Index: &index, Term: &term, Data: []byte(data)}
}

// entries returns those from first to last, of one term.
func entries(first, last, term uint64) (all []*pb.Entry) {
	for i := first; i <= last; i++ {
		all = append(all, entry(i, term, fmt.Sprintf("entry %d of term %d", i, term)))
	}
	return all
}

func hard(term, vote, commit uint64) *pb.HardState {
	return &pb.HardState{Term: &term, Vote: &vote, Commit: &commit}
}

func snapshot(index, term uint64, data string) *pb.Snapshot {
	return &pb.Snapshot{Data: []byte(data), Metadata: &pb.SnapshotMetadata{
		Index: &index, Term: &term, ConfState: &pb.ConfState{Voters: []uint64{1, 2, 3}},
	}}
}

func open(t testing.TB, fs FS, o Options) *Log {
	t.Helper()
	o.FS = fs
	l, err := Open("memory", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// create opens a log and gives it its identity.
func create(t testing.TB, fs FS, o Options) *Log {
	t.Helper()
	l := open(t, fs, o)
	must(t, l.SetIdentity(testID))
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dump returns all that a storage holds, as text.
func dump(t testing.TB, s raft.Storage) string {
	t.Helper()
	text, err := contents(s)
	must(t, err)
	return text
}

func contents(s raft.Storage) (string, error) {
	h, members, err := s.InitialState()
	first, err1 := s.FirstIndex()
	last, err2 := s.LastIndex()
	snap, err3 := s.Snapshot()
	if err := errors.Join(err, err1, err2, err3); err != nil {
		return "", err
	}
	var b strings.Builder
	m := snap.GetMetadata()
	fmt.Fprintf(&b, "term %d vote %d commit %d members %v\n", h.GetTerm(), h.GetVote(), h.GetCommit(), members.GetVoters())
	fmt.Fprintf(&b, "%d to %d after %d of %d %q\n", first, last, m.GetIndex(), m.GetTerm(), snap.GetData())
	for i := first - 1; i <= last; i++ {
		term, err := s.Term(i)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%d ", term)
	}
	if last >= first {
		all, err := s.Entries(first, last+1, math.MaxUint64)
		if err != nil {
			return "", err
		}
		for _, e := range all {
			fmt.Fprintf(&b, "\n%d %d %v %.50q %x", e.GetIndex(), e.GetTerm(), e.GetType(), e.GetData(), crc32.Checksum(e.GetData(), castagnoli))
		}
	}
	return b.String(), nil
}

func TestLogHoldsWhatWasSaved(t *testing.T) {
	dir := t.TempDir()
	l := create(t, dirFS(dir), Options{})
	confChange := entry(3, 1, "")
	confChange.Type, confChange.Data = pb.EntryConfChangeV2.Enum(), nil
	must(t, l.Save(hard(1, 2, 0), append(entries(1, 2, 1), confChange), nil))
	must(t, l.Save(hard(2, 2, 1), entries(2, 6, 2), nil)) // 2 and 3 are replaced
	must(t, l.Save(hard(2, 2, 5), nil, nil))
	must(t, l.Checkpoint(snapshot(4, 2, "state at 4")))
	must(t, l.Save(nil, nil, nil))
	want := dump(t, l)
	if !strings.Contains(want, "5 to 6 after 4 of 2") || !strings.Contains(want, "entry 6 of term 2") {
		t.Error(want)
	}
	must(t, l.Close())
	must(t, l.Close())
	if err := l.Save(nil, entries(7, 7, 2), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Save when closed: %v", err)
	}
	l = open(t, dirFS(dir), Options{})
	if got := dump(t, l); got != want {
		t.Errorf("after opening it again:\n%s\nwant\n%s", got, want)
	}
	if id, ok := l.Identity(); id != testID || !ok {
		t.Errorf("identity %v %v", id, ok)
	}
	// What is stored is what was given, to the byte.
	must(t, l.Save(nil, []*pb.Entry{proto.CloneOf(confChange)}[:0], nil))
	odd := []*pb.Entry{{Index: new(uint64(7)), Term: new(uint64(2))}, {Index: new(uint64(8)), Term: new(uint64(2)), Data: []byte{}}}
	must(t, l.Save(nil, odd, nil))
	l.cache.clear()
	got, err := l.Entries(7, 9, math.MaxUint64)
	must(t, err)
	for i, e := range got {
		if !proto.Equal(e, odd[i]) {
			t.Errorf("%v instead of %v", e, odd[i])
		}
	}
}

func TestIdentityIsSetOnce(t *testing.T) {
	fs := newMemFS()
	l := open(t, fs, Options{})
	if _, ok := l.Identity(); ok {
		t.Error("a new log has an identity")
	}
	for _, err := range []error{l.Save(hard(1, 1, 0), nil, nil), l.Checkpoint(snapshot(1, 1, ""))} {
		if !errors.Is(err, ErrNoIdentity) {
			t.Errorf("before it has one: %v", err)
		}
	}
	if err := l.SetIdentity(Identity{1, 0}); !errors.Is(err, ErrIdentity) {
		t.Errorf("member 0: %v", err)
	}
	must(t, l.SetIdentity(testID))
	must(t, l.SetIdentity(testID))
	if err := l.SetIdentity(Identity{7, 4}); !errors.Is(err, ErrIdentity) {
		t.Errorf("another: %v", err)
	}
	must(t, l.Close())
	if err := open(t, fs, Options{}).SetIdentity(Identity{8, 3}); !errors.Is(err, ErrIdentity) {
		t.Errorf("another, later: %v", err)
	}
}

func TestSaveRefusesWhatDoesNotFollow(t *testing.T) {
	l := create(t, newMemFS(), Options{MaxBytes: 4096})
	must(t, l.Save(hard(3, 2, 4), entries(1, 6, 3), nil))
	want := dump(t, l)
	gap := append(entries(7, 7, 3), entries(9, 9, 3)...)
	for name, c := range map[string]struct {
		err, want error
	}{
		"a gap before":           {l.Save(nil, entries(8, 9, 3), nil), ErrOrder},
		"a gap inside":           {l.Save(nil, gap, nil), ErrOrder},
		"an older term":          {l.Save(nil, entries(7, 7, 2), nil), ErrOrder},
		"over committed":         {l.Save(nil, entries(4, 7, 4), nil), ErrOrder},
		"term backwards":         {l.Save(hard(2, 2, 4), nil, nil), ErrOrder},
		"another vote":           {l.Save(hard(3, 1, 4), nil, nil), ErrOrder},
		"commit backwards":       {l.Save(hard(3, 2, 3), nil, nil), ErrOrder},
		"commit beyond":          {l.Save(hard(3, 2, 7), nil, nil), ErrOrder},
		"full":                   {l.Save(nil, []*pb.Entry{entry(7, 3, strings.Repeat("x", 4096))}, nil), ErrFull},
		"checkpoint beyond":      {l.Checkpoint(snapshot(7, 3, "")), ErrOrder},
		"checkpoint of no term":  {l.Checkpoint(snapshot(4, 2, "")), ErrOrder},
		"checkpoint uncommitted": {l.Checkpoint(snapshot(5, 3, "")), ErrOrder},
		"checkpoint of nothing":  {l.Checkpoint(nil), raft.ErrSnapOutOfDate},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	if got := dump(t, l); got != want {
		t.Errorf("it holds\n%s\ninstead of\n%s", got, want)
	}
	must(t, l.Checkpoint(snapshot(4, 3, "")))
	for _, err := range []error{l.Checkpoint(snapshot(4, 3, "")), l.Save(nil, nil, snapshot(4, 3, ""))} {
		if !errors.Is(err, raft.ErrSnapOutOfDate) {
			t.Errorf("an old snapshot: %v", err)
		}
	}
	must(t, l.Save(nil, entries(3, 7, 3)[2:], nil))
}

// many makes a log of several segments on which all kinds of records are, and returns
// after each step what it held, and how long the newest segment was.
func many(t testing.TB, fs *memFS) (states []string, ends []int64) {
	l := create(t, fs, Options{SegmentSize: 700})
	step := func(err error) {
		must(t, err)
		states = append(states, dump(t, l))
		ends = append(ends, l.newest().end)
	}
	must(t, l.Save(hard(1, 1, 0), entries(1, 4, 1), nil))
	must(t, l.Save(hard(2, 0, 3), entries(4, 9, 2), nil))
	must(t, l.Checkpoint(snapshot(2, 1, "at 2")))
	must(t, l.Save(nil, entries(10, 12, 2), nil))
	must(t, l.Save(nil, nil, snapshot(20, 3, "at 20")))
	must(t, l.Save(hard(3, 1, 20), entries(21, 24, 3), nil))
	must(t, l.Save(hard(3, 1, 21), entries(24, 28, 4), nil))
	must(t, l.rotate())
	l.opt.SegmentSize = 1 << 20
	step(nil)
	step(l.Save(hard(4, 2, 23), entries(27, 28, 4), nil))
	step(l.Checkpoint(snapshot(22, 3, "at 22")))
	step(l.Save(nil, []*pb.Entry{entry(29, 4, "a"), entry(30, 4, "b"+strings.Repeat("\x00", 1500)+"c")}, nil))
	step(l.Save(hard(5, 3, 28), nil, nil))
	step(l.Save(nil, []*pb.Entry{entry(31, 5, strings.Repeat("x", 1200)), entry(32, 5, "end")}, nil))
	must(t, l.Close())
	return states, ends
}

// reopened returns what the log holds after Open.
func reopened(fs *memFS) (string, error) {
	l, err := Open("memory", Options{FS: fs})
	if err != nil {
		return "", err
	}
	defer l.Close()
	return contents(l)
}

func newestName(fs *memFS) string {
	names, _ := fs.List()
	return names[len(names)-1]
}

// TestCutAtEveryByte: a log whose end is gone holds what was saved before, and all of it.
func TestCutAtEveryByte(t *testing.T) {
	fs := newMemFS()
	states, ends := many(t, fs)
	name := newestName(fs)
	whole := fs.names[name].data
	for cut := range whole {
		c := fs.copyOf()
		c.names[name].data = bytes.Clone(whole[:cut])
		got, err := reopened(c)
		k := len(ends) - 1
		for k >= 0 && ends[k] > int64(cut) {
			k--
		}
		switch {
		case k < 0:
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("cut at %d, in the head: %v", cut, err)
			}
		case err != nil:
			t.Fatalf("cut at %d: %v", cut, err)
		case got != states[k]:
			t.Fatalf("cut at %d:\n%s\nwant\n%s", cut, got, states[k])
		case int64(len(c.names[name].data)) != ends[k]:
			t.Fatalf("cut at %d: the file has %d bytes, want %d", cut, len(c.names[name].data), ends[k])
		}
	}
}

// TestZerosFromEveryByte: a file that had grown before its last bytes arrived.
func TestZerosFromEveryByte(t *testing.T) {
	fs := newMemFS()
	states, ends := many(t, fs)
	name := newestName(fs)
	whole := fs.names[name].data
	last := ends[len(ends)-2]
	for from := ends[0]; from < int64(len(whole)); from++ {
		c := fs.copyOf()
		data := c.names[name].data
		clear(data[from:])
		got, err := reopened(c)
		k := len(ends) - 1
		for k >= 0 && ends[k] > from {
			k--
		}
		if err == nil && got == states[k] || bytes.Equal(data, whole) {
			continue
		}
		if from >= last && from%sectorSize == 0 || from == last {
			t.Fatalf("zeros from %d, which is not damage: %v\n%s", from, err, got)
		}
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("zeros from %d: %v\n%s\nwant\n%s", from, err, got, states[k])
		}
	}
}

// TestEveryBitFlipped: the same content or damage, never other content.
func TestEveryBitFlipped(t *testing.T) {
	fs := newMemFS()
	states, _ := many(t, fs)
	want := states[len(states)-1]
	found := 0
	for name := range fs.names {
		for i := range fs.names[name].data {
			c := fs.copyOf()
			c.names[name].data[i] ^= 1 << (i % 8)
			got, err := reopened(c)
			if err == nil && got != want {
				t.Fatalf("byte %d of %s:\n%s\nwant\n%s", i, name, got, want)
			}
			var d *Damage
			if err != nil && !errors.As(err, &d) {
				t.Fatalf("byte %d of %s: %v", i, name, err)
			}
			if err != nil {
				found++
			}
		}
	}
	if found < 4000 {
		t.Errorf("only %d are damage", found)
	}
}
