package dispatch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// quickly puts the files on a disk that forces nothing.
func quickly(dir string, cfg BufferConfig) BufferConfig {
	if cfg.files == nil {
		cfg.files = &faultyFiles{dirFiles: dirFiles(dir), room: -1, syncs: -1}
	}
	return cfg
}

func openTestBuffer(t testing.TB, dir string, cfg BufferConfig) *Buffer {
	t.Helper()
	cfg = quickly(dir, cfg)
	b, err := OpenBuffer(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func mustAppend(t testing.TB, b *Buffer, data string, replicas ...string) Ticket {
	t.Helper()
	ticket, err := b.Append([]byte(data), replicas...)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

// drain delivers all that waits for a replica and returns it.
func drain(t testing.TB, b *Buffer, replica string) (all []string) {
	t.Helper()
	for {
		p, ok, err := b.Next(replica)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, string(p.Data))
		if err := b.Delivered(replica, p.Ticket); err != nil {
			t.Fatal(err)
		}
	}
}

func wantDrained(t testing.TB, b *Buffer, replica string, want ...string) {
	t.Helper()
	if got := drain(t, b, replica); !slices.Equal(got, want) {
		t.Errorf("%s gets %q, want %q", replica, got, want)
	}
}

func TestBufferDeliversInOrderToEach(t *testing.T) {
	dir := t.TempDir()
	now := time.UnixMilli(1_000_000)
	cfg := BufferConfig{now: func() time.Time { now = now.Add(time.Second); return now }}
	b := openTestBuffer(t, dir, cfg)
	mustAppend(t, b, "1", "a", "b")
	mustAppend(t, b, "2", "b")
	mustAppend(t, b, "3", "a", "b", "a")
	p, ok, err := b.Next("b")
	if err != nil || !ok || string(p.Data) != "1" {
		t.Fatalf("Next: %q %v %v", p.Data, ok, err)
	}
	again, _, _ := b.Next("b")
	if again.Ticket != p.Ticket {
		t.Errorf("Next gave %v, then %v", p.Ticket, again.Ticket)
	}
	for range 2 { // twice does no harm
		if err := b.Delivered("b", p.Ticket); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // so does closing
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}

	b = openTestBuffer(t, dir, cfg)
	logs, err := b.Backlogs()
	if err != nil {
		t.Fatal(err)
	}
	want := []Backlog{
		{"a", 2, 2, time.UnixMilli(1_001_000)},
		{"b", 2, 2, time.UnixMilli(1_002_000)},
	}
	if !slices.Equal(logs, want) {
		t.Errorf("backlogs %v, want %v", logs, want)
	}
	mustAppend(t, b, "4", "b", "c")
	wantDrained(t, b, "a", "1", "3")
	wantDrained(t, b, "b", "2", "3", "4")
	wantDrained(t, b, "c", "4")
	wantDrained(t, b, "nobody")
	if b.Waiting("a")+b.Waiting("b")+b.Waiting("nobody") != 0 {
		t.Error("something waits")
	}
}

func TestBufferDeliveredOutOfOrder(t *testing.T) {
	dir := t.TempDir()
	b := openTestBuffer(t, dir, BufferConfig{})
	var tickets []Ticket
	for i := range 6 {
		tickets = append(tickets, mustAppend(t, b, fmt.Sprint(i), "a"))
	}
	for _, i := range []int{3, 0, 5, 1} {
		if err := b.Delivered("a", tickets[i]); err != nil {
			t.Fatal(err)
		}
	}
	b.Close()
	b = openTestBuffer(t, dir, BufferConfig{})
	if n := b.Waiting("a"); n != 2 {
		t.Errorf("%d wait, want 2", n)
	}
	wantDrained(t, b, "a", "2", "4")
}

func TestBufferRemovesSegments(t *testing.T) {
	dir := t.TempDir()
	cfg := BufferConfig{SegmentBytes: 512, Sync: SyncNever}
	b := openTestBuffer(t, dir, cfg)
	text := strings.Repeat("x", 100)
	for range 200 {
		mustAppend(t, b, text, "a", "b")
	}
	bytes, _ := b.Size()
	if bytes < 200*100 || bytes > 200*200 {
		t.Errorf("%d bytes for 200 writes of 100: are they kept once?", bytes)
	}
	drain(t, b, "a")
	if after, _ := b.Size(); after < bytes {
		t.Errorf("%d of %d bytes are left while b has nothing", after, bytes)
	}
	if got := len(drain(t, b, "b")); got != 200 {
		t.Errorf("b got %d", got)
	}
	mustAppend(t, b, text, "a")
	drain(t, b, "a")
	if after, _ := b.Size(); after > 2*512+200 {
		t.Errorf("%d bytes are left when all is delivered", after)
	}
	b.Close()
	b = openTestBuffer(t, dir, cfg)
	wantDrained(t, b, "a")
	wantDrained(t, b, "b")
}

func TestBufferFull(t *testing.T) {
	b := openTestBuffer(t, t.TempDir(), BufferConfig{MaxBytes: 8192, Sync: SyncNever})
	text := strings.Repeat("x", 200)
	kept := 0
	for ; kept < 100; kept++ {
		if _, err := b.Append([]byte(text), "a"); err != nil {
			if !errors.Is(err, ErrBufferFull) {
				t.Fatal(err)
			}
			break
		}
	}
	if kept < 25 || kept == 100 {
		t.Errorf("%d writes fit", kept)
	}
	if bytes, most := b.Size(); bytes > most {
		t.Errorf("%d bytes of %d", bytes, most)
	}
	if got := len(drain(t, b, "a")); got != kept {
		t.Errorf("%d of %d are delivered", got, kept)
	}
	for range 1000 { // space comes back, again and again
		ticket := mustAppend(t, b, text, "a", "b")
		if b.Delivered("a", ticket) != nil || b.Delivered("b", ticket) != nil {
			t.Fatal("Delivered")
		}
	}
	if _, err := b.Append(make([]byte, 5000), "a"); !errors.Is(err, ErrWriteTooLarge) {
		t.Errorf("more than can ever fit: %v", err)
	}
}

func TestBufferForget(t *testing.T) {
	dir := t.TempDir()
	b := openTestBuffer(t, dir, BufferConfig{})
	mustAppend(t, b, "1", "gone", "a")
	if err := b.Forget("gone"); err != nil {
		t.Fatal(err)
	}
	if err := b.Forget("never seen"); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, b, "2", "gone", "a")
	b.Close()
	b = openTestBuffer(t, dir, BufferConfig{})
	wantDrained(t, b, "gone", "2")
	wantDrained(t, b, "a", "1", "2")
}

func TestBufferIsLocked(t *testing.T) {
	dir := t.TempDir()
	b := openTestBuffer(t, dir, BufferConfig{})
	if _, err := OpenBuffer(dir, BufferConfig{}); !errors.Is(err, ErrBufferLocked) {
		t.Errorf("a second one: %v", err)
	}
	b.Close()
	openTestBuffer(t, dir, BufferConfig{})
	if _, err := b.Append(nil, "a"); !errors.Is(err, ErrBufferClosed) {
		t.Errorf("Append when closed: %v", err)
	}
	if _, _, err := b.Next("a"); !errors.Is(err, ErrBufferClosed) {
		t.Errorf("Next when closed: %v", err)
	}
}

func TestBufferConfigNamesAllFaults(t *testing.T) {
	err := BufferConfig{MaxBytes: -1, SegmentBytes: 1 << 40, MaxWrite: -1, SyncEvery: -1, Sync: 9}.Validate()
	for _, name := range []string{"MaxBytes", "SegmentBytes", "MaxWrite", "SyncEvery", "Sync:"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("no word of %s in: %v", name, err)
		}
	}
	for _, p := range []SyncPolicy{SyncAlways, SyncInterval, SyncNever} {
		if got, err := ParseSyncPolicy(p.String()); got != p || err != nil {
			t.Errorf("%v: %v %v", p, got, err)
		}
	}
	if _, err := ParseSyncPolicy("often"); err == nil {
		t.Error("often is a policy")
	}
}
