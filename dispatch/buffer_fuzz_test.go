package dispatch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"testing"
	"time"
)

// FuzzBufferSegment opens a buffer on any bytes. With fix, checksums are made
// right first, so that the fuzzer gets behind them.
func FuzzBufferSegment(f *testing.F) {
	dir := f.TempDir()
	b, err := OpenBuffer(dir, BufferConfig{Sync: SyncNever})
	if err != nil {
		f.Fatal(err)
	}
	for i := range 4 {
		ticket, err := b.Append(fmt.Append(nil, "write ", i), "a", "b")
		if err != nil || b.Delivered("b", ticket) != nil {
			f.Fatal(err)
		}
	}
	b.Close()
	data, err := os.ReadFile(dirFiles(dir).path(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, false)
	f.Add(data[:len(data)-3], false)
	f.Add(bytes.Repeat([]byte{0x49, 0x42, 0x75, 0x6b}, 40), true)
	f.Add(data, true)
	f.Fuzz(func(t *testing.T, data []byte, fix bool) {
		if len(data) > 1<<16 {
			return
		}
		if fix {
			data = fixSums(data)
		}
		b := &Buffer{
			cfg: BufferConfig{Sync: SyncNever}.withDefaults(), files: memoryFiles{1: &memoryFile{data: data}},
			lock: io.NopCloser(nil), names: make(map[string]*replicaQueue),
		}
		defer b.Close()
		if b.recover() != nil {
			return
		}
		logs, err := b.Backlogs()
		for _, l := range logs {
			for range l.Writes {
				p, ok, err := b.Next(l.Replica)
				if err != nil || !ok {
					break
				}
				if err := b.Delivered(l.Replica, p.Ticket); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err != nil {
			return
		}
		mustAppend(t, b, "after", "z")
		var rest []string
		for {
			p, ok, err := b.Next("z")
			if damage := (*BufferDamage)(nil); fix && errors.As(err, &damage) {
				return // a forged cursor counted writes that never were, which is said
			}
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if err := b.Delivered("z", p.Ticket); err != nil {
				t.Fatal(err)
			}
			rest = append(rest, string(p.Data))
		}
		if !slices.Equal(rest, []string{"after"}) {
			t.Errorf("z gets %q", rest)
		}
	})
}

// memoryFiles are segments without a disk.
type memoryFiles map[uint64]*memoryFile

func (m memoryFiles) list() ([]uint64, error)            { return slices.Sorted(maps.Keys(m)), nil }
func (m memoryFiles) open(n uint64) (segmentFile, error) { return m[n], nil }
func (m memoryFiles) remove(n uint64) error              { delete(m, n); return nil }
func (m memoryFiles) sync() error                        { return nil }
func (m memoryFiles) create(n uint64) (segmentFile, error) {
	m[n] = &memoryFile{}
	return m[n], nil
}

type memoryFile struct {
	os.FileInfo
	data []byte
}

func (f *memoryFile) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(f.data).ReadAt(p, off)
}

func (f *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	if end := int(off) + len(p); end > len(f.data) {
		f.data = append(f.data, make([]byte, end-len(f.data))...)
	}
	return copy(f.data[off:], p), nil
}

func (f *memoryFile) Truncate(n int64) error     { f.data = f.data[:n]; return nil }
func (f *memoryFile) Sync() error                { return nil }
func (f *memoryFile) Close() error               { return nil }
func (f *memoryFile) Stat() (os.FileInfo, error) { return f, nil }
func (f *memoryFile) Size() int64                { return int64(len(f.data)) }

// fixSums gives every record that has a length its right checksum.
func fixSums(data []byte) []byte {
	data = bytes.Clone(data)
	for at := 0; at+recordHeader <= len(data); {
		n := int(uint32(data[at+4]) | uint32(data[at+5])<<8)
		end := at + recordHeader + n
		if end > len(data) {
			break
		}
		sum := recordSum(1, int64(at), data[at+recordHeader:end])
		copy(data[at:], []byte{0x49, 0x42, 0x75, 0x6b, byte(n), byte(n >> 8), 0, 0})
		copy(data[at+8:], []byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24)})
		at = end
	}
	return data
}

func BenchmarkBufferAppend(b *testing.B) {
	for _, policy := range []SyncPolicy{SyncAlways, SyncInterval, SyncNever} {
		for _, writers := range []int{1, 32} {
			b.Run(fmt.Sprintf("%v/writers=%d", policy, writers), func(b *testing.B) {
				buf, err := OpenBuffer(b.TempDir(), BufferConfig{Sync: policy, MaxBytes: 1 << 40, SegmentBytes: 16 << 20})
				if err != nil {
					b.Fatal(err)
				}
				defer buf.Close()
				data := bytes.Repeat([]byte("x"), 300)
				b.SetParallelism((writers + 1) / 2)
				b.ReportAllocs()
				b.ResetTimer()
				one := func() {
					if _, err := buf.Append(data, "a", "b", "c"); err != nil {
						b.Fatal(err)
					}
				}
				if writers == 1 {
					for range b.N {
						one()
					}
				} else {
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							one()
						}
					})
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
			})
		}
	}
}

func BenchmarkBufferDeliver(b *testing.B) {
	buf, err := OpenBuffer(b.TempDir(), BufferConfig{Sync: SyncNever, MaxBytes: 1 << 40, SegmentBytes: 16 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer buf.Close()
	data := bytes.Repeat([]byte("x"), 300)
	for range b.N {
		if _, err := buf.Append(data, "a", "b", "c"); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		p, ok, err := buf.Next("a")
		if err != nil || !ok {
			b.Fatal(ok, err)
		}
		if err := buf.Delivered("a", p.Ticket); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBufferOpen reads 64 MiB of waiting writes through.
func BenchmarkBufferOpen(b *testing.B) {
	dir := b.TempDir()
	buf, err := OpenBuffer(dir, BufferConfig{Sync: SyncNever})
	if err != nil {
		b.Fatal(err)
	}
	data := bytes.Repeat([]byte("x"), 300)
	for total := int64(0); total < 64<<20; total, _ = buf.Size() {
		if _, err := buf.Append(data, "a"); err != nil {
			b.Fatal(err)
		}
	}
	buf.Close()
	b.SetBytes(64 << 20)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		buf, err := OpenBuffer(dir, BufferConfig{Sync: SyncNever})
		if err != nil {
			b.Fatal(err)
		}
		buf.Close()
	}
}

// The steady state of Append allocates nothing.
func TestBufferAppendDoesNotAllocate(t *testing.T) {
	b := openTestBuffer(t, t.TempDir(), BufferConfig{Sync: SyncNever, SyncEvery: time.Hour})
	data := make([]byte, 300)
	if _, err := b.Append(data, "a", "b"); err != nil {
		t.Fatal(err)
	}
	replicas := []string{"a", "b"}
	if n := testing.AllocsPerRun(200, func() { _, _ = b.Append(data, replicas...) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
