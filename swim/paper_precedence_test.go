package swim

import (
	"slices"
	"testing"

	"github.com/ibuki-dev/ibuki/wire"
)

// One test per statement of docs/protocol.md that is about this package; here: the precedence of claims.

func TestP30_WhatAnAliveTells(t *testing.T) {
	r := newRig(t, quiet)
	in := func(i int, inc uint32, meta string) {
		a := aliveOf(i, inc)
		a.Meta = []byte(meta)
		r.in(a.AppendTo(nil))
	}
	in(1, 1, "a")
	r.wantLog("joined node1")
	in(1, 2, "a")
	r.wantLog()
	in(1, 3, "b")
	r.wantLog("updated node1")
	r.dead(1, 3, "x")
	r.wantLog("dead node1")
	in(1, 4, "c")
	r.wantLog("joined node1")
	r.dead(1, 4, nameOf(1))
	r.wantLog("left node1")
	in(1, 5, "c")
	r.wantLog("joined node1")
	if m := r.Member(nameOf(1)); string(m.Meta) != "c" || m.Incarnation != 5 || m.State != wire.StateAlive {
		t.Errorf("%+v", m)
	}
}

// tryClaims makes member 1 known in each state at incarnation 5, applies a claim

// and returns the incarnations at which it had an effect, by state.

func tryClaims(t *testing.T, claim func(r *rig, inc uint32)) map[wire.NodeState][]uint32 {
	got := map[wire.NodeState][]uint32{}
	for _, s := range []wire.NodeState{wire.StateAlive, wire.StateSuspect, wire.StateDead, wire.StateLeft} {
		for _, inc := range []uint32{4, 5, 6} {
			r := newRig(t, quiet)
			r.peers(9)
			r.members.get(nameOf(1)).incarnation = 5
			switch s {
			case wire.StateSuspect:
				r.suspect(1, 5, "first")
			case wire.StateDead:
				r.dead(1, 5, "first")
			case wire.StateLeft:
				r.dead(1, 5, nameOf(1))
			}
			r.drain()
			before := *r.Member(nameOf(1))
			claim(r, inc)
			after := *r.Member(nameOf(1))
			changed := before.State != after.State || before.Incarnation != after.Incarnation
			if changed || r.queue.Len() > 0 {
				got[s] = append(got[s], inc)
			}
		}
	}
	return got
}

func wantClaims(t *testing.T, got map[wire.NodeState][]uint32, alive, suspect, dead, left []uint32) {
	t.Helper()
	for s, want := range map[wire.NodeState][]uint32{wire.StateAlive: alive, wire.StateSuspect: suspect, wire.StateDead: dead, wire.StateLeft: left} {
		if !slices.Equal(got[s], want) {
			t.Errorf("known as %d at 5: applied at %v, want %v", s, got[s], want)
		}
	}
}

func TestP31_AliveNeedsANewerIncarnation(t *testing.T) {
	got := tryClaims(t, func(r *rig, inc uint32) { r.in(aliveOf(1, inc).AppendTo(nil)) })
	newer := []uint32{6}
	wantClaims(t, got, newer, newer, newer, newer)
}

func TestP32_SuspectNeedsTheIncarnation(t *testing.T) {
	got := tryClaims(t, func(r *rig, inc uint32) { r.suspect(1, inc, "second") })
	same := []uint32{5, 6}
	wantClaims(t, got, same, same, nil, nil)
}

func TestP33_DeadNeedsTheIncarnation(t *testing.T) {
	for _, from := range []string{"second", nameOf(1)} {
		got := tryClaims(t, func(r *rig, inc uint32) { r.dead(1, inc, from) })
		same := []uint32{5, 6}
		wantClaims(t, got, same, same, nil, nil)
	}
}

func TestP34_DeadByItselfHasLeft(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(2)
	r.dead(1, 1, nameOf(1))
	r.dead(2, 1, nameOf(1))
	r.wantState(1, wire.StateLeft)
	r.wantState(2, wire.StateDead)
	r.wantLog("left node1", "dead node2")
}

func TestP35_UnknownNamesAreIgnored(t *testing.T) {
	r := newRig(t, quiet)
	r.drain()
	r.suspect(1, 1, "x")
	r.dead(1, 1, "x")
	r.dead(1, 1, nameOf(1))
	if r.NumMembers() != 1 || r.queue.Len() != 0 {
		t.Errorf("%d members, %d queued", r.NumMembers(), r.queue.Len())
	}
	r.wantLog()
}

func TestP36_SelfRefutesDeath(t *testing.T) {
	for _, from := range []string{"x", "self"} {
		r := newRig(t, quiet)
		r.peers(1)
		r.in((&wire.Dead{Incarnation: 9, Node: "self", From: from}).AppendTo(nil))
		if m := r.Local(); m.State != wire.StateAlive || m.Incarnation != 10 {
			t.Errorf("from %s: %+v", from, m)
		}
		r.Leave(r.now)
		r.in((&wire.Dead{Incarnation: 99, Node: "self", From: from}).AppendTo(nil))
		if m := r.Local(); m.State != wire.StateLeft || m.Incarnation != 10 {
			t.Errorf("leaving, from %s: %+v", from, m)
		}
	}
}

