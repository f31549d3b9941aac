package coordinate

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func newClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// at returns a coordinate of Serf's dimension with the given first components.
func at(height float64, vec ...float64) Coordinate {
	return Coordinate{Vec: append(vec, make([]float64, 8-len(vec))...), Error: 1.5, Height: height}
}

func near(got, want float64) bool { return math.Abs(got-want) <= 1e-12*max(1, math.Abs(want)) }

func TestP120_Start(t *testing.T) {
	got := newClient(t, Config{}).Get()
	want := Coordinate{Vec: make([]float64, 8), Error: 1.5, Height: 10e-6}
	if !slices.Equal(got.Vec, want.Vec) || got.Error != want.Error ||
		got.Height != want.Height || got.Adjustment != 0 {
		t.Errorf("start %+v, want %+v", got, want)
	}
}

func TestP122_MedianOfThree(t *testing.T) {
	f := &medianFilter{samples: make([]float64, 0, 3), sorted: make([]float64, 0, 3)}
	for i, c := range []struct{ in, want float64 }{
		{10, 10}, {1, 10}, {5, 5}, {100, 5}, {7, 7}, {0, 7}, {0, 0},
	} {
		if got := f.median(c.in); got != c.want {
			t.Errorf("observation %d, %v: median %v, want %v", i, c.in, got, c.want)
		}
	}
}

func TestP122_OneOutlierMovesNothing(t *testing.T) {
	quiet, noisy := newClient(t, Config{}), newClient(t, Config{})
	other := at(0.001, 0.05)
	for i := range 9 {
		rtt := 80 * time.Millisecond
		quiet.Update("a", other, rtt)
		if i == 5 {
			rtt = 9 * time.Second
		}
		noisy.Update("a", other, rtt)
	}
	if !slices.Equal(quiet.Get().Vec, noisy.Get().Vec) {
		t.Errorf("with the outlier %v, without %v", noisy.Get().Vec, quiet.Get().Vec)
	}
}

