package swim

import (
	"testing"
	"time"
)

func TestAwareness(t *testing.T) {
	a := awareness{limit: 8}
	for i, s := range []struct{ delta, score int }{
		{0, 0}, {-1, 0}, {1, 1}, {3, 4}, {9, 7}, {1, 7}, {-1, 6}, {-9, 0},
	} {
		a.apply(s.delta)
		if a.score != s.score {
			t.Errorf("step %d: %d, want %d", i, a.score, s.score)
		}
		if got, want := a.scale(time.Second), time.Duration(s.score+1)*time.Second; got != want {
			t.Errorf("step %d: scaled to %v, want %v", i, got, want)
		}
	}
}