func TestP37_AliveAboutSelf(t *testing.T) {
	own := func(inc uint32, meta string) *wire.Alive {
		return &wire.Alive{Incarnation: inc, Node: "self", Addr: addrOf(0), Meta: []byte(meta), Versions: DefaultVersions}
	}
	old := own(5, "m")
	old.Versions.DCur = 4
	for name, c := range map[string]struct {
		a    *wire.Alive
		want uint32
	}{
		"older":              {own(4, "other"), 5},
		"the same":           {own(5, "m"), 5},
		"other metadata":     {own(5, "other"), 6},
		"other versions":     {old, 6},
		"newer":              {own(8, "m"), 9},
		"newer, others' own": {own(8, "other"), 9},
	} {
		r := newRig(t, quiet, func(cfg *Config) { cfg.Incarnation, cfg.Meta = 4, []byte("m") })
		r.in(c.a.AppendTo(nil))
		if m := r.Local(); m.Incarnation != c.want || string(m.Meta) != "m" || m.Versions != DefaultVersions {
			t.Errorf("%s: %+v, want incarnation %d", name, m, c.want)
		}
		r.Leave(r.now)
		r.in(own(100, "back").AppendTo(nil))
		if m := r.Local(); m.State != wire.StateLeft || m.Incarnation != c.want {
			t.Errorf("%s: leaving, but %+v", name, m)
		}
	}
}

func TestP38_ImpossibleVersions(t *testing.T) {
	r := newRig(t, quiet)
	for i, v := range []wire.Versions{
		{PMin: 0, PMax: 5, PCur: 2, DMin: 2, DMax: 5, DCur: 4},
		{PMin: 1, PMax: 0, PCur: 2, DMin: 2, DMax: 5, DCur: 4},
		{PMin: 3, PMax: 2, PCur: 2, DMin: 2, DMax: 5, DCur: 4},
	} {
		a := aliveOf(i+1, 1)
		a.Versions = v
		r.in(a.AppendTo(nil))
		r.wantState(i+1, wire.NodeStateUnknown)
	}
	if len(r.traced(TraceVersionsIgnored)) != 1 || r.Drops()[DropVersions] != 3 {
		t.Errorf("%d reported, %d counted", len(r.traced(TraceVersionsIgnored)), r.Drops()[DropVersions])
	}
}

func TestP39_AnotherAddress(t *testing.T) {
	moved := aliveOf(1, 9)
	moved.Addr = addrOf(77)
	for s, claim := range map[wire.NodeState]func(r *rig){
		wire.StateAlive:   func(*rig) {},
		wire.StateSuspect: func(r *rig) { r.suspect(1, 1, "x") },
		wire.StateDead:    func(r *rig) { r.dead(1, 9, "x") },
	} {
		r := newRig(t, quiet)
		r.peers(1)
		claim(r)
		r.drain()
		r.layer.log = nil
		r.in(moved.AppendTo(nil))
		r.wantState(1, s)
		r.wantLog("conflict node1 " + addrOf(77).String())
		if m := r.Member(nameOf(1)); m.Addr != addrOf(1) || r.queue.Len() != 0 {
			t.Errorf("state %d: %+v, %d queued", s, m, r.queue.Len())
		}
		if tr := r.traced(TraceAddressConflict); len(tr) != 1 || tr[0].Addr != addrOf(77) || tr[0].Old != addrOf(1) || tr[0].N != int(s) {
			t.Errorf("traces %+v", tr)
		}
	}
	// One that left is taken over, whatever the incarnation.
	for _, inc := range []uint32{1, 5, 9} {
		r := newRig(t, quiet)
		r.peers(1)
		r.dead(1, 5, nameOf(1))
		r.layer.log = nil
		moved.Incarnation = inc
		r.in(moved.AppendTo(nil))
		r.wantState(1, wire.StateAlive)
		r.wantLog("joined node1")
		if m := r.Member(nameOf(1)); m.Addr != addrOf(77) || m.Incarnation != inc {
			t.Errorf("%+v", m)
		}
	}
	// One that is dead is taken over by who is newer.
	r := newNativeRig(t, quiet)
	r.peers(1)
	r.dead(1, 9, "x")
	r.layer.log = nil
	moved.Incarnation = 10
	r.in(moved.AppendTo(nil))
	r.wantState(1, wire.StateAlive)
	r.wantLog("joined node1")
	// Somebody who claims our name.
	r = newRig(t, quiet)
	r.in((&wire.Alive{Incarnation: 7, Node: "self", Addr: addrOf(77)}).AppendTo(nil))
	r.wantLog("conflict self " + addrOf(77).String())
	if r.Local().Incarnation != 1 {
		t.Error("refuted another node's existence")
	}
}
