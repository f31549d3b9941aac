package dispatch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// damaged makes a buffer with writes for three replicas, some of them delivered, and
// returns what each still waits for, and the number of each write.
func damaged(t *testing.T, dir string, random *rand.Rand) (waiting map[string][]string, seqs map[string]uint64) {
	t.Helper()
	b := openTestBuffer(t, dir, BufferConfig{SegmentBytes: 200})
	waiting, seqs = make(map[string][]string), make(map[string]uint64)
	all := []string{"a", "b", "c"}
	for i := range 20 {
		text := fmt.Sprintf("write %d", i)
		to := slices.Clone(all[random.IntN(3):])
		seqs[text] = mustAppend(t, b, text, to...).Seq
		for _, name := range to {
			waiting[name] = append(waiting[name], text)
		}
		for _, name := range all[1+random.IntN(3):] {
			if p, ok, err := b.Next(name); err == nil && ok && random.IntN(2) == 0 {
				if err := b.Delivered(name, p.Ticket); err != nil {
					t.Fatal(err)
				}
				waiting[name] = waiting[name][1:]
			}
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return waiting, seqs
}

// wreck does something to the files.
func wreck(t *testing.T, dir string, random *rand.Rand) {
	t.Helper()
	numbers, _ := dirFiles(dir).list()
	path := dirFiles(dir).path(numbers[random.IntN(len(numbers))])
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := random.IntN(len(data))
	switch random.IntN(4) {
	case 0:
		data[at] ^= 1
	case 1:
		data = data[:at]
	case 2:
		for i := at; i < min(at+100, len(data)); i++ {
			data[i] = 0
		}
	case 3:
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// excused reports whether the report says that a write may be missing on a replica.
func (r *BufferReport) excused(replica string, seq uint64) bool {
	for _, l := range r.Damage {
		if seq >= l.First && (seq <= l.Last || l.Open) && (slices.Contains(l.Lacking, replica) || r.Nameless > 0) {
			return true
		}
	}
	return false
}

// TestSalvageKeepsWhatIsIntact: whatever is broken, the salvaged buffer opens, holds what
// waited in its order, and what it does not hold is in the report.
func TestSalvageKeepsWhatIsIntact(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	found := 0
	for range 120 {
		dir := filepath.Join(t.TempDir(), "buffer")
		waiting, seqs := damaged(t, dir, random)
		wreck(t, dir, random)
		_, openErr := OpenBuffer(dir, quickly(dir, BufferConfig{}))
		var damage *BufferDamage
		isDamage := errors.As(openErr, &damage)
		if !isDamage {
			continue // the end was torn, or what is broken does not count
		}
		found++
		checked, err := CheckBuffer(dir)
		if err != nil || len(checked.Damage) == 0 {
			t.Fatalf("%v, but the check says %+v, %v", openErr, checked, err)
		}
		report, kept, err := SalvageBuffer(dir)
		if err != nil || kept == "" {
			t.Fatal(err)
		}
		b := openTestBuffer(t, dir, BufferConfig{})
		for name, want := range waiting {
			if n := b.Waiting(name); n != report.Waiting[name] {
				t.Errorf("%d writes wait for %s, by the report %d", n, name, report.Waiting[name])
			}
			got := drain(t, b, name)
			if !slices.IsSortedFunc(got, func(x, y string) int { return int(seqs[x]) - int(seqs[y]) }) {
				t.Errorf("%s gets %q: not in order", name, got)
			}
			for _, text := range want {
				if !slices.Contains(got, text) && !report.excused(name, seqs[text]) {
					t.Fatalf("%s does not get %q (%d), and the report does not say so: %+v", name, text, seqs[text], report)
				}
			}
		}
		if _, err := OpenBuffer(kept, quickly(kept, BufferConfig{})); !errors.As(err, &damage) {
			t.Errorf("what was kept: %v", err)
		}
		if left, _ := filepath.Glob(dir + "*"); len(left) != 2 {
			t.Errorf("left: %v", left)
		}
	}
	if found < 40 {
		t.Errorf("only %d were damaged", found)
	}
}

func TestSalvageOfAWholeBuffer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "buffer")
	b := openTestBuffer(t, dir, BufferConfig{})
	mustAppend(t, b, "1", "a", "b")
	if _, err := CheckBuffer(dir); !errors.Is(err, ErrBufferLocked) {
		t.Errorf("in use: %v", err)
	}
	if _, _, err := SalvageBuffer(dir); !errors.Is(err, ErrBufferLocked) {
		t.Errorf("in use: %v", err)
	}
	b.Close()
	r, kept, err := SalvageBuffer(dir)
	if err != nil || kept != "" || r.Kept != 1 || r.Waiting["a"] != 1 || r.Waiting["b"] != 1 {
		t.Errorf("%+v, %q, %v", r, kept, err)
	}
	if _, err := CheckBuffer(filepath.Join(dir, "none")); err == nil {
		t.Error("of a directory that there is not")
	}
}

// TestSalvageKeepsTheState: what the gateway knew of the servers stays.
func TestSalvageKeepsTheState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "buffer")
	damaged(t, dir, rand.New(rand.NewPCG(5, 5)))
	state := newStateFile(dir)
	if err := state.save(savedState{Behind: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	numbers, _ := dirFiles(dir).list()
	if err := os.Remove(dirFiles(dir).path(numbers[1])); err != nil {
		t.Fatal(err)
	}
	if _, kept, err := SalvageBuffer(dir); err != nil || kept == "" {
		t.Fatal(kept, err)
	}
	if s, err := state.load(); err != nil || !slices.Equal(s.Behind, []string{"a"}) {
		t.Errorf("%+v, %v", s, err)
	}
}
