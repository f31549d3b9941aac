package store

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

// oneSegment makes a log whose newest segment has the entries of each Save; where each
// Save ends in it is returned.
func oneSegment(t *testing.T, saves ...[]*pb.Entry) (data []byte, ends []int64, with func([]byte) error) {
	t.Helper()
	fs := newMemFS()
	l := create(t, fs, Options{})
	for _, all := range saves {
		must(t, l.Save(nil, all, nil))
		ends = append(ends, l.newest().end)
	}
	must(t, l.Close())
	name := newestName(fs)
	return fs.names[name].data, ends, func(data []byte) error {
		c := fs.copyOf()
		c.names[name].data = data
		_, err := reopened(c)
		return err
	}
}

// TestZerosThatWereWrittenAreNotMissing: the last record has sectors of zeros, and some
// other byte of it is wrong.
func TestZerosThatWereWrittenAreNotMissing(t *testing.T) {
	zeros := "begin" + strings.Repeat("\x00", 1500) + "end"
	data, _, with := oneSegment(t, entries(1, 1, 1), []*pb.Entry{entry(2, 1, zeros)})
	at := bytes.Index(data, []byte("begin"))
	for _, i := range []int{at, at + 700, len(data) - 1} {
		bad := bytes.Clone(data)
		bad[i] ^= 1
		if err := with(bad); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	if err := with(data[:len(data)-1]); err != nil {
		t.Errorf("a write that was not finished: %v", err)
	}
}

// TestALaterWriteVouchesForTheOneBefore: the same sector of zeros is a write that was not
// finished in the last Save, and damage in the one before.
func TestALaterWriteVouchesForTheOneBefore(t *testing.T) {
	first, second := entry(1, 1, strings.Repeat("x", 1500)), entries(2, 2, 1)
	for _, saves := range [][][]*pb.Entry{{{first}}, {{first}, second}} {
		data, _, with := oneSegment(t, saves...)
		clear(data[sectorSize : 2*sectorSize])
		if err := with(data); errors.Is(err, ErrDamaged) != (len(saves) == 2) {
			t.Errorf("%d saves: %v", len(saves), err)
		}
	}
}

// TestPartOfASectorIsNotMissing: a disk writes a sector as a whole.
func TestPartOfASectorIsNotMissing(t *testing.T) {
	data, _, with := oneSegment(t, entries(1, 2, 1))
	if len(data) > sectorSize {
		t.Fatal(len(data))
	}
	second := bytes.LastIndex(data, []byte("IBul"))
	clear(data[second:])
	if err := with(data); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

// TestRecordsThatDoNotBelongThere have right checksums.
func TestRecordsThatDoNotBelongThere(t *testing.T) {
	data, ends, with := oneSegment(t, entries(1, 2, 1))
	fs := newMemFS()
	l := open(t, fs, Options{})
	forged := func(prev uint32, k kind, index, term uint64, body []byte) []byte {
		e := encoder{seed: seedOf(testID, 1), base: ends[0], prev: prev, left: 1}
		e.add(k, index, term, body)
		return append(bytes.Clone(data), e.buf...)
	}
	var in reader
	in.ahead = readAhead
	s := &segment{number: 1, seed: seedOf(testID, 1), file: &memFile{fs: fs, data: data}}
	last, err := in.read(s, int64(bytes.LastIndex(data, []byte("IBul"))), int64(len(data)))
	must(t, err)
	if err := with(forged(last.sum, kindTruncate, 1, 1, nil)); err != nil {
		t.Errorf("one that does: %v", err)
	}
	for name, data := range map[string][]byte{
		"another chain":    forged(last.sum+1, kindTruncate, 1, 1, nil),
		"a gap":            forged(last.sum, kindEntry, 4, 1, nil),
		"an older term":    forged(last.sum, kindEntry, 3, 0, nil),
		"a cut beyond":     forged(last.sum, kindTruncate, 2, 1, nil),
		"a head":           forged(last.sum, kindSegment, 2, 1, nil),
		"a bad snapshot":   forged(last.sum, kindInstall, 9, 1, []byte{0xff}),
		"a bad hard state": forged(last.sum, kindHardState, 1, 1, []byte{0xff}),
	} {
		if err := with(data); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l.state.hard = hard(1, 1, 5)
	if _, _, err := l.create(1, testID); err != nil {
		t.Fatal(err)
	}
	must(t, l.Close())
	if _, err := reopened(fs); !errors.Is(err, ErrDamaged) {
		t.Errorf("a head that commits what is not there: %v", err)
	}
}

// TestEntriesUpToASize: to the byte, from the memory and from the disk.
func TestEntriesUpToASize(t *testing.T) {
	for _, most := range []int{1, 200, 1 << 20} {
		l, m := create(t, newMemFS(), Options{CacheBytes: most}), newModel()
		must(t, m.save(l, hard(1, 1, 0), entries(1, 5, 1), nil))
		for size := range uint64(200) {
			got, err := l.Entries(1, 6, size)
			want, err2 := m.Entries(1, 6, size)
			if len(got) != len(want) || err != nil || err2 != nil {
				t.Errorf("cache %d, %d bytes: %d entries, want %d", most, size, len(got), len(want))
			}
		}
		if all, err := l.Entries(1, 6, math.MaxUint64); err != nil || len(all) != 5 {
			t.Errorf("cache %d, all: %d, %v", most, len(all), err)
		}
	}
}
