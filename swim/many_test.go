package swim

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// keepRefusing runs for d, and refuses each stream to member i.
func (r *rig) keepRefusing(i int, d time.Duration) {
	r.t.Helper()
	for until := r.now.Add(d); r.now.Before(until); r.run(time.Millisecond) {
		if d := r.dialTo(i); d.ID != 0 && slices.ContainsFunc(r.Machine.dials.open, func(o openDial) bool { return o.id == d.ID }) {
			r.HandleDialed(r.now, d.ID, nil, errRefusedHere)
			r.take()
		}
	}
}

// hears gives the rig a packet of member i.
func (r *rig) hears(i int) {
	r.HandlePacket(r.now, addrOf(i), (&wire.Nack{}).AppendTo(nil))
	r.take()
}

// P290: a refusal counts for a second, or as long as the inquiry in which it came.
func TestP290_RefusalsCount(t *testing.T) {
	for _, c := range []struct {
		what  string
		after time.Duration
		began time.Duration // of the inquiry, before the refusal; 0: none runs
		want  bool
	}{
		{"at once", 0, 0, true},
		{"for a second", time.Second, 0, true},
		{"not longer", time.Second + 1, 0, false},
		{"longer while the inquiry runs", time.Minute, 1, true},
		{"not in a later one", time.Minute, -1, false},
	} {
		r := watched(t, 2)
		w := r.watches.of(r.members.get(nameOf(1)))
		at := r.clock.awake()
		w.refused = at
		r.clock.real += c.after
		if c.began != 0 {
			w.phase, w.inquiry.began = watchInquiry, at-c.began
		}
		if got := w.hasRefusal(r.clock.awake()); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

// P291: what own refusals alone are enough for, and that nobody is told that the member is dead.
func TestP291_OwnRefusalsAlone(t *testing.T) {
	const x = 1
	for _, c := range []struct {
		what  string
		n     int
		do    func(r *rig)
		after time.Duration
		dead  bool
	}{
		{"of three", 2, func(*rig) {}, 400 * time.Millisecond, true},
		{"of two, at once", 1, func(*rig) {}, 30 * time.Millisecond, true},
		{"of two, one refusal", 1, func(*rig) {}, refusalGap - time.Millisecond, false},
		{"its own port cannot be reached", 2, func(r *rig) { r.deafPort = true }, 400 * time.Millisecond, false},
		{"of two, its own port cannot be reached", 1, func(r *rig) { r.deafPort = true }, 100 * time.Millisecond, false},
		{"a packet of the member comes", 2, func(r *rig) {
			r.keepRefusing(x, 275*time.Millisecond)
			r.hears(x)
		}, 10 * time.Millisecond, false},
		{"a plain member could not look", 2, func(r *rig) { r.in(nativeAlive("plain", 40, 1, 0)) }, 380 * time.Millisecond, false},
	} {
		r := watched(t, c.n)
		r.acks = func(to netip.AddrPort) bool { return to != addrOf(x) && to != addrOf(40) }
		r.breakLink(x)
		c.do(r)
		r.keepRefusing(x, c.after)
		if dead := r.state(x) == wire.StateDead; dead != c.dead {
			t.Errorf("%s: dead: %v", c.what, dead)
			continue
		}
		if got := len(r.of(wire.TypeDead)); got != 0 {
			t.Errorf("%s: %d are told that it is dead", c.what, got)
		}
		if c.n > 1 && c.dead && len(r.of(wire.TypeSuspect)) == 0 {
			t.Errorf("%s: nobody is told to look", c.what)
		}
	}
}

// P291: where there are plain members its silence counts besides, for half as long, and they are told.
func TestP291_PlainMembersAreTold(t *testing.T) {
	r := watched(t, 2)
	r.acks = func(to netip.AddrPort) bool { return to == addrOf(2) }
	r.in(nativeAlive("plain", 40, 1, 0))
	r.breakLink(1)
	began := r.now
	for r.state(1) != wire.StateDead && r.now.Sub(began) < time.Second {
		r.keepRefusing(1, 5*time.Millisecond)
	}
	if d, want := r.now.Sub(began), r.timing.burst+r.timing.silent.most/2; d < want || d > want+30*time.Millisecond {
		t.Errorf("it took %v, want %v", d, want)
	}
	if r.run(2 * time.Millisecond); len(r.of(wire.TypeDead)) == 0 || r.Member(nameOf(1)).Verdict != wire.VerdictCrashed {
		t.Error("nobody is told that it has crashed")
	}
}

// P291: two refusals are to be that far apart.
func TestP291_RefusalsApart(t *testing.T) {
	r := watched(t, 1)
	w := r.watches.of(r.members.get(nameOf(1)))
	r.inquire(w)
	r.ownPort.open = w.inquiry.began + 1
	w.firstRefused, w.refused = r.clock.awake(), r.clock.awake()+refusalGap-1
	if w.refusedAlone(r.clock.awake(), &r.ownPort) {
		t.Error("they are too near each other")
	}
	if w.refused++; !w.refusedAlone(r.clock.awake(), &r.ownPort) {
		t.Error("they are far enough apart")
	}
	if w.heard = w.firstRefused; w.refusedAlone(r.clock.awake(), &r.ownPort) {
		t.Error("the member was heard since")
	}
}

// P291: what a node holds dead by its own refusals alone it tells as a refusal; another's refusal
// makes a death of it, and another's death too.
func TestP291_WhatIsSaid(t *testing.T) {
	const x = 1
	r := watched(t, 3)
	r.acks = func(to netip.AddrPort) bool { return to != addrOf(x) }
	r.breakLink(x)
	r.keepRefusing(x, 400*time.Millisecond)
	r.wantState(x, wire.StateDead)
	word := func() wire.Type { return wire.Type(r.appendWord(nil, r.members.get(nameOf(x)))[0]) }
	if word() != wire.TypeSuspect {
		t.Error("it says that it is dead")
	}
	r.suspect(x, 1, nameOf(2)) // without a refusal
	if word() != wire.TypeSuspect || len(r.of(wire.TypeDead)) != 0 {
		t.Error("somebody's suspicion makes a death of it")
	}
	r.saysRefused(2, x)
	if word() != wire.TypeDead || len(r.of(wire.TypeDead)) == 0 {
		t.Error("another's refusal does not make a death of it")
	}
	r.lone.add(&r.members, r.members.get(nameOf(x)))
	r.dead(x, 1, nameOf(3))
	if word() != wire.TypeDead {
		t.Error("another's death does not")
	}
}

// P292: who hears of a refusal, and does not watch the member, looks itself when the suspicion
// ends, and declares nobody dead that is not refused to it as well.
func TestP292_WhoHearsOfARefusalLooks(t *testing.T) {
	r := watched(t, 12)
	x := 0
	for i := 1; i <= 12 && x == 0; i++ {
		if r.watches.of(r.members.get(nameOf(i))) == nil {
			x = i
		}
	}
	r.saysRefused(x%12+1, x)
	r.wantState(x, wire.StateSuspect)
	r.acks = func(to netip.AddrPort) bool { return to != addrOf(x) }
	for r.dialTo(x).ID == 0 {
		r.run(time.Millisecond)
	}
	r.wantState(x, wire.StateSuspect)
	r.refuse(x)
	r.wantState(x, wire.StateDead)

	r = watched(t, 12)
	r.saysRefused(x%12+1, x)
	r.run(time.Minute) // it answers
	r.wantState(x, wire.StateSuspect)
	r.in(nativeAlive(nameOf(x), x, 2, 1))
	r.wantState(x, wire.StateAlive)
	r.run(time.Second)
	if n := r.watches.looks(); n != 0 {
		t.Errorf("%d are still looked at", n)
	}
}

// P292: a death in an exchange that says why is no suspicion of self's, but has it look. The
// pings say what the member has to refute.
func TestP292_DeathsInAnExchange(t *testing.T) {
	state := func(verdict wire.Verdict) []byte {
		n := wire.PushNodeState{Name: nameOf(5), Addr: addrOf(5), Incarnation: 3, State: wire.StateDead, Versions: DefaultVersions, Native: 1, Verdict: verdict}
		return wire.AppendPushNodeState(wire.AppendPushPullHeader(nil, wire.PushPullHeader{Nodes: 1}), &n)
	}
	for _, c := range []struct {
		verdict wire.Verdict
		refused bool
		want    wire.NodeState
	}{
		{wire.VerdictNone, false, wire.StateSuspect},
		{wire.VerdictCrashed, false, wire.StateAlive},
		{wire.VerdictSilent, false, wire.StateAlive},
		{wire.VerdictCrashed, true, wire.StateDead},
	} {
		r := watched(t, 12)
		r.forgetSent()
		r.acks = func(to netip.AddrPort) bool { return to != addrOf(5) }
		r.HandleStream(r.now, other, state(c.verdict))
		r.take()
		if c.refused {
			r.refuse(5)
		}
		r.wantState(5, c.want)
		said := slices.ContainsFunc(r.of(wire.TypeSuspect), func(s sent) bool {
			var m wire.Suspect
			return s.to == addrOf(5) && m.Decode(s.msg[1:], nil) == nil && m.Incarnation == 3
		})
		if c.verdict != wire.VerdictNone && !said {
			t.Errorf("%v: the member is not told what it has to refute", c.verdict)
		}
	}
}

// P292: so many are looked at together, and no more.
func TestP292_LooksAreBounded(t *testing.T) {
	r := newNativeRig(t, quiet)
	r.natives(looksMost + 20)
	begun := 0
	for i := range r.members.len() {
		if e := r.members.at(i); e != r.local && r.watches.of(e) == nil && r.lookInto(e, 1, wire.VerdictSilent) {
			begun++
		}
	}
	if begun != looksMost || r.watches.looks() != looksMost {
		t.Errorf("%d are begun, %d run", begun, r.watches.looks())
	}
}

// P293: who suspects a member that self knows to be gone is told so.
func TestP293_SuspicionsOfTheDeadAreAnswered(t *testing.T) {
	for _, c := range []struct {
		what        string
		from        string
		incarnation uint32
		left, want  bool
	}{
		{"of the same life", nameOf(2), 1, false, true},
		{"of one that left", nameOf(2), 1, true, true},
		{"of an older one", nameOf(2), 0, false, true},
		{"of a newer life", nameOf(2), 2, false, false},
		{"by a stranger", "stranger", 1, false, false},
		{"by itself", nameOf(1), 1, false, false},
	} {
		r := watched(t, 3)
		by := nameOf(3)
		if c.left {
			by = nameOf(1)
		}
		r.dead(1, 1, by)
		r.run(time.Second)
		r.forgetSent()
		r.suspect(1, c.incarnation, c.from)
		told := slices.ContainsFunc(r.of(wire.TypeDead), func(s sent) bool { return s.to == addrOf(2) })
		if told != c.want || !c.want && len(r.of(wire.TypeDead)) > 0 {
			t.Errorf("%s: told: %v", c.what, told)
		}
	}
}

// P294: who becomes the next in a ring hears what was said lately of those that are not alive.
func TestP294_WhoComesNextHears(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{wordsKept - time.Millisecond, true}, {wordsKept + time.Millisecond, false}} {
		r := watched(t, 12)
		r.dead(1, 1, "z")
		r.run(c.after)
		before := r.members.targets(r.rng)
		next := slices.Clone(r.members.rings.next[:])
		r.forgetSent()
		for _, e := range next {
			r.in((&wire.Dead{Incarnation: 1, Node: e.name, From: "z"}).AppendTo(nil))
		}
		r.run(10 * time.Millisecond)
		heard := false
		for _, s := range r.of(wire.TypeDead) {
			var m wire.Dead
			if m.Decode(s.msg[1:], nil) == nil && m.Node == nameOf(1) && !slices.ContainsFunc(next, func(e *member) bool { return e.at() == s.to }) {
				heard = true
			}
		}
		if heard != c.want {
			t.Errorf("after %v: %v (%d targets)", c.after, heard, len(before))
		}
	}
}

// P295: a node that saw so many go compares with others soon, and not for fewer or slower.
func TestP295_ManyGoneAreCompared(t *testing.T) {
	for _, c := range []struct {
		gone int
		each time.Duration
		want bool
	}{
		{manyAre - 1, 0, false}, {manyAre, 0, true},
		{manyAre, manyWithin / (manyAre - 1), true}, {manyAre, manyWithin/(manyAre-1) + time.Millisecond, false},
	} {
		r := watched(t, 8)
		r.dials = nil
		for i := range c.gone {
			if i > 0 {
				r.run(c.each)
			}
			r.dead(i+1, 1, "z")
		}
		if got := r.settling == settleFirst; got != c.want {
			t.Errorf("%d gone, %v apart: compares %v", c.gone, c.each, got)
		}
	}
}

// P192: watching goes past those that are suspect or refuse, as far as there are others, and
// what is told to watchers as well.
func TestP192_WatchingGoesPast(t *testing.T) {
	r := watched(t, 12)
	first := slices.Clone(r.watches.list)
	if len(first) != watchersEach {
		t.Fatalf("%d are watched", len(first))
	}
	x := first[0].e
	r.acks = func(to netip.AddrPort) bool { return to != x.at() }
	for i := 1; i <= 12; i++ {
		if nameOf(i) == x.name {
			r.breakLink(i)
			r.refuse(i)
		}
	}
	r.run(ringSoon)
	if len(r.watches.list) != watchersEach+1 || !r.passedBy(x) {
		t.Errorf("%d are watched when one is refused", len(r.watches.list))
	}
	y := first[1].e
	r.in((&wire.Suspect{Incarnation: 1, Node: y.name, From: "z"}).AppendTo(nil))
	r.run(ringSoon)
	if len(r.watches.list) != watchersEach+2 {
		t.Errorf("%d are watched when another is suspect", len(r.watches.list))
	}
	for _, n := range r.watchersOf(first[2].e.name) {
		if nameOf(n) == x.name || nameOf(n) == y.name {
			t.Error("one that is passed by counts as a watcher")
		}
	}
}

// P277: whoever can send names no more than 3,072 members at once, and one a millisecond after
// that; of a host that names itself 4,096. What this node asked for comes whole.
func TestP277_MembersThatNobodyAskedFor(t *testing.T) {
	alive := func(i int, own bool) []byte {
		a := wire.Alive{Incarnation: 1, Node: fmt.Sprint("stranger", i), Addr: addrOf(i), Versions: DefaultVersions}
		if own { // as rig.in has it
			a.Addr = netip.AddrPortFrom(other.Addr(), uint16(i))
		}
		return a.AppendTo(nil)
	}
	r := newNativeRig(t, quiet)
	come := func(from, n int, own bool) int {
		before := r.members.len()
		for i := range n {
			r.in(alive(from+i, own))
		}
		return r.members.len() - before
	}
	for _, c := range []struct {
		n    int
		own  bool
		want int
	}{{3071, false, 3071}, {2, false, 1}, {1023, true, 1023}, {2, true, 1}, {1, false, 0}} {
		if got := come(r.members.len()+10, c.n, c.own); got != c.want {
			t.Errorf("of %d more %d came, want %d", c.n, got, c.want)
		}
	}
	r.run(1034 * time.Millisecond)
	if got := come(20000, 100, false); got < 9 || got > 11 {
		t.Errorf("of 100 after 1,034 ms %d came", got)
	}
	w := newWorld(t)
	a := w.add(native)
	for i := range 6000 {
		a.far.asked = true
		a.alive(&wire.Alive{Incarnation: 1, Node: fmt.Sprint("member", i), Addr: addrOf(100 + i), Versions: DefaultVersions})
	}
	a.far.asked = false
	b := w.add(native)
	b.Join(w.now, a.addr, "")
	w.settle(b)
	w.run(10 * hop)
	if n := b.NumAlive(); n != 6002 {
		t.Errorf("who joined has %d of 6002", n)
	}
}
