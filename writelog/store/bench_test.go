package store

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

var large = flag.Int64("large", 32<<20, "how many bytes the log of BenchmarkOpen has")

// BenchmarkSave saves entries of 300 bytes; write+fsync is the same bytes without a log.
func BenchmarkSave(b *testing.B) {
	data := make([]byte, 300)
	for i := range data {
		data[i] = byte(i)
	}
	for _, n := range []int{1, 32} {
		name := map[int]string{1: "1", 32: "32"}[n]
		b.Run("entries="+name, func(b *testing.B) {
			l := create(b, dirFS(b.TempDir()), Options{MaxBytes: 1 << 40})
			batch := make([]*pb.Entry, n)
			last := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				for i := range batch {
					last++
					batch[i] = entry(last, 1, "")
					batch[i].Data = data
				}
				must(b, l.Save(nil, batch, nil))
			}
		})
		b.Run("write+fsync="+name, func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "file"))
			must(b, err)
			defer f.Close()
			bytes := make([]byte, n*(300+headSize))
			for b.Loop() {
				_, err := f.Write(bytes)
				must(b, err)
				must(b, f.Sync())
			}
		})
	}
}

// BenchmarkEntries reads entries of 300 bytes that are on the disk, 32 at a time.
func BenchmarkEntries(b *testing.B) {
	l := create(b, newMemFS(), Options{CacheBytes: 1})
	const n = 10_000
	must(b, l.Save(nil, entries(1, n, 1), nil))
	b.ReportAllocs()
	lo := uint64(1)
	for b.Loop() {
		if _, err := l.Entries(lo, lo+32, math.MaxUint64); err != nil {
			b.Fatal(err)
		}
		lo = lo*7919%(n-32) + 1
	}
}

// BenchmarkOpen opens a log of -large bytes, in entries of 300; heap-B is what it keeps in
// memory then.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	l := create(b, dirFS(dir), Options{MaxBytes: 1 << 50})
	batch := make([]*pb.Entry, 10_000)
	data := make([]byte, 300)
	for last := uint64(0); l.Size() < *large; {
		for i := range batch {
			last++
			batch[i] = entry(last, 1, "")
			batch[i].Data = data
		}
		must(b, l.Save(nil, batch, nil))
	}
	must(b, l.Close())
	b.SetBytes(l.Size())
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		var err error
		l, err = Open(dir, Options{MaxBytes: 1 << 50})
		must(b, err)
		must(b, l.Close())
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc)), "heap-B")
	runtime.KeepAlive(l)
}
