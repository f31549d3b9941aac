package swim

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSuspicionTimes(t *testing.T) {
	lan, wan, local := LAN(), WAN(), Local()
	for _, c := range []struct {
		cfg         *Config
		n, present  int
		least, most time.Duration
		want        int
	}{
		{&lan, 1, 1, 4 * time.Second, 24 * time.Second, 0},
		{&lan, 3, 3, 4 * time.Second, 24 * time.Second, 0},
		{&lan, 4, 4, 4 * time.Second, 24 * time.Second, 2},
		{&lan, 10, 10, 4 * time.Second, 24 * time.Second, 2},
		{&lan, 32, 32, 6020 * time.Millisecond, 36120 * time.Millisecond, 2},
		{&lan, 100, 100, 8 * time.Second, 48 * time.Second, 2},
		{&lan, 10000, 10000, 16 * time.Second, 96 * time.Second, 2},
		{&wan, 5, 5, 30 * time.Second, 180 * time.Second, 0},
		{&wan, 6, 6, 30 * time.Second, 180 * time.Second, 4},
		{&local, 3, 3, 3 * time.Second, 18 * time.Second, 1},
		{&local, 3, 2, 3 * time.Second, 18 * time.Second, 0},
		{&lan, 4, 3, 4 * time.Second, 24 * time.Second, 0},
		{&lan, 100, 4, 8 * time.Second, 48 * time.Second, 2},
	} {
		least, most, want := suspicionTimes(c.cfg, c.n, c.present)
		if least != c.least || most != c.most || want != c.want {
			t.Errorf("n=%d of %d: %v %v %d, want %v %v %d", c.present, c.n, least, most, want, c.least, c.most, c.want)
		}
	}
}

func TestSuspicionLimit(t *testing.T) {
	s := suspicion{least: 2 * time.Second, most: 30 * time.Second, want: 3}
	s.begin(time.Minute, "a")
	// 30 − 28·log(c+1)/log 4, by hand.
	for i, c := range []struct {
		from  string
		news  bool
		limit time.Duration
	}{
		{"a", false, 30 * time.Second},
		{"b", true, 16 * time.Second},
		{"b", false, 16 * time.Second},
		{"c", true, 7810 * time.Millisecond},
		{"a", false, 7810 * time.Millisecond},
		{"d", true, 2 * time.Second},
		{"e", false, 2 * time.Second},
	} {
		if got := s.confirm(c.from); got != c.news {
			t.Errorf("step %d: news %v", i, got)
		}
		if got := s.limit(); got != c.limit {
			t.Errorf("step %d: limit %v, want %v", i, got, c.limit)
		}
		if got := s.ends(); got != time.Minute+c.limit {
			t.Errorf("step %d: ends %v", i, got)
		}
	}
	s.want = 0
	s.begin(0, "a")
	if s.limit() != 2*time.Second || s.confirm("b") {
		t.Error("with nobody to confirm, it should last the minimum and count nobody")
	}
}

func TestSuspicionBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		least := time.Duration(rapid.IntRange(1, 100000).Draw(t, "least")) * time.Millisecond
		most := least * time.Duration(rapid.IntRange(1, 10).Draw(t, "mult"))
		want := rapid.IntRange(0, 10).Draw(t, "want")
		s := suspicion{least: least, most: most, want: want}
		s.begin(0, "0")
		last := most
		for _, f := range rapid.SliceOf(rapid.StringMatching("[0-9a-f]")).Draw(t, "from") {
			s.confirm(f)
			l := s.limit()
			if l < least || l > last {
				t.Fatalf("limit %v after %v, least %v", l, last, least)
			}
			last = l
		}
		if s.confirmations() > want {
			t.Fatalf("%d confirmations of %d", s.confirmations(), want)
		}
		if s.confirmations() == want && s.limit() != least {
			t.Fatalf("all confirmed, but limit %v, least %v", s.limit(), least)
		}
	})
}
