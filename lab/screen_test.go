package lab

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

// shown is a screen of 80 by 24 of n nodes that run and see each other as alive, after
// change.
func shown(n int, change func(m *model)) string {
	c := &cluster{program: "ibuki", self: "ibuki", dir: "/tmp/ibuki-dev-123456789", began: time.Now()}
	seen := make(map[string]string)
	for i := range n {
		name := fmt.Sprintf("node%d", i)
		c.add(name, place{host: fmt.Sprintf("127.0.100.%d", 50+i), port: gossipPort, http: httpPort}).state = stateRunning
		seen[name] = "alive"
	}
	for _, one := range c.nodes {
		one.pid, one.seen = 100_000, seen
	}
	m := newModel(context.TODO(), c)
	change(m)
	m.Update(tick{})
	text := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(m.View().Content, "")
	return regexp.MustCompile("(?m) +$").ReplaceAllString(text, "")
}

// Sixty nodes are as readable as three: the totals, the worst first, one line for what
// many saw.
func TestScreenOfMany(t *testing.T) {
	text := shown(60, func(m *model) {
		m.cluster.nodes[12].state = stateDown
		m.cluster.nodes[0].seen["node12"] = "failed" // the map that all share
		for i := range 60 {
			m.Update(notice{at: 3 * time.Second, node: fmt.Sprintf("node%d", i), kind: "member-failed", names: []string{"node12 (127.0.100.62)"}})
		}
	})
	for _, want := range []string{"ibuki dev · 59 of 60 alive, 1 failed · up 0s\n", "dashboard http://127.0.100.50:8080/ · logs in ", "SEEN\nnode12 ", "failed 59\nnode0 ",
		"1 to 11 of 60, worst first\n", "   3.000s  member-failed node12 (127.0.100.62)  seen by 60\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Count(text, "member-failed") != 1 || strings.Count(text, "\n") != 23 {
		t.Errorf("lines:\n%s", text)
	}
}

func TestScreenScrolls(t *testing.T) {
	text := shown(60, func(m *model) {
		for i := range 30 {
			m.note(fmt.Sprintf("line %d", i))
		}
		m.Update(tea.KeyPressMsg{Code: tea.KeyPgUp})
		m.Update(notice{text: "newest"})
		m.Update(tea.KeyPressMsg{Code: tea.KeyTab})
		m.Update(tea.KeyPressMsg{Code: tea.KeyPgDown})
	})
	for _, want := range []string{"\nnode8 ", "9 to 19 of 60", "line 21\n", "9 newer lines"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "newest") {
		t.Errorf("what is read moves away:\n%s", text)
	}
}

// Eight nodes see each other in 80 columns, whatever they see.
func TestScreenOfEight(t *testing.T) {
	text := shown(8, func(m *model) { m.cluster.nodes[0].seen["node3"] = "failed" })
	if !strings.Contains(text, "NODE   PROCESS  BY 0") || !strings.Contains(text, "BY 7\n") || !strings.Contains(text, "7 of 8 alive, 1 failed") {
		t.Error(text)
	}
}

func TestJournalTellsFailuresApart(t *testing.T) {
	var j journal
	at := func(second float64, node, kind string, names ...string) {
		j.add(notice{at: time.Duration(second * float64(time.Second)), node: node, kind: kind, names: names})
	}
	at(1, "a", "member-failed", "x (1)")
	at(1, "b", "member-failed", "x (1)")
	at(2.5, "a", "member-join", "x (1)")
	at(2.6, "c", "member-failed", "x (1)") // late, and still the first failure
	at(5, "a", "member-failed", "x (1)")   // the second one
	at(5, "b", "member-join", "x (1)")     // late
	at(5.1, "b", "member-failed", "x (1)")
	at(5.2, "b", "member-failed", "y (2)") // in the same second: one line
	at(40, "c", "member-failed", "x (1)")  // too late to be that one
	j.add(notice{at: 41 * time.Second, kind: "user", clock: 7, names: []string{`deploy ""`}, node: "a"})
	j.add(notice{at: 41 * time.Second, kind: "user", clock: 7, names: []string{`deploy ""`}, node: "b"})
	j.add(notice{at: 41 * time.Second, kind: "user", clock: 8, names: []string{`deploy ""`}, node: "a"})
	var got []string
	for _, e := range j.entries {
		got = append(got, strings.TrimSpace(e.line(80)))
	}
	want := []string{
		"1.000s  member-failed x (1)  seen by 3", "2.500s  member-join x (1)  seen by 2", "5.000s  member-failed x, y  seen by 1 to 2",
		"40.000s  member-failed x (1)  seen by c", `41.000s  user deploy ""  seen by 2`, `41.000s  user deploy ""  seen by a`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTotalsAndTroubles(t *testing.T) {
	rows := []row{
		{process: stateRunning, seen: []string{"alive", "-", "alive"}},
		{process: stateDown, seen: []string{"alive", "alive"}},
		{process: stateDown, seen: []string{"failed", "alive"}},
		{process: stateDown, seen: []string{"left", "left"}},
		{process: stateRunning, seen: []string{"", ""}},
		{process: stateDown, seen: []string{"failed", "-"}},
	}
	if got, want := totals(rows), "2 of 5 alive, 1 failed, 1 seen differently, 1 not joined, 1 left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if a, b, c := rows[5].trouble(), rows[1].trouble(), rows[0].trouble(); !(a < b && b < c) {
		t.Errorf("troubles %d %d %d", a, b, c)
	}
}
