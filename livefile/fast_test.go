//go:build unix && !race

package livefile

import (
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestFastEnough holds the bounds by what is ours: of the list the processor's time,
// for how long the disk and other programs make it wait is the machine's; of
// the event the best of several rounds.
func TestFastEnough(t *testing.T) {
	if testing.Short() {
		t.Skip("measures")
	}
	const rounds = 20
	begun := processorTime(t)
	rewrite(t, 10_000, rounds)
	if took := (processorTime(t) - begun) / rounds; took > 50*time.Millisecond {
		t.Errorf("10,000 nodes are written and read back in %v of processor time", took)
	} else {
		t.Logf("10,000 nodes are written and read back in %v of processor time", took)
	}
	for _, nodes := range []int{3, 10_000} {
		took := slices.Min(toMemory(t, nodes, rounds))
		if took > 20*time.Millisecond {
			t.Errorf("of %d nodes a member event is in a watcher's memory after %v", nodes, took)
		}
		t.Logf("of %d nodes a member event is in a watcher's memory after %v", nodes, took)
	}
}

// processorTime is what this process has used of all processors.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