func TestP123_Error(t *testing.T) {
	c := newClient(t, Config{AdjustmentWindow: -1, HeightMin: 1e-9})
	if err := c.Set(at(1e-9)); err != nil {
		t.Fatal(err)
	}
	// Predicted 0.1, seen 0.2: wrong by half; both errors are 1.5, so the weight is half.
	got, err := c.Update("a", at(0, 0.1), 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	want := 0.25*0.5*((0.2-0.100000001)/0.2) + 1.5*(1-0.25*0.5)
	if !near(got.Error, want) {
		t.Errorf("error %v, want %v", got.Error, want)
	}
	// Wrong by far more than the bound: it stays at the bound.
	got, _ = c.Update("b", at(0, 9), 0)
	if got.Error != 1.5 {
		t.Errorf("error %v, want the bound 1.5", got.Error)
	}
}

func TestP124_ForceAndHeight(t *testing.T) {
	c := newClient(t, Config{AdjustmentWindow: -1, GravityRho: 1e12})
	start := at(0.002)
	if err := c.Set(start); err != nil {
		t.Fatal(err)
	}
	other := at(0.001, 0.1)
	got, _ := c.Update("a", other, 200*time.Millisecond)
	force := 0.25 * 0.5 * (0.2 - 0.103) // away from the other
	if !near(got.Vec[0], -force) {
		t.Errorf("moved to %v, want %v", got.Vec[0], -force)
	}
	if want := 0.003*force/0.1 + 0.002; !near(got.Height, want) {
		t.Errorf("height %v, want %v", got.Height, want)
	}
	// Much nearer than predicted: the height falls to its bound and no further.
	c.Set(at(0.5))
	for range 50 {
		got, _ = c.Update("a", at(0.5, 0.001), 0)
	}
	if got.Height != 10e-6 {
		t.Errorf("height %v, want the bound", got.Height)
	}
}

func TestP124_CoincidentPointsPartInSomeDirection(t *testing.T) {
	c := newClient(t, Config{})
	got, _ := c.Update("a", at(10e-6), 100*time.Millisecond)
	if mag := magnitude(got.Vec); mag < 0.01 {
		t.Errorf("moved by %v only", mag)
	}
	if got.Height != 10e-6 {
		t.Errorf("height %v changed though there was no direction", got.Height)
	}
	other, err := New(Config{}, rand.New(rand.NewPCG(3, 4)))
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := other.Update("a", at(10e-6), 100*time.Millisecond); slices.Equal(again.Vec, got.Vec) {
		t.Error("another source of randomness, the same direction")
	}
}

func TestP125_Adjustment(t *testing.T) {
	c := newClient(t, Config{CC: 1e-300, GravityRho: 1e12, AdjustmentWindow: 4, FilterSize: 1})
	other := at(10e-6, 0.1)
	// The coordinate cannot move, so each observation is wrong by the same.
	for i := 1; i <= 6; i++ {
		got, _ := c.Update("a", other, 150*time.Millisecond)
		want := (0.15 - 0.10002) * float64(min(i, 4)) / 4 / 2
		if !near(got.Adjustment, want) {
			t.Errorf("after %d: adjustment %v, want %v", i, got.Adjustment, want)
		}
	}
}

func TestP126_Gravity(t *testing.T) {
	c := newClient(t, Config{CC: 1e-300, GravityRho: 25})
	c.Set(at(10e-6, 25))
	got, _ := c.Update("a", at(10e-6, 24), time.Second)
	if want := 24.0; math.Abs(got.Vec[0]-want) > 1e-4 {
		t.Errorf("from 25 s pulled to %v, want %v", got.Vec[0], want)
	}
}

func TestP127_RefusedObservationsChangeNothing(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	ok := at(0.001, 0.1)
	bad := func(change func(*Coordinate)) Coordinate {
		c := ok.Clone()
		change(&c)
		return c
	}
	cases := []struct {
		name  string
		other Coordinate
		rtt   time.Duration
		want  error
	}{
		{"fewer dimensions", Coordinate{Vec: []float64{1}}, time.Second, ErrDimensions},
		{"no dimension", Coordinate{}, time.Second, ErrDimensions},
		{"more dimensions", Coordinate{Vec: make([]float64, 9)}, time.Second, ErrDimensions},
		{"nan in vec", bad(func(c *Coordinate) { c.Vec[7] = nan }), time.Second, ErrInvalid},
		{"inf in vec", bad(func(c *Coordinate) { c.Vec[0] = -inf }), time.Second, ErrInvalid},
		{"nan error", bad(func(c *Coordinate) { c.Error = nan }), time.Second, ErrInvalid},
		{"inf adjustment", bad(func(c *Coordinate) { c.Adjustment = inf }), time.Second, ErrInvalid},
		{"inf height", bad(func(c *Coordinate) { c.Height = inf }), time.Second, ErrInvalid},
		{"negative error", bad(func(c *Coordinate) { c.Error = -1 }), time.Second, ErrInvalid},
		{"negative height", bad(func(c *Coordinate) { c.Height = -1e-9 }), time.Second, ErrInvalid},
		{"huge vec", bad(func(c *Coordinate) { c.Vec[3] = -math.Nextafter(PartMax, 1e9) }), time.Second, ErrInvalid},
		{"largest vec", bad(func(c *Coordinate) { c.Vec[3] = math.MaxFloat64 }), time.Second, ErrInvalid},
		{"huge adjustment", bad(func(c *Coordinate) { c.Adjustment = -math.Nextafter(PartMax, 1e9) }), time.Second, ErrInvalid},
		{"huge height", bad(func(c *Coordinate) { c.Height = math.Nextafter(PartMax, 1e9) }), time.Second, ErrInvalid},
		{"negative time", ok, -1, ErrRTT},
		{"long time", ok, RTTMax + 1, ErrRTT},
	}
	for _, tc := range cases {
		c := newClient(t, Config{})
		before := c.Get().Clone()
		if _, err := c.Update("a", tc.other, tc.rtt); !errors.Is(err, tc.want) {
			t.Errorf("%s: error %v, want %v", tc.name, err, tc.want)
		}
		after := c.Get()
		if !slices.Equal(before.Vec, after.Vec) || before.Error != after.Error || len(c.filters) != 0 {
			t.Errorf("%s: was refused and changed something", tc.name)
		}
	}
	for _, rtt := range []time.Duration{0, 1, RTTMax} {
		if _, err := newClient(t, Config{}).Update("a", ok, rtt); err != nil {
			t.Errorf("time %v: %v", rtt, err)
		}
	}
}

func TestP128_ResetAndGoOn(t *testing.T) {
	c := newClient(t, Config{})
	c.own.Vec[0] = 2 * PartMax // wherever it came from
	got, err := c.Update("a", at(10e-6, 0.01), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if c.Resets() != 1 || !got.Valid() || got.Error != 1.5 || magnitude(got.Vec) != 0 {
		t.Fatalf("resets %d, %+v", c.Resets(), got)
	}
	for range 30 {
		c.Update("b", at(10e-6, 0.01), 20*time.Millisecond)
	}
	if c.Resets() != 1 {
		t.Errorf("%d resets: one bad coordinate spoilt the following updates", c.Resets())
	}
}

// TestP127_ExtremesAreOutgrown: whatever one member says of itself that is not refused, the
// times to the others are right again soon.
func TestP127_ExtremesAreOutgrown(t *testing.T) {
	tiny := math.SmallestNonzeroFloat64
	for _, x := range []float64{-PartMax, -1, 0, tiny, 1, PartMax} {
		for _, e := range []float64{0, tiny, 1.5, math.MaxFloat64} {
			c := newClient(t, Config{})
			honest := at(10e-6, 0.01)
			for range 40 {
				c.Update("b", honest, 20*time.Millisecond)
			}
			liar := at(max(x, 0), x, -x, x)
			liar.Error, liar.Adjustment = e, x
			for range 3 {
				if _, err := c.Update("liar", liar, RTTMax); err != nil {
					t.Fatal(err)
				}
			}
			for range 400 {
				c.Update("b", honest, 20*time.Millisecond)
			}
			own := c.Get()
			if d := own.DistanceTo(honest); d < 15*time.Millisecond || d > 25*time.Millisecond {
				t.Errorf("%v, error %v: the time to an honest member is %v", x, e, d)
			}
		}
	}
}

func TestP129_Distance(t *testing.T) {
	ms := time.Millisecond
	adjusted := func(c Coordinate, by float64) Coordinate { c.Adjustment = by; return c }
	cases := []struct {
		name string
		a, b Coordinate
		want time.Duration
	}{
		{"same point", at(0), at(0), 0},
		{"vectors", at(0, 0.003), at(0, 0, 0.004), 5 * ms},
		{"heights", at(0.001, 0.003), at(0.002, 0, 0.004), 8 * ms},
		{"adjustments", adjusted(at(0, 0.005), 0.002), adjusted(at(0), -0.001), 6 * ms},
		{"negative sum", adjusted(at(0, 0.005), -0.003), adjusted(at(0), -0.003), 5 * ms},
		{"other dimension", Coordinate{Vec: []float64{0.003}}, Coordinate{Vec: []float64{0, 0.004}}, 5 * ms},
		{"no dimension", Coordinate{}, Coordinate{Height: 0.001}, ms},
		{"too far", at(math.MaxFloat64), at(0), math.MaxInt64},
		{"too near", at(-math.MaxFloat64), at(0), math.MinInt64},
		{"nan", at(math.NaN()), at(0), 0},
	}
	for _, tc := range cases {
		got, back := tc.a.DistanceTo(tc.b), tc.b.DistanceTo(tc.a)
		if got != back {
			t.Errorf("%s: %v there, %v back", tc.name, got, back)
		}
		// Nanoseconds are cut off, so the last one may be missing.
		if got != tc.want && got != tc.want-1 {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestP129_Forget(t *testing.T) {
	c := newClient(t, Config{})
	c.Update("a", at(0.001, 0.1), time.Second)
	c.Update("b", at(0.001, 0.1), time.Second)
	c.Forget("a")
	c.Forget("never seen")
	if c.filters["a"] != nil || c.filters["b"] == nil {
		t.Errorf("kept %v", c.filters)
	}
}

func TestSetCopies(t *testing.T) {
	c := newClient(t, Config{})
	mine := at(0.001, 1, 2, 3)
	if err := c.Set(mine); err != nil {
		t.Fatal(err)
	}
	mine.Vec[0] = 99
	if got := c.Get().Vec[0]; got != 1 {
		t.Errorf("the client shares the caller's vector: %v", got)
	}
	if err := c.Set(Coordinate{Vec: []float64{1}}); !errors.Is(err, ErrDimensions) {
		t.Errorf("error %v, want %v", err, ErrDimensions)
	}
	if got := c.Get().Vec[1]; got != 2 {
		t.Errorf("a refused Set changed the coordinate: %v", got)
	}
}

func TestConfigFaults(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
	for name, cfg := range map[string]Config{
		"dimensions": {Dimensions: -1}, "many dimensions": {Dimensions: 1 << 30},
		"error": {ErrorMax: -1}, "ce": {CE: 2}, "cc": {CC: math.NaN()},
		"height": {HeightMin: math.Inf(1)}, "filter": {FilterSize: -3}, "rho": {GravityRho: -1},
	} {
		if _, err := New(cfg, rand.New(rand.NewPCG(1, 1))); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(Config{}, nil); err == nil {
		t.Error("no randomness: no error")
	}
}
