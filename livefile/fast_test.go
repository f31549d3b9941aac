//go:build !race

package livefile

import (
	"slices"
	"testing"
	"time"
)

// TestFastEnough holds the bounds, by the best of several rounds: how fast it can be
// is what is ours, how slow it was is the machine's.
func TestFastEnough(t *testing.T) {
	if testing.Short() {
		t.Skip("measures")
	}
	if took := slices.Min(rewrite(t, 10_000, 20)); took > 50*time.Millisecond {
		t.Errorf("10,000 nodes are written and read back in %v", took)
	}
	if took := slices.Min(toMemory(t, 3, 20)); took > 20*time.Millisecond {
		t.Errorf("a member event is in a watcher's memory after %v", took)
	}
}
