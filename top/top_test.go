package top

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

func listed(pairs ...string) memberList {
	var m memberList
	for i := 0; i < len(pairs); i += 2 {
		m.list = append(m.list, rpc.Member{Name: pairs[i], Status: pairs[i+1]})
	}
	return m
}

func order(s *state) string {
	var names []string
	for _, m := range s.shown() {
		names = append(names, m.Name)
	}
	return strings.Join(names, " ")
}

func TestRemembersWhatItSaw(t *testing.T) {
	var s state
	at := time.Unix(1000, 0)
	s.apply(at, listed("b", "alive", "a", "alive"))
	if got := order(&s); got != "a b" {
		t.Errorf("order %q", got)
	}
	if !s.members[0].since.IsZero() {
		t.Error("since when is known of a member that was there before")
	}
	s.apply(at.Add(1*time.Second), listed("a", "alive", "b", "failed", "c", "alive"))
	s.apply(at.Add(2*time.Second), listed("a", "alive", "b", "failed", "c", "alive"))
	s.apply(at.Add(3*time.Second), listed("a", "alive", "b", "alive", "c", "alive"))
	s.apply(at.Add(4*time.Second), listed("a", "alive", "b", "failed", "c", "alive"))
	cells := s.cells(at.Add(10*time.Second), s.members, 0)
	want := [][]string{{"b", "failed", "6s", "2"}, {"a", "alive", "-", "0"}, {"c", "alive", "9s", "0"}}
	for i, w := range want {
		row := cells[i+1]
		if got := []string{row[0], row[2], row[3], row[5]}; !slices.Equal(got, w) {
			t.Errorf("row %d is %q, want %q", i, got, w)
		}
	}
}

func TestSortsAndFilters(t *testing.T) {
	var s state
	at := time.Unix(1000, 0)
	s.apply(at, listed("a", "alive", "b", "failed", "c", "alive", "d", "left"))
	here := &rpc.Coordinate{Vec: []float64{0}}
	s.apply(at, coords{self: here, members: map[string]*rpc.Coordinate{
		"a": {Vec: []float64{0.001}}, "c": {Vec: []float64{0.005}}, "d": {Vec: []float64{0, 0}}}})
	for _, want := range []string{"a b c d", "a b c d", "c a b d", "a b c d", "b d a c"} { // name, since, rtt, flaps, worst first
		s.nextSort()
		if got := order(&s); got != want {
			t.Errorf("by %s: %q, want %q", sorts[s.sort], got, want)
		}
	}
	s.filter = "failed"
	if got := order(&s); got != "b" {
		t.Errorf("filtered: %q", got)
	}
	if got := strings.Join(s.summary(), " · "); got != "2 of 3 alive, 1 failed, 1 left" {
		t.Errorf("summary %q", got)
	}
}

func TestLosesAndFinds(t *testing.T) {
	var s state
	at := time.Unix(1000, 0)
	s.apply(at, listed("a", "alive"))
	s.apply(at, lost{errors.New("refused")})
	s.apply(at, lost{errors.New("refused")})
	if len(s.events) != 1 || s.lost == nil {
		t.Errorf("lost %v, told %d times", s.lost, len(s.events))
	}
	s.apply(at, listed("a", "alive"))
	if s.lost != nil {
		t.Error("still lost")
	}
	for range 3 * keepLines {
		s.apply(at, newEvent{rpc.Event{Type: "user", Name: "x"}})
	}
	if len(s.events) > 2*keepLines {
		t.Errorf("%d lines are kept", len(s.events))
	}
}

// Every size of screen can be drawn, with nothing and with much in it.
func TestDrawsAtEverySize(t *testing.T) {
	for _, n := range []int{0, 1, 3, 1000} {
		m := newModel("127.0.0.1:7373")
		var list memberList
		for i := range n {
			list.list = append(list.list, rpc.Member{Name: strings.Repeat("n", 1+i%50), Status: "alive"})
		}
		m.Update(list)
		m.Update(newEvent{rpc.Event{Type: "member-failed", Members: list.list}})
		for _, size := range [][2]int{{1, 1}, {20, 5}, {80, 24}, {300, 100}} {
			m.width, m.height = size[0], size[1]
			if got := strings.Count(m.View().Content, "\n"); size[1] >= 24 && got >= size[1] {
				t.Errorf("%d members at %v: %d lines", n, size, got+1)
			}
		}
	}
}
