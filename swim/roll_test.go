package swim

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// P296: a third of those asked, each once, is company, for a second.
func TestP296_Company(t *testing.T) {
	for _, c := range []struct {
		asked, answers int
		want           bool
	}{
		{rollSize, 5, false}, {rollSize, 6, true}, {rollSize, 16, true}, {harkFew + 1, 0, false}, {harkFew + 1, 1, true},
		{harkFew, 2, false}, // who only asks whether anybody is heard learns no more
	} {
		var r roll
		r.call(0, 7, c.asked)
		for i := range c.answers {
			for range 2 {
				r.answer(addrOf(i+1), time.Minute)
			}
		}
		if got := r.company(time.Minute); got != c.want {
			t.Errorf("%d of %d: %v", c.answers, c.asked, got)
		}
		if c.want && (!r.company(time.Minute+companyFor) || r.company(time.Minute+companyFor+1)) {
			t.Error("it does not last for a second")
		}
	}
	var r roll
	if r.awaits(0) {
		t.Error("an answer to nothing is awaited")
	}
}

// halfSilent is self with n natives, of which the first two that it watches do not
// answer; the others do if company.
func halfSilent(t *testing.T, n int, company bool) (r *rig, silent []*member) {
	r = watched(t, n)
	for _, w := range r.watches.list[:2] {
		silent = append(silent, w.e)
	}
	r.acks = func(to netip.AddrPort) bool {
		return to != silent[0].at() && to != silent[1].at() && (company || to == r.watches.list[2].e.at())
	}
	for r.members.suspects[silent[0]] == nil || r.members.suspects[silent[1]] == nil {
		r.run(time.Millisecond)
		r.in((&wire.Nack{}).AppendTo(nil)) // somebody is heard
	}
	r.run(10 * time.Millisecond)
	return r, silent
}

// P198, P296: of three that self watches two are silent. If others answer, that is their fault, else
// more likely self's.
func TestP296_WhoHasCompanyIsNotCutOff(t *testing.T) {
	for _, company := range []bool{true, false} {
		r, silent := halfSilent(t, 12, company)
		want := r.timing.silent.most
		if !company {
			want *= 4
		}
		for i, e := range silent {
			if s := r.members.suspects[e]; s.most != want || !s.mine {
				t.Errorf("company %v: the %d. lasts %v, want %v", company, i, s.most, want)
			}
		}
	}
}

// P297: once two are said to be silent within a second, all that are watched are pinged at once.
func TestP297_TwoSilences(t *testing.T) {
	for _, c := range []struct {
		verdict wire.Verdict
		apart   time.Duration
		want    bool
	}{
		{wire.VerdictSilent, manyWithin / 2, true},
		{wire.VerdictSilent, manyWithin/2 + time.Millisecond, false},
		{wire.VerdictHung, 0, false},
	} {
		r := watched(t, 12)
		var others []*member
		for i := range r.members.len() {
			if e := r.members.at(i); e != r.local && r.watches.of(e) == nil {
				others = append(others, e)
			}
		}
		say := func(e *member) {
			r.in((&wire.Suspect{Incarnation: 1, Node: e.name, From: others[2].name, Verdict: c.verdict}).AppendTo(nil))
		}
		say(others[0])
		r.run(c.apart)
		for _, w := range r.watches.list { // at rest
			r.nextPing(w, time.Hour)
			w.sent = 0
		}
		r.forgetSent()
		say(others[1])
		pinged := 0
		for _, w := range r.watches.list {
			for _, s := range r.of(wire.TypePing) {
				if s.to == w.e.at() {
					pinged++
				}
			}
		}
		if (pinged == watchersEach) != c.want || !c.want && pinged > 0 {
			t.Errorf("%v, %v apart: %d were pinged", c.verdict, c.apart, pinged)
		}
	}
}

// P298: who is watched because others may be gone is pinged at once, and as if it were near.
func TestP298_WhoComesAfterTheSilent(t *testing.T) {
	for _, c := range []struct {
		usual, want time.Duration
	}{
		{time.Millisecond, 0}, {100 * time.Millisecond, 400 * time.Millisecond}, {time.Second, 500 * time.Millisecond}, {0, 500 * time.Millisecond},
	} {
		r := watched(t, 12)
		if c.want == 0 {
			c.want = r.timing.burst
		}
		r.usual = c.usual
		before := make(map[*member]bool)
		for _, w := range r.watches.list {
			before[w.e] = true
		}
		e := r.watches.list[0].e
		r.acks = nil
		r.forgetSent()
		r.in((&wire.Suspect{Incarnation: 1, Node: e.name, From: "z", Verdict: wire.VerdictSilent}).AppendTo(nil))
		r.run(2 * ringSoon)
		for _, w := range r.watches.list {
			if before[w.e] {
				continue
			}
			if w.pings == 0 || w.patience(&r.timing, r.cfg.ProbeTimeout) != c.want {
				t.Errorf("usual %v: pinged %d times, waits %v, want %v", c.usual, w.pings, w.patience(&r.timing, r.cfg.ProbeTimeout), c.want)
			}
			delete(before, e)
		}
		if before[e] {
			t.Error("nobody comes after it")
		}
	}
}
