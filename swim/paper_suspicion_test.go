package swim

import (
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// One test per statement of docs/protocol.md that is about this package; here: suspicion.

func TestP20_SuspicionIsAppliedAndPassedOn(t *testing.T) {
	for _, inc := range []uint32{1, 9} {
		r := newRig(t, quiet)
		r.peers(1)
		r.suspect(1, inc, "x")
		r.wantState(1, wire.StateSuspect)
		b := r.drain()
		var s wire.Suspect
		if len(b) != 1 || s.Decode(b[0][1:], nil) != nil || s != (wire.Suspect{Incarnation: inc, Node: nameOf(1), From: "x"}) {
			t.Errorf("passed on %x: %+v", b, s)
		}
	}
}

// dieRig makes member 1 of n suspect and returns how long it takes to be dead.

// confirm holds when who confirms.

func dieRig(t *testing.T, n int, confirm map[time.Duration]string) (*rig, time.Duration) {
	r := newRig(t, quiet, func(c *Config) { c.ProbeInterval = time.Second })
	r.peers(n - 1)
	r.acks = everybody
	r.suspect(1, 1, "first")
	began := r.now
	for d := time.Duration(0); d < 5*time.Minute; d += 10 * time.Millisecond {
		if from, ok := confirm[d]; ok {
			r.suspect(1, 1, from)
		}
		r.run(10 * time.Millisecond)
		if r.state(1) == wire.StateDead {
			return r, r.traceTime(TraceFailed, began)
		}
	}
	t.Fatal("never dead")
	return nil, 0
}

// traceTime is when, after began, member 1's state changed.

func (r *rig) traceTime(_ TraceKind, began time.Time) time.Duration {
	return r.Member(nameOf(1)).Changed.Sub(began)
}

func TestP21_SuspicionLastsBetweenMinAndMax(t *testing.T) {
	for _, c := range []struct {
		n         int
		least     time.Duration
		confirmed bool
	}{{5, 4 * time.Second, false}, {5, 4 * time.Second, true}, {100, 8 * time.Second, false}, {100, 8 * time.Second, true}} {
		confirm, want := map[time.Duration]string{}, 6*c.least
		if c.confirmed {
			confirm, want = map[time.Duration]string{0: "a", 10 * time.Millisecond: "b"}, c.least
		}
		if _, got := dieRig(t, c.n, confirm); got != want {
			t.Errorf("%+v: %v, want %v", c, got, want)
		}
	}
}

func TestP22_NobodyToConfirm(t *testing.T) {
	if _, got := dieRig(t, 3, nil); got != 4*time.Second {
		t.Errorf("3 members: %v, want the minimum", got)
	}
	r, _ := dieRig(t, 4, nil)
	if tr := r.traced(TraceFailed); len(tr) != 1 || tr[0].Of != 2 || tr[0].N != 0 {
		t.Errorf("traces %+v", tr)
	}
}

func TestP23_ConfirmationsShorten(t *testing.T) {
	// max 24 s, min 4 s, k 2: one confirmation leaves 24 − 20·log 2/log 3 = 11.381 s.
	if _, got := dieRig(t, 5, map[time.Duration]string{2 * time.Second: "a"}); got != 11381*time.Millisecond {
		t.Errorf("one confirmation: %v", got)
	}
	// After the shortened time is over it ends at once.
	if _, got := dieRig(t, 5, map[time.Duration]string{15 * time.Second: "a"}); got != 15*time.Second {
		t.Errorf("one late confirmation: %v", got)
	}
	if _, got := dieRig(t, 5, map[time.Duration]string{2 * time.Second: "a", 3 * time.Second: "b"}); got != 4*time.Second {
		t.Errorf("two confirmations: %v", got)
	}
}

func TestP24_ConfirmationsCountOnce(t *testing.T) {
	same := map[time.Duration]string{1 * time.Second: "first", 2 * time.Second: "a", 3 * time.Second: "a"}
	r, got := dieRig(t, 5, same)
	if got != 11381*time.Millisecond {
		t.Errorf("lasted %v", got)
	}
	if tr := r.traced(TraceFailed); len(tr) != 1 || tr[0].N != 1 {
		t.Errorf("traces %+v", tr)
	}
}

func TestP25_CountedConfirmationsArePassedOn(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(9)
	r.suspect(1, 1, "first")
	r.drain()
	for _, c := range []struct {
		from string
		want int
	}{{"first", 0}, {"a", 1}, {"a", 0}, {"b", 1}, {"c", 0}} {
		r.suspect(1, 1, c.from)
		b := r.drain()
		if len(b) != c.want {
			t.Errorf("from %s: %d passed on, want %d", c.from, len(b), c.want)
		}
		var s wire.Suspect
		if len(b) == 1 && (s.Decode(b[0][1:], nil) != nil || s.From != c.from) {
			t.Errorf("from %s: passed on %+v", c.from, s)
		}
	}
}

func TestP26_EndOfSuspicionIsDeath(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(2)
	r.acks = everybody
	r.suspect(1, 7, "x")
	r.drain()
	r.layer.log = nil
	r.run(4 * time.Second)
	r.wantState(1, wire.StateDead)
	r.wantLog("dead node1")
	b := r.drain()
	var d wire.Dead
	if len(b) != 1 || d.Decode(b[0][1:], nil) != nil || d != (wire.Dead{Incarnation: 7, Node: nameOf(1), From: "self"}) {
		t.Errorf("passed on %x: %+v", b, d)
	}
}

func TestP27_NewsEndsSuspicion(t *testing.T) {
	for name, msg := range map[string][]byte{
		"alive": aliveOf(1, 2).AppendTo(nil),
		"dead":  (&wire.Dead{Incarnation: 1, Node: nameOf(1), From: "x"}).AppendTo(nil),
		"left":  (&wire.Dead{Incarnation: 1, Node: nameOf(1), From: nameOf(1)}).AppendTo(nil),
	} {
		r := newRig(t, quiet)
		r.peers(2)
		r.acks = everybody
		r.suspect(1, 1, "x")
		r.in(msg)
		want := r.state(1)
		r.run(20 * time.Second)
		if n := len(r.traced(TraceFailed)); n != 0 || r.suspicionOf(1) != nil {
			t.Errorf("%s: the suspicion passed a verdict", name)
		}
		r.wantState(1, want)
	}
}

func TestP28_SelfRefutesSuspicion(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(1)
	for _, accused := range []uint32{1, 50, 51} {
		r.in((&wire.Suspect{Incarnation: accused, Node: "self", From: "x"}).AppendTo(nil))
		if m := r.Local(); m.State != wire.StateAlive || m.Incarnation != accused+1 {
			t.Errorf("accused at %d: %+v", accused, m)
		}
		b := r.drain()
		var a wire.Alive
		if len(b) != 1 || a.Decode(b[0][1:], nil) != nil || a.Node != "self" || a.Incarnation != accused+1 || a.Addr != addrOf(0) {
			t.Errorf("accused at %d: passed on %+v", accused, a)
		}
	}
	r.in((&wire.Suspect{Incarnation: 3, Node: "self", From: "x"}).AppendTo(nil))
	if r.Local().Incarnation != 52 {
		t.Error("an old accusation was refuted")
	}
}

func TestP29_SuspicionIsNotTold(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(2)
	r.suspect(1, 1, "x")
	r.wantLog()
	if r.NumAlive() != 3 {
		t.Errorf("%d alive, want 3", r.NumAlive())
	}
	r.in(aliveOf(1, 2).AppendTo(nil))
	r.wantLog()
}
