package swim

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// watched is a rig of "self" and n natives that all answer, with their links up.
func watched(t *testing.T, n int, change ...func(*Config)) *rig {
	r := newNativeRig(t, append([]func(*Config){quiet, func(c *Config) { c.ProbeInterval = 1000 * time.Hour }}, change...)...)
	r.acks = func(netip.AddrPort) bool { return true }
	r.natives(n)
	r.linksUp()
	r.run(3 * time.Second)
	r.forgetSent()
	return r
}

func (r *rig) linksUp() {
	for _, o := range r.links {
		if !o.Close {
			r.HandleLink(r.now, o.ID, LinkUp, (&wire.Ack{Native: 1}).AppendTo(nil), nil)
		}
	}
	r.links = nil
	r.take()
}

func (r *rig) linkOf(i int) LinkID { return r.watches.of(r.members.get(nameOf(i))).link.id }

func (r *rig) breakLink(i int) {
	r.HandleLink(r.now, r.linkOf(i), LinkBroken, nil, nil)
	r.take()
}

// dialTo is the newest stream that is being opened to member i.
func (r *rig) dialTo(i int) (d Dial) {
	for _, x := range r.dials {
		if x.To == addrOf(i) {
			d = x
		}
	}
	return d
}

var errRefusedHere = fmt.Errorf("%w: %w", ErrConnect, ErrRefused)

// refuse refuses the stream that is being opened to member i.
func (r *rig) refuse(i int) {
	r.t.Helper()
	d := r.dialTo(i)
	if d.ID == 0 {
		r.t.Fatalf("no stream is being opened to member %d", i)
	}
	r.HandleDialed(r.now, d.ID, nil, errRefusedHere)
	r.take()
}

// saysRefused is another native's word.
func (r *rig) saysRefused(who, of int) {
	r.in((&wire.Suspect{Incarnation: 1, Node: nameOf(of), From: nameOf(who), Verdict: wire.VerdictCrashed}).AppendTo(nil))
}

func (r *rig) phaseOf(i int) watchPhase { return r.watches.of(r.members.get(nameOf(i))).phase }

// P195: what is proof and what is not.
func TestP195_Proof(t *testing.T) {
	const x = 1 // whom it is about
	for _, c := range []struct {
		what string
		n    int
		do   func(r *rig)
		dead bool
	}{
		{"a broken link alone", 2, func(r *rig) { r.breakLink(x) }, false},
		{"own refusal alone", 2, func(r *rig) { r.breakLink(x); r.refuse(x) }, false},
		{"another's word alone", 2, func(r *rig) { r.saysRefused(2, x) }, false},
		{"its own word", 2, func(r *rig) { r.saysRefused(x, x) }, false},
		{"a stranger's word", 2, func(r *rig) { r.breakLink(x); r.refuse(x); r.saysRefused(9, x) }, false},
		{"own refusal, then another's word", 2, func(r *rig) { r.breakLink(x); r.refuse(x); r.saysRefused(2, x) }, true},
		{"another's word, then own refusal", 2, func(r *rig) { r.saysRefused(2, x); r.refuse(x) }, true},
		{"own refusal, and nobody else is there", 1, func(r *rig) { r.breakLink(x); r.refuse(x) }, false},
		{"a word that is too old", 2, func(r *rig) {
			silent := r.acks
			r.acks = func(netip.AddrPort) bool { return true }
			r.saysRefused(2, x)
			r.run(freshFor + time.Millisecond)
			r.acks = silent
			r.breakLink(x)
			r.refuse(x)
		}, false},
		{"a word about a former life", 2, func(r *rig) {
			r.in(nativeAlive(nameOf(x), x, 2, 1))
			r.saysRefused(2, x)
			r.breakLink(x)
			r.refuse(x)
		}, false},
		{"the same word twice", 2, func(r *rig) { r.saysRefused(2, x); r.saysRefused(2, x) }, false},
		{"a refused link", 2, func(r *rig) {
			r.HandleLink(r.now, r.linkOf(x), LinkFailed, nil, errRefusedHere)
			r.take()
			r.refuse(x)
			r.saysRefused(2, x)
		}, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := watched(t, c.n)
			r.acks = func(to netip.AddrPort) bool { return to != addrOf(x) }
			c.do(r)
			if dead := r.state(x) == wire.StateDead; dead != c.dead {
				t.Errorf("it is dead: %v, want %v", dead, c.dead)
			}
			if c.dead {
				if m := r.Member(nameOf(x)); m.Verdict != wire.VerdictCrashed {
					t.Errorf("the verdict is %v", m.Verdict)
				}
			}
		})
	}
}

