package main

import (
	"bufio"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

func topList(pairs ...string) topMembers {
	var m topMembers
	for i := 0; i < len(pairs); i += 2 {
		m.list = append(m.list, rpc.Member{Name: pairs[i], Status: pairs[i+1]})
	}
	return m
}

func topOrder(s *topState) string {
	var names []string
	for _, m := range s.shown() {
		names = append(names, m.Name)
	}
	return strings.Join(names, " ")
}

func TestTopRemembersWhatItSaw(t *testing.T) {
	var s topState
	at := time.Unix(1000, 0)
	s.apply(at, topList("b", "alive", "a", "alive"))
	if got := topOrder(&s); got != "a b" {
		t.Errorf("order %q", got)
	}
	if !s.members[0].since.IsZero() {
		t.Error("since when is known of a member that was there before")
	}
	s.apply(at.Add(1*time.Second), topList("a", "alive", "b", "failed", "c", "alive"))
	s.apply(at.Add(2*time.Second), topList("a", "alive", "b", "failed", "c", "alive"))
	s.apply(at.Add(3*time.Second), topList("a", "alive", "b", "alive", "c", "alive"))
	s.apply(at.Add(4*time.Second), topList("a", "alive", "b", "failed", "c", "alive"))
	cells := s.cells(at.Add(10*time.Second), s.members)
	want := [][]string{{"a", "alive", "-", ""}, {"b", "failed", "6s", "2"}, {"c", "alive", "9s", ""}}
	for i, w := range want {
		row := cells[i+1]
		if got := []string{row[0], row[2], row[3], row[5]}; !slices.Equal(got, w) {
			t.Errorf("row %d is %q, want %q", i, got, w)
		}
	}
}

func TestTopSortsAndFilters(t *testing.T) {
	var s topState
	at := time.Unix(1000, 0)
	s.apply(at, topList("a", "alive", "b", "failed", "c", "alive", "d", "left"))
	here := &rpc.Coordinate{Vec: []float64{0}}
	s.apply(at, topCoords{self: here, members: map[string]*rpc.Coordinate{
		"a": {Vec: []float64{0.001}}, "c": {Vec: []float64{0.005}}, "d": {Vec: []float64{0, 0}}}})
	for _, want := range []string{"b d a c", "a b c d", "c a b d", "a b c d"} { // status, since, rtt, name
		s.nextSort()
		if got := topOrder(&s); got != want {
			t.Errorf("by %s: %q, want %q", topSorts[s.sort], got, want)
		}
	}
	s.filter = "failed"
	if got := topOrder(&s); got != "b" {
		t.Errorf("filtered: %q", got)
	}
	if got := s.summary(); got != "4 members · 2 alive · 1 failed · 1 left" {
		t.Errorf("summary %q", got)
	}
}

func TestTopLosesAndFinds(t *testing.T) {
	var s topState
	at := time.Unix(1000, 0)
	s.apply(at, topList("a", "alive"))
	s.apply(at, topLost{errors.New("refused")})
	s.apply(at, topLost{errors.New("refused")})
	if len(s.events) != 1 || s.lost == nil {
		t.Errorf("lost %v, told %d times", s.lost, len(s.events))
	}
	s.apply(at, topList("a", "alive"))
	if s.lost != nil {
		t.Error("still lost")
	}
	for range 3 * topKeepLines {
		s.apply(at, topEvent{rpc.Event{Type: "user", Name: "x"}})
	}
	if len(s.events) > 2*topKeepLines {
		t.Errorf("%d lines are kept", len(s.events))
	}
}

// Every size of screen can be drawn, with nothing and with much in it.
func TestTopDrawsAtEverySize(t *testing.T) {
	for _, n := range []int{0, 1, 3, 1000} {
		m := newTopModel("127.0.0.1:7373")
		var list topMembers
		for i := range n {
			list.list = append(list.list, rpc.Member{Name: strings.Repeat("n", 1+i%50), Status: "alive"})
		}
		m.Update(list)
		m.Update(topEvent{rpc.Event{Type: "member-failed", Members: list.list}})
		for _, size := range [][2]int{{1, 1}, {20, 5}, {80, 24}, {300, 100}} {
			m.width, m.height = size[0], size[1]
			if got := strings.Count(m.View().Content, "\n"); size[1] >= 24 && got >= size[1] {
				t.Errorf("%d members at %v: %d lines", n, size, got+1)
			}
		}
	}
}

func TestMemberChanges(t *testing.T) {
	was := func(name, status string) memberOutput { return memberOutput{Name: name, Status: status} }
	got := memberChanges(time.Unix(0, 0),
		[]memberOutput{was("a", "alive"), was("b", "alive"), was("z", "left")},
		[]memberOutput{was("a", "alive"), was("b", "failed"), was("c", "alive")})
	var words []string
	for _, c := range got {
		words = append(words, c.Change+" "+c.Name+" "+c.Status)
	}
	if want := []string{"changed b failed", "new c alive", "gone z left"}; !slices.Equal(words, want) {
		t.Errorf("%q, want %q", words, want)
	}
}

// members -watch prints the list and then what changes, and says when the agent is gone.
func TestMembersWatch(t *testing.T) {
	a, err := newFakeAgent("", fakeMembers())
	if err != nil {
		t.Fatal(err)
	}
	defer a.end()
	out, in := io.Pipe()
	e := &env{name: "ibuki", all: commands, cmd: membersCommand, stdout: in, stderr: in}
	code := make(chan int, 1)
	go func() {
		code <- runMembers(e, []string{"-watch", "-rpc-addr=" + a.addr})
		in.Close()
	}()
	lines := bufio.NewScanner(out)
	expect := func(pattern string) {
		t.Helper()
		for lines.Scan() {
			if regexp.MustCompile(pattern).MatchString(lines.Text()) {
				return
			}
		}
		t.Fatalf("no line %q", pattern)
	}
	expect(`^ノード +\[fe80::1\]:80 +left`)
	a.mu.Lock()
	a.members = fakeMembers()[1:]
	a.members[0].Status = "alive"
	a.mu.Unlock()
	if err := a.publish(rpc.Event{Type: "member-reap", Members: fakeMembers()[:1]}); err != nil {
		t.Fatal(err)
	}
	expect(`^\d\d:\d\d:\d\d  changed  10\.0\.0\.1:10031/droonga  10\.0\.0\.1:7946 +alive`)
	expect(`^\d\d:\d\d:\d\d  gone +node10 +10\.0\.0\.10:7946 +alive  dc=a,role=web$`)
	a.end()
	expect(`^Error watching members: `)
	if got := <-code; got != 1 {
		t.Errorf("exit code %d", got)
	}
}
