package store

import (
	"encoding/binary"
	"errors"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

// FuzzOpen opens a log of two segments of any bytes. With fix, checksums and places are
// made right first, so that the fuzzer gets behind them. What Open takes is the same when
// it is opened again, and can be gone on with.
func FuzzOpen(f *testing.F) {
	fs := newMemFS()
	l := create(f, fs, Options{SegmentSize: 64})
	must(f, l.Save(hard(1, 1, 1), []*pb.Entry{entry(1, 1, "a"), entry(2, 1, "b")}, nil))
	must(f, l.Save(nil, []*pb.Entry{entry(2, 2, "c")}, nil))
	must(f, l.Checkpoint(snapshot(1, 1, "s")))
	must(f, l.Close())
	names, _ := fs.List()
	if len(names) < 2 {
		f.Fatal(names)
	}
	one, two := fs.names[names[len(names)-2]].data, fs.names[names[len(names)-1]].data
	for _, fix := range []bool{false, true} {
		f.Add(one, two, fix)
		f.Add(two, []byte(nil), fix)
		f.Add(two[:len(two)-3], []byte(nil), fix)
		f.Add([]byte("IBul"), make([]byte, 600), fix)
	}
	first, _, _ := segmentNumber(names[len(names)-2])
	f.Fuzz(func(t *testing.T, one, two []byte, fix bool) {
		if len(one)+len(two) > 1<<16 {
			return
		}
		fs := newMemFS()
		prev, seed := uint32(0), Identity{}
		for i, data := range [][]byte{one, two} {
			if len(data) == 0 {
				continue
			}
			data = append([]byte(nil), data...)
			if fix {
				prev, seed = fixSums(data, first+uint64(i), prev, seed)
			}
			fs.names[segmentName(first+uint64(i))] = &memFile{fs: fs, data: data}
		}
		if _, err := check("memory", fs); err != nil {
			t.Fatal(err)
		}
		want, err := reopened(fs)
		if fs.opened != 0 || fs.locked {
			t.Fatalf("%d files are left open", fs.opened)
		}
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		l := open(t, fs, Options{SegmentSize: 100})
		_, isSet := l.Identity()
		last, _ := l.LastIndex()
		term, _ := l.Term(last)
		if !isSet || last >= maxIndex {
			return
		}
		must(t, l.Save(nil, entries(last+1, last+1, term), nil))
		goesOn := dump(t, l)
		must(t, l.Close())
		if got, err := reopened(fs); err != nil || got != goesOn || got == want {
			t.Fatalf("opened again: %v\n%s\ninstead of\n%s", err, got, goesOn)
		}
	})
}

// fixSums gives every record of a segment, as far as its lengths go, right checksums.
func fixSums(data []byte, number uint64, prev uint32, id Identity) (uint32, Identity) {
	batch := 0
	for at := 0; at+headSize <= len(data); {
		head := data[at:]
		n := int(binary.LittleEndian.Uint32(head[4:]) % 4096)
		end := at + headSize + n
		if end > len(data) {
			break
		}
		place := placed(seedOf(id, number), int64(at))
		if at == 0 {
			place = seedOf(Identity{}, number)
			if n >= fixedHead {
				id = Identity{binary.LittleEndian.Uint64(head[headSize+4:]), binary.LittleEndian.Uint64(head[headSize+12:])}
			}
		}
		binary.LittleEndian.PutUint32(head, recordMarker)
		binary.LittleEndian.PutUint32(head[4:], uint32(n))
		binary.LittleEndian.PutUint32(head[8:], uint32(at-batch))
		if at > 0 || prev != 0 {
			binary.LittleEndian.PutUint32(head[12:], prev)
		}
		prev = bodySum(place, head, head[headSize:headSize+n])
		binary.LittleEndian.PutUint32(head[34:], prev)
		binary.LittleEndian.PutUint32(head[38:], headSum(place, head))
		head[42] = recordEnd
		if head[33]&flagLast != 0 {
			batch = end
		}
		at = end
	}
	return prev, id
}