// P195: the other watchers are told of a refusal at once, and nobody else is.
func TestP195_WatchersAreTold(t *testing.T) {
	r := watched(t, 8)
	var x int
	for i := 1; i <= 8; i++ {
		if r.watches.of(r.members.get(nameOf(i))) != nil {
			x = i
		}
	}
	r.acks = nil
	r.breakLink(x)
	r.refuse(x)
	told := map[netip.AddrPort]bool{}
	for _, s := range r.of(wire.TypeSuspect) {
		var m wire.Suspect
		if err := m.Decode(s.msg[1:], nil); err != nil || m.Verdict != wire.VerdictCrashed || m.Node != nameOf(x) || m.From != "self" {
			t.Errorf("told %+v, %v", m, err)
		}
		told[s.to] = true
	}
	if len(told) != watchersEach-1 || told[addrOf(x)] {
		t.Errorf("told %v", told)
	}
	if r.queue.Len() != 0 {
		t.Error("it is passed on to all")
	}
}

// P195: RST forged towards one member: its connects and links are refused, its
// packets are answered. Nobody is accused for long, and nobody dies.
func TestForgedRefusals(t *testing.T) {
	r := watched(t, 2)
	for range 200 {
		if id := r.linkOf(1); id != 0 {
			r.HandleLink(r.now, id, LinkFailed, nil, errRefusedHere)
			r.take()
		}
		if d := r.dialTo(1); d.ID != 0 {
			r.HandleDialed(r.now, d.ID, nil, errRefusedHere)
			r.take()
		}
		r.run(50 * time.Millisecond)
		r.wantState(1, wire.StateAlive)
		r.dials = nil
	}
	if n := r.Counts().Inquiries; n > 30 {
		t.Errorf("%d inquiries in 10 s", n)
	}
}

// P194: at most one inquiry about a member runs; evidence that comes to nothing
// is followed ever more rarely, however much there is of it.
func TestP194_Storm(t *testing.T) {
	r := watched(t, 2)
	before := r.Counts().Inquiries
	for range 100_000 {
		r.HandleSendFailed(r.now, addrOf(1))
		r.run(100 * time.Microsecond)
	}
	if n := r.Counts().Inquiries - before; n > 12 {
		t.Errorf("%d inquiries in 10 s", n)
	}
	if n := len(r.of(wire.TypePing)); n > 100 {
		t.Errorf("%d pings in 10 s", n)
	}
	r.wantState(1, wire.StateAlive)
	r.wantLog()
}

