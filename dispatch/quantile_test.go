package dispatch

import (
	"testing"
	"time"
)

func TestQuantiles(t *testing.T) {
	var l latencies
	if q, n := l.quantiles(0.5); n != 0 || q[0] != 0 {
		t.Errorf("of nothing: %v %d", q, n)
	}
	for i := range 1000 {
		l.add(time.Duration(i+1) * time.Millisecond)
	}
	q, n := l.quantiles(0.5, 0.99, 1)
	for i, want := range []time.Duration{500, 990, 1000} {
		want *= time.Millisecond
		if q[i] < want || q[i] > want+want/6 {
			t.Errorf("quantile %d: %v, want %v or a little more", i, q[i], want)
		}
	}
	l.age()
	if _, half := l.quantiles(0.5); n != 1000 || half < 400 || half > 600 {
		t.Errorf("%d, then %d", n, half)
	}
}
