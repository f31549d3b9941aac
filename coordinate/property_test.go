package coordinate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestSameNumbersAsSerf plays a run of observations whose results were printed
// by Serf's own package (v0.11.0). No two points coincide in it, so chance has
// no part.
func TestSameNumbersAsSerf(t *testing.T) {
	type result struct {
		after                     int
		vec                       []float64
		error, adjustment, height float64
	}
	want := []result{
		{10, []float64{-0.011014768482442813, -0.0062207143411254434, 0.007617164878333552, -0.0036096513436027046, 0.010458802254295121, -0.011401193336767368, 0.003856077913501921, -0.008790130339244634}, 0.6028580227608563, 0.003741295970964919, 8.896569247977257e-05},
		{20, []float64{-0.01116570855738827, -0.006885748722767617, 0.008671605696871466, -0.003404968890438229, 0.0112745607550736, -0.013236978570018036, 0.0044580164353538645, -0.010321550792057177}, 0.39303258714607875, 0.004795380597253088, 9.519315243044506e-05},
		{30, []float64{-0.0053189978571750165, -0.01765046842461504, 0.0038053272890748117, -0.0062858100758663065, 0.013048211540002526, -0.024759590327823832, -0.0016293265332658021, -0.009213527852730325}, 0.4268775632046037, 0.0050816906894745415, 0.0003009298409144092},
		{40, []float64{-0.007991853109897714, -0.017896285370463408, 0.002595234470431427, -0.004794053918184575, 0.014500790557451288, -0.027404238271054128, -0.0038424500300623062, -0.009607690387277256}, 0.4829702574578451, 0.005049949305779218, 0.00033975893797203214},
		{50, []float64{-0.009749371758424961, -0.015770788323514997, 0.0012325345473845916, -0.0037164499678293814, 0.013774291219848288, -0.02891505781013176, -0.005027231707724981, -0.008432838639779394}, 0.9570657544634433, 0.0008937256707297399, 0.0003485568078473852},
		{60, []float64{-0.009438326259502512, -0.01301529898802103, -0.008422588943020896, 0.001046939542933891, 0.007300276951527084, -0.02879588374834947, -0.009595666302390197, -0.008823431169706849}, 0.8754877295762344, 0.000652355375217151, 0.00043327572628923904},
	}
	c := newClient(t, Config{})
	for i := range 60 {
		other := at(0.00001 * float64(1+i%9))
		for j := range other.Vec {
			other.Vec[j] = float64((i*7+j*13)%29-14)*0.001 + 0.0001*float64(j+1)
		}
		other.Error = 0.1 + float64(i%5)*0.3
		other.Adjustment = 0.0001 * float64(i%7-3)
		rtt := time.Duration(1+(i*i*37)%90)*time.Millisecond + time.Duration(i)*time.Microsecond
		got, err := c.Update(fmt.Sprint("n", i%4), other, rtt)
		if err != nil {
			t.Fatal(err)
		}
		if i+1 != want[0].after {
			continue
		}
		w := want[0]
		want = want[1:]
		for j := range w.vec {
			if !near(got.Vec[j], w.vec[j]) {
				t.Errorf("after %d: component %d is %v, want %v", i+1, j, got.Vec[j], w.vec[j])
			}
		}
		if !near(got.Error, w.error) || !near(got.Adjustment, w.adjustment) || !near(got.Height, w.height) {
			t.Errorf("after %d: %+v, want %+v", i+1, got, w)
		}
		if len(want) == 0 {
			return
		}
	}
	t.Errorf("%d results were never reached", len(want))
}

