package agent

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/agent/snapshot"
	"github.com/ibuki-dev/ibuki/serf"
)

var t0 = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func contacts(n int) (out []contact) {
	for i := range n {
		out = append(out, contact{name: fmt.Sprintf("n%03d", i), addr: addr4(byte(i))})
	}
	return out
}

// play runs the policy for a time, with attempts that take took and end as
// answered says, and returns when each attempt began.
func play(p *attempts, from time.Time, d, took time.Duration, answered func(contact) bool) map[contact][]time.Duration {
	begun := make(map[contact][]time.Duration)
	type end struct {
		at time.Time
		c  contact
	}
	var ends []end
	now := from
	for {
		for _, c := range p.take(now) {
			begun[c] = append(begun[c], now.Sub(from))
			ends = append(ends, end{now.Add(took), c})
		}
		next := p.next()
		if len(ends) > 0 && (next.IsZero() || ends[0].at.Before(next)) {
			now = ends[0].at
			p.done(now, ends[0].c, answered(ends[0].c))
			ends = ends[1:]
			continue
		}
		if next.IsZero() || next.Sub(from) > d {
			return begun
		}
		now = next
	}
}

func never(contact) bool { return false }

func TestP164_AttemptsBackOff(t *testing.T) {
	p := newAttempts(rand.New(rand.NewPCG(1, 1)))
	p.set(t0, contacts(1), 1, time.Time{})
	times := play(p, t0, 3*24*time.Hour, 10*time.Second, never)[contacts(1)[0]]
	if times[0] < time.Second || times[0] > 2*time.Second {
		t.Errorf("first attempt after %v", times[0])
	}
	for i := 1; i < len(times); i++ {
		gap := times[i] - times[i-1] - 10*time.Second
		want := min(attemptPause<<min(i, 10), attemptPauseMax)
		if gap < want || gap >= want+want/2 {
			t.Fatalf("attempt %d began %v after the end of the one before, want %v and up to half as much more", i, gap, want)
		}
	}
	if n := len(times); n < 3*24*3600/55-10 || n > 3*24*3600/40+10 {
		t.Errorf("%d attempts in three days", n)
	}
}

func TestP164_ManyAreTriedInTurn(t *testing.T) {
	p := newAttempts(rand.New(rand.NewPCG(2, 2)))
	all := contacts(200)
	p.set(t0, all, 1, time.Time{})
	p.urge(t0, func(contact) bool { return true })
	begun := play(p, t0, 10*time.Minute, time.Second, never)
	count := 0
	for _, c := range all {
		if len(begun[c]) < 5 {
			t.Errorf("%s was tried %d times in ten minutes", c.name, len(begun[c]))
		}
		count += len(begun[c])
	}
	if limit := attemptsAtOnce + int(10*time.Minute/attemptGap) + 1; count > limit {
		t.Errorf("%d attempts in ten minutes, at most %d are allowed", count, limit)
	}
	first := 0
	for _, times := range begun { // order-free: counted
		if times[0] == 0 {
			first++
		}
	}
	if first != attemptsAtOnce {
		t.Errorf("%d attempts at once at the start, want %d", first, attemptsAtOnce)
	}
}

func TestP164_NoMoreThanSoManyAtOnce(t *testing.T) {
	p := newAttempts(rand.New(rand.NewPCG(3, 3)))
	p.set(t0, contacts(50), 1, time.Time{})
	p.urge(t0, func(contact) bool { return true })
	now := t0.Add(time.Hour)
	if n := len(p.take(now)); n != attemptsAtOnce {
		t.Errorf("%d at once", n)
	}
	if got := p.take(now.Add(time.Hour)); len(got) != 0 || !p.next().IsZero() {
		t.Errorf("more while %d are under way: %v", attemptsAtOnce, got)
	}
}

