package sim

import (
	"bytes"
	"flag"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "TestSeeds: play this seed only, with its transcript")
	seedsFlag = flag.Uint64("seeds", 300, "TestSeeds: how many seeds")
	fromFlag  = flag.Uint64("from", 1, "TestSeeds: the first seed")
)

// TestSeeds plays seeds. A failing one prints the command that replays it.
func TestSeeds(t *testing.T) {
	if *seedFlag != 0 {
		r := Run(*seedFlag, os.Stdout)
		t.Logf("%v virtual, %d steps, %d packets, agreed after %v", r.Virtual, r.Steps, r.Packets, r.Agreed)
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		return
	}
	count := *seedsFlag
	if testing.Short() {
		count = min(count, 60)
	}
	results := playSeeds(t, *fromFlag, count)
	var virtual, bound time.Duration
	var asked, acked int
	var agreed []time.Duration
	for _, r := range results {
		virtual += r.Virtual
		agreed = append(agreed, r.Agreed)
		bound = max(bound, r.Plan.Bound())
		// The local profile sends each message twice only: that reaches four in
		// five (1-z = e^-2z), whatever the network.
		if r.Plan.Profile != "local" {
			asked, acked = asked+r.Asked, acked+r.Acked
		}
	}
	if len(agreed) == 0 {
		return
	}
	if share := float64(acked) / float64(asked); share < 0.99 || share > 1 {
		t.Errorf("the queries in healed networks reached %d of %d nodes", acked, asked)
	}
	slices.Sort(agreed)
	t.Logf("%d seeds, %v virtual; views agreed after %v (median), %v (99 of 100), %v (last); the longest bound was %v; queries reached %d of %d",
		len(agreed), virtual.Round(time.Second), agreed[len(agreed)/2], agreed[len(agreed)*99/100], agreed[len(agreed)-1], bound, acked, asked)
}

// playSeeds plays count seeds on all processors. It stops after ten bad ones.
func playSeeds(t *testing.T, from, count uint64) []Result {
	var next, bad atomic.Uint64
	var mu sync.Mutex
	var results []Result
	var wg sync.WaitGroup
	next.Store(from)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for bad.Load() < 10 {
				seed := next.Add(1) - 1
				if seed >= from+count {
					return
				}
				// The race detector makes everything slow, big clusters most.
				if raceEnabled && Draw(seed).Nodes > 12 {
					continue
				}
				r := Run(seed, nil)
				if r.Err != nil {
					bad.Add(1)
					reportSeed(t, r)
					continue
				}
				mu.Lock()
				results = append(results, r)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return results
}

// reportSeed prints how to replay a bad seed, and the end of its transcript.
func reportSeed(t *testing.T, r Result) {
	var b bytes.Buffer
	Run(r.Plan.Seed, &b)
	lines := bytes.Split(bytes.TrimSpace(b.Bytes()), []byte("\n"))
	tail := lines[max(0, len(lines)-25):]
	t.Errorf("seed %d: %v\n%s\n…\n%s\nreplay: go test ./sim -run TestSeeds -seed=%d",
		r.Plan.Seed, r.Err, r.Plan, bytes.Join(tail, []byte("\n")), r.Plan.Seed)
}

// TestSameSeedSameTranscript: two runs of a seed write the same bytes, and a
// run without a transcript takes the same steps.
func TestSameSeedSameTranscript(t *testing.T) {
	for seed := uint64(1); seed <= 12; seed++ {
		var one, two bytes.Buffer
		first := Run(seed, &one)
		second := Run(seed, &two)
		if !bytes.Equal(one.Bytes(), two.Bytes()) {
			t.Errorf("seed %d: the transcripts differ at line %d", seed, firstDifference(one.Bytes(), two.Bytes()))
		}
		if one.Len() == 0 {
			t.Errorf("seed %d: no transcript", seed)
		}
		if quiet := Run(seed, nil); quiet.Steps != first.Steps || first.Steps != second.Steps {
			t.Errorf("seed %d: %d, %d and, without a transcript, %d steps", seed, first.Steps, second.Steps, quiet.Steps)
		}
	}
}

func firstDifference(a, b []byte) int {
	x, y := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range min(len(x), len(y)) {
		if !bytes.Equal(x[i], y[i]) {
			return i + 1
		}
	}
	return min(len(x), len(y))
}