// TestConverges lets clusters of known shape measure themselves and demands that
// the predictions come close.
func TestConverges(t *testing.T) {
	grid := func(i, j, width int, spacing time.Duration) time.Duration {
		dx, dy := float64(i%width-j%width), float64(i/width-j/width)
		return time.Duration(math.Hypot(dx, dy) * float64(spacing))
	}
	cases := []struct {
		name  string
		nodes int
		truth func(i, j int) time.Duration
		bound float64 // mean relative error
	}{
		{"line", 10, func(i, j int) time.Duration { return time.Duration(max(i-j, j-i)) * 10 * time.Millisecond }, 0.01},
		{"grid", 25, func(i, j int) time.Duration { return grid(i, j, 5, 10*time.Millisecond) }, 0.01},
		{"two sites", 24, func(i, j int) time.Duration {
			if (i < 12) == (j < 12) {
				return time.Millisecond
			}
			return 11 * time.Millisecond
		}, 0.01},
		{"star of access links", 12, func(i, j int) time.Duration {
			return time.Duration(i+1+j+1) * time.Millisecond
		}, 0.15},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got := meanError(t, tc.nodes, 1000, tc.truth)
			t.Logf("mean relative error %.3f", got)
			if got > tc.bound {
				t.Errorf("mean relative error %.3f is above %.3f", got, tc.bound)
			}
		})
	}
}

// meanError runs a cluster in which each node observes a random other one per
// round, and returns how far the predictions are from the truth.
func meanError(t *testing.T, nodes, rounds int, truth func(i, j int) time.Duration) float64 {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 11))
	clients := make([]*Client, nodes)
	for i := range clients {
		c, err := New(Config{}, rng)
		if err != nil {
			t.Fatal(err)
		}
		clients[i] = c
	}
	for range rounds {
		for i, c := range clients {
			j := rng.IntN(nodes)
			if j == i {
				continue
			}
			if _, err := c.Update(fmt.Sprint(j), clients[j].Get(), truth(i, j)); err != nil {
				t.Fatal(err)
			}
		}
	}
	sum, n := 0.0, 0
	for i, a := range clients {
		if a.Resets() != 0 {
			t.Errorf("node %d was reset %d times", i, a.Resets())
		}
		for j, b := range clients {
			if i == j {
				continue
			}
			want := truth(i, j).Seconds()
			sum += math.Abs(a.Get().DistanceTo(b.Get()).Seconds()-want) / want
			n++
		}
	}
	return sum / float64(n)
}

// TestAlwaysValid feeds anything that Update accepts, absurd coordinates
// included: the own one stays finite and within its bounds.
func TestAlwaysValid(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c, err := New(Config{Dimensions: 3}, rand.New(rand.NewPCG(5, 6)))
		if err != nil {
			rt.Fatal(err)
		}
		number := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-1, 1), rapid.Just(0.0))
		positive := rapid.OneOf(rapid.Float64Min(0), rapid.Float64Range(0, 1), rapid.Just(0.0))
		for range rapid.IntRange(1, 40).Draw(rt, "updates") {
			other := Coordinate{
				Vec:        []float64{number.Draw(rt, "x"), number.Draw(rt, "y"), number.Draw(rt, "z")},
				Error:      positive.Draw(rt, "error"),
				Adjustment: number.Draw(rt, "adjustment"),
				Height:     positive.Draw(rt, "height"),
			}
			rtt := time.Duration(rapid.Int64Range(0, int64(RTTMax)).Draw(rt, "rtt"))
			got, err := c.Update("a", other, rtt)
			if err != nil {
				if other.within(PartMax) {
					rt.Fatal(err)
				}
				continue
			}
			if !got.Valid() || got.Error < 0 || got.Error > 1.5 || got.Height < 10e-6 {
				rt.Fatalf("after %+v at %v: %+v", other, rtt, got)
			}
		}
	})
}

func TestUpdateAllocatesNothing(t *testing.T) {
	c := newClient(t, Config{})
	other := at(0.001, 0.05)
	c.Update("a", other, time.Millisecond)
	if n := testing.AllocsPerRun(100, func() { c.Update("a", other, 30*time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations per update", n)
	}
}

func BenchmarkUpdate(b *testing.B) {
	c, err := New(Config{}, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		b.Fatal(err)
	}
	other := at(0.001, 0.05)
	b.ReportAllocs()
	for b.Loop() {
		c.Update("a", other, 30*time.Millisecond)
	}
}