// P194, P198: what no answer on any way comes to, and how long it takes.
func TestP198_Verdicts(t *testing.T) {
	for _, c := range []struct {
		verdict wire.Verdict
		err     error
		dead    time.Duration // at the latest
	}{
		{wire.VerdictSilent, ErrConnect, silentWithin},
		{wire.VerdictHung, ErrUnanswered, hungWithin},
		{wire.VerdictCrashed, errRefusedHere, silentWithin},
	} {
		t.Run(c.verdict.String(), func(t *testing.T) {
			r := watched(t, 3)
			// Of all that watch it, self is the next to ping it.
			for w := r.watches.of(r.members.get(nameOf(1))); w.due > r.clock.awake()+r.timing.every; {
				r.run(w.due - r.clock.awake() - r.timing.every)
			}
			r.acks = func(to netip.AddrPort) bool { return to != addrOf(1) }
			began := r.now
			for r.state(1) == wire.StateAlive && r.now.Sub(began) < time.Minute {
				r.now = r.Deadline()
				r.HandleTimeout(r.now)
				r.take()
				if d := r.dialTo(1); d.ID != 0 && (c.verdict == wire.VerdictCrashed || r.now.Sub(began) > 0 && r.phaseOf(1) == watchInquiry &&
					r.clock.awake() >= r.watches.of(r.members.get(nameOf(1))).inquiry.ends) {
					r.HandleDialed(r.now, d.ID, nil, c.err)
					r.take()
				}
			}
			m := r.Member(nameOf(1))
			if !m.Degraded || m.Verdict != c.verdict {
				t.Fatalf("it is %+v", m)
			}
			if d := r.now.Sub(began); d > 1200*time.Millisecond {
				t.Errorf("accused after %v only", d)
			}
			for r.state(1) == wire.StateSuspect {
				r.now = r.Deadline()
				r.HandleTimeout(r.now)
				r.take()
			}
			if d := r.now.Sub(began); d > c.dead {
				t.Errorf("dead after %v, want %v", d, c.dead)
			}
			if m := r.Member(nameOf(1)); m.State != wire.StateDead || m.Verdict != c.verdict || m.Degraded {
				t.Errorf("it is %+v", m)
			}
		})
	}
}

// P198: an answer takes the accusation back as far as self is concerned, and a
// refutation ends it.
func TestP198_SignOfLife(t *testing.T) {
	r := watched(t, 3)
	r.acks = func(to netip.AddrPort) bool { return to != addrOf(1) }
	for r.state(1) == wire.StateAlive {
		r.run(10 * time.Millisecond)
		for _, d := range r.dials {
			r.HandleDialed(r.now, d.ID, nil, ErrUnanswered)
		}
		r.dials = nil
	}
	ends := r.suspicionOf(1).ends()
	r.acks = func(netip.AddrPort) bool { return true }
	r.run(accusedAgain)
	if s := r.suspicionOf(1); s == nil || s.mine || s.ends() < ends+time.Second {
		t.Fatalf("the suspicion is %+v", s)
	}
	r.in(nativeAlive(nameOf(1), 1, 2, 1))
	r.wantState(1, wire.StateAlive)
	if m := r.Member(nameOf(1)); m.Degraded || m.Verdict != wire.VerdictNone {
		t.Errorf("it is %+v", m)
	}
	if r.phaseOf(1) != watchIdle {
		t.Errorf("the watch is in phase %d", r.phaseOf(1))
	}
}

// P203: who has only heard of a suspicion asks the suspect before it believes in its end.
func TestP203_AsksTheSuspect(t *testing.T) {
	for _, lives := range []bool{false, true} {
		r := watched(t, 8)
		x := 1
		for r.watches.of(r.members.get(nameOf(x))) != nil {
			x++
		}
		r.in((&wire.Suspect{Incarnation: 1, Node: nameOf(x), From: nameOf(x%8 + 1), Verdict: wire.VerdictSilent}).AppendTo(nil))
		r.run(2*r.timing.silent.most + heardExtra - time.Millisecond)
		if d := r.dialTo(x); d.ID != 0 {
			t.Error("it is asked before the suspicion ends")
		}
		r.run(2 * time.Millisecond)
		if d := r.dialTo(x); d.ID == 0 || wire.Type(d.Data[0]) != wire.TypePushPull {
			t.Fatalf("asked by %+v", d)
		}
		r.wantState(x, wire.StateSuspect)
		if lives {
			r.in(nativeAlive(nameOf(x), x, 2, 1))
			r.run(time.Second)
			r.wantState(x, wire.StateAlive)
			continue
		}
		r.run(r.cfg.ProbeTimeout)
		r.wantState(x, wire.StateDead)
	}
}