// TestP164_CrowdIsPolite: in a large cluster one lost member is not met by everybody.
func TestP164_CrowdIsPolite(t *testing.T) {
	for _, c := range []struct {
		alive    int
		min, max time.Duration // of the mean gap
	}{{1, 30 * time.Second, 46 * time.Second}, {15, 30 * time.Second, 46 * time.Second}, {80, 5 * time.Minute, 8 * time.Minute}, {10000, 10 * time.Minute, 16 * time.Minute}} {
		p := newAttempts(rand.New(rand.NewPCG(4, 4)))
		p.set(t0, contacts(1), c.alive, time.Time{})
		times := play(p, t0, 10*24*time.Hour, 0, never)[contacts(1)[0]]
		mean := times[len(times)-1] / time.Duration(len(times))
		if mean < c.min || mean > c.max {
			t.Errorf("with %d alive, attempts come every %v", c.alive, mean)
		}
	}
}

func TestP164_AnsweredIsLeftAlone(t *testing.T) {
	p := newAttempts(rand.New(rand.NewPCG(5, 5)))
	p.set(t0, contacts(1), 3, time.Time{})
	times := play(p, t0, 24*time.Hour, 0, func(contact) bool { return true })[contacts(1)[0]]
	if n := len(times); n < 24*60/8 || n > 24*60/5+1 {
		t.Errorf("%d attempts in a day at somebody who answers under another name", n)
	}
}

func TestP165_FoundAndLostAgain(t *testing.T) {
	p := newAttempts(rand.New(rand.NewPCG(6, 6)))
	c := contacts(1)
	p.set(t0, c, 3, time.Time{})
	play(p, t0, time.Hour, 0, never) // deep in its pauses
	p.set(t0.Add(time.Hour), nil, 4, time.Time{})
	if !p.next().IsZero() || len(p.take(t0.Add(2*time.Hour))) != 0 {
		t.Error("somebody who was found is tried")
	}
	at := t0.Add(3 * time.Hour)
	p.set(at, c, 3, time.Time{})
	if d := p.next().Sub(at); d < time.Second || d > 2*time.Second {
		t.Errorf("lost again, tried after %v", d)
	}
	p.set(at, append(c, contact{seed: "s"}), 3, at.Add(seedGrace))
	if got := p.take(at.Add(3 * time.Second)); len(got) != 1 || got[0] != c[0] {
		t.Errorf("tried before its time: %v", got)
	}
	// It is found and lost while the attempt is under way: its end is not the new one's.
	p.set(at, nil, 3, time.Time{})
	p.set(at, c, 3, time.Time{})
	p.done(at, c[0], true)
	if d := p.next().Sub(at); d > 2*time.Second || p.running != 0 {
		t.Errorf("next attempt after %v, %d are under way", d, p.running)
	}
}

// member makes a member for a roster.
func member(name string, n byte, s serf.Status, since time.Time) serf.Member {
	return serf.Member{Name: name, Addr: addr4(n), Status: s, Since: since}
}

func describe(peers []snapshot.Peer) string {
	var out []string
	for _, p := range peers {
		mark := ""
		if p.Lost {
			mark = "?"
		}
		out = append(out, p.Name+mark)
	}
	return strings.Join(out, " ")
}

func TestP165_Roster(t *testing.T) {
	const day = 24 * time.Hour
	alive, failed, left := serf.StatusAlive, serf.StatusFailed, serf.StatusLeft
	r := newRoster("self", 0)
	r.recall(t0, []snapshot.Peer{{Name: "old", Addr: addr4(9)}, {Name: "older", Addr: addr4(8), Lost: true}, {Name: "self", Addr: addr4(1)}})
	for _, step := range []struct {
		name    string
		at      time.Duration
		members []serf.Member
		peers   string
		lost    string
	}{
		{"alone", 0, []serf.Member{member("self", 1, alive, t0)}, "old older?", "old older"},
		{"others come", time.Hour, []serf.Member{member("a", 2, alive, t0), member("b", 3, alive, t0), member("c", 4, serf.StatusLeaving, t0), member("old", 9, alive, t0)},
			"a b c old older?", "older"},
		{"one fails, one leaves", 2 * time.Hour, []serf.Member{member("a", 2, failed, t0.Add(2*time.Hour)), member("b", 3, alive, t0), member("c", 4, left, t0), member("old", 9, alive, t0)},
			"a? b old older?", "a older"},
		{"the failed one is reaped, a live one is pruned", 2*time.Hour + day, []serf.Member{member("b", 3, alive, t0)},
			"a? b older?", "a older"},
		{"somebody else has its address", 3*time.Hour + day, []serf.Member{member("b", 3, alive, t0), member("new", 2, alive, t0)},
			"a? b new older?", "older"},
		{"and goes", 4*time.Hour + day, []serf.Member{member("b", 3, alive, t0), member("new", 2, left, t0)},
			"a? b older?", "a older"},
		{"it leaves after all", 5*time.Hour + day, []serf.Member{member("a", 2, left, t0), member("b", 3, alive, t0)},
			"b older?", "older"},
		{"one fails", 6*time.Hour + day, []serf.Member{member("b", 3, failed, t0.Add(6*time.Hour+day))}, "b? older?", "b older"},
		{"and is pruned", 7*time.Hour + day, nil, "older?", "older"},
	} {
		now := t0.Add(step.at)
		r.update(now, step.members)
		if got := describe(r.peers()); got != step.peers {
			t.Errorf("%s: remembers %q, want %q", step.name, got, step.peers)
		}
		present := map[netip.AddrPort]bool{}
		for _, m := range step.members {
			present[m.Addr] = m.Status == alive
		}
		var names []string
		for _, c := range r.lost(present) {
			names = append(names, c.name)
		}
		if got := strings.Join(names, " "); got != step.lost {
			t.Errorf("%s: %q are lost, want %q", step.name, got, step.lost)
		}
	}
}

func TestP165_RosterIsBounded(t *testing.T) {
	now := t0
	var members []serf.Member
	for i := range 500 {
		members = append(members, member(fmt.Sprintf("n%03d", i), byte(i), serf.StatusFailed, t0))
	}
	kept := map[string]bool{}
	for range 3 {
		r := newRoster("self", time.Hour)
		r.update(now, members)
		if n := len(r.peers()); n != 500 {
			t.Fatalf("%d of 500 failed members are remembered", n)
		}
		r.update(now.Add(time.Hour), nil)
		peers := r.peers()
		if len(peers) != fadedMax {
			t.Fatalf("%d are remembered after they were reaped, want %d", len(peers), fadedMax)
		}
		for _, p := range peers {
			kept[p.Name] = true
		}
	}
	if len(kept) < fadedMax*3/2 {
		t.Errorf("three nodes remember only %d different ones", len(kept))
	}

	// Those of a former life are not cut short before they could be found.
	r := newRoster("self", time.Hour)
	var peers []snapshot.Peer
	for i := range 500 {
		peers = append(peers, snapshot.Peer{Name: fmt.Sprintf("n%03d", i), Addr: addr4(byte(i))})
	}
	r.recall(now, peers)
	r.update(now.Add(59*time.Minute), nil)
	if n := len(r.peers()); n != 500 {
		t.Errorf("%d of 500 are remembered at first", n)
	}
	r.update(now.Add(time.Hour), nil)
	if n := len(r.peers()); n != fadedMax {
		t.Errorf("%d are remembered after an hour, want %d", n, fadedMax)
	}
}

// BenchmarkRoster is what a change in a cluster of ten thousand costs the rejoiner.
func BenchmarkRoster(b *testing.B) {
	var members []serf.Member
	for i := range 10000 {
		members = append(members, member(fmt.Sprintf("node-%05d", i), byte(i), serf.StatusAlive, t0))
	}
	r := newRoster("self", 0)
	for b.Loop() {
		r.update(t0, members)
		r.peers()
	}
}