// P201, P203: when suspicions have their whole time again, the suspect is asked again too.
func TestP203_AsksAgain(t *testing.T) {
	r := watched(t, 8)
	x := 1
	for r.watches.of(r.members.get(nameOf(x))) != nil {
		x++
	}
	r.in((&wire.Suspect{Incarnation: 1, Node: nameOf(x), From: nameOf(x%8 + 1), Verdict: wire.VerdictSilent}).AppendTo(nil))
	whole := 2*r.timing.silent.most + heardExtra + time.Millisecond
	r.run(whole)
	first := r.dialTo(x).ID
	r.doubtAnew()
	r.run(whole)
	if first == 0 || r.dialTo(x).ID == first {
		t.Errorf("asked by stream %d, then by %d", first, r.dialTo(x).ID)
	}
	r.wantState(x, wire.StateSuspect)
}

// P196: a process that did not run accuses nobody of what happened meanwhile.
func TestP196_Asleep(t *testing.T) {
	r := watched(t, 3)
	r.acks = nil
	for range 200 { // 5 to 60 ms awake, 1 to 5 s asleep
		r.run(60 * time.Millisecond)
		r.now = r.now.Add(2 * time.Second)
		r.HandleTimeout(r.now)
		r.take()
	}
	for i := 1; i <= 3; i++ {
		r.wantState(i, wire.StateAlive)
	}
	r.wantLog() // nobody was doubted either
}

// P199: links are opened to natives that are watched, again after they broke, and
// not to plain ones; those of others are held.
func TestP199_Links(t *testing.T) {
	r := newNativeRig(t, quiet)
	r.in(nativeAlive(nameOf(1), 1, 1, 1), nativeAlive(nameOf(2), 2, 1, 0))
	r.run(2 * ringSoon)
	if len(r.links) != 1 || r.links[0].To != addrOf(1) || r.links[0].Close {
		t.Fatalf("links %+v", r.links)
	}
	if p := decodePing(t, r.links[0].Data); !p.Link || p.Node != nameOf(1) || p.Native == 0 || p.SourceNode != "self" {
		t.Errorf("a link begins with %+v", p)
	}
	r.acks = func(to netip.AddrPort) bool { return to == addrOf(1) }
	var at []time.Duration
	for range 12 {
		r.HandleLink(r.now, r.linkOf(1), LinkFailed, nil, ErrConnect)
		r.links = nil
		began := r.now
		for len(r.links) == 0 {
			r.now = r.Deadline()
			r.HandleTimeout(r.now)
			r.take()
		}
		at = append(at, r.now.Sub(began).Round(time.Millisecond))
	}
	if at[0] != linkRetry || at[1] != 2*linkRetry || at[11] != linkRetryMax {
		t.Errorf("opened again after %v", at)
	}
	r.in(nativeAlive(nameOf(1), 1, 2, 1))
	id := r.linkOf(1)
	r.links = nil
	p := wire.Ping{Seq: 1, Node: "self", Source: addrOf(1), SourceNode: nameOf(1)} // it is plain now
	r.in(p.AppendTo(nil))
	r.run(2 * ringSoon)
	if len(r.links) != 1 || !r.links[0].Close || r.links[0].ID != id {
		t.Errorf("links %+v", r.links)
	}

	p.Link, p.Native = true, 1
	if reply := r.HandleStream(r.now, other, p.AppendTo(nil)); reply == nil || !r.HoldStream() {
		t.Error("a link is not held")
	}
	p.Link = false
	if reply := r.HandleStream(r.now, other, p.AppendTo(nil)); reply == nil || r.HoldStream() {
		t.Error("a ping over a stream is held")
	}
	plain := newRig(t, quiet)
	p.Link = true
	if plain.HandleStream(plain.now, other, p.AppendTo(nil)) == nil || plain.HoldStream() {
		t.Error("a plain node holds a link")
	}
}
