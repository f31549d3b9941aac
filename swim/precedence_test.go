package swim

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/wire"
)

// The oracle below is written from docs/protocol.md alone (P20, P28, P30–P39, P275),
// as one flat decision per claim over plain values. The test enumerates every
// combination of what is known and what is claimed, asks the machine and compares
// everything that can be seen: the new state, what the layer was told, what was
// passed on and whether the health changed.

// world of the oracle: one subject, known or not.
type known struct {
	exists      bool
	state       wire.NodeState
	incarnation uint32
	addr        int // which of two addresses
	meta        string
	versions    int // which of two version vectors
}

type claim struct {
	kind        wire.Type // alive, suspect, dead
	incarnation uint32
	byItself    bool // dead: From == Node
	addr        int
	meta        string
	versions    int
}

type effect struct {
	after  known
	told   string // what the layer hears
	passed string // what is broadcast
	health int
}

func oracle(k known, c claim, self, leaving, plain bool) effect {
	same := effect{after: k}
	if !plain && k.exists && !self { // P275
		up := int64(c.incarnation) - int64(k.incarnation)
		if up > 1<<16 || up < -1<<16 && c.kind == wire.TypeAlive && k.addr == c.addr {
			return same
		}
	}
	switch c.kind {
	case wire.TypeAlive:
		return oracleAlive(k, c, self, leaving, plain)
	case wire.TypeSuspect:
		// P32, P35
		if !k.exists || c.incarnation < k.incarnation {
			return same
		}
		if k.state == wire.StateSuspect { // P24: a confirmation, which in the test counts
			e := same
			e.passed = fmt.Sprintf("suspect %d", c.incarnation)
			return e
		}
		if k.state != wire.StateAlive {
			return same
		}
		if self {
			return oracleRefute(k, c)
		}
		k.state, k.incarnation = wire.StateSuspect, c.incarnation
		return effect{after: k, passed: fmt.Sprintf("suspect %d", c.incarnation)} // P20, P29
	default:
		// P33, P35
		if !k.exists || c.incarnation < k.incarnation || k.state == wire.StateDead || k.state == wire.StateLeft {
			return same
		}
		if self && !leaving {
			return oracleRefute(k, c) // P36
		}
		k.incarnation, k.state = c.incarnation, wire.StateDead
		told := "dead"
		if c.byItself { // P34
			k.state, told = wire.StateLeft, "left"
		}
		return effect{after: k, told: told, passed: fmt.Sprintf("dead %d", c.incarnation)}
	}
}

func oracleAlive(k known, c claim, self, leaving, plain bool) effect {
	same := effect{after: k}
	fresh := known{exists: true, state: wire.StateAlive, incarnation: c.incarnation, addr: c.addr, meta: c.meta, versions: c.versions}
	taken := effect{after: fresh, passed: fmt.Sprintf("alive %d", c.incarnation)}
	if self && leaving {
		return same // P37
	}
	if !k.exists {
		if c.incarnation == 0 {
			return same // ours: nobody starts at 0
		}
		taken.told = "joined"
		return taken
	}
	if k.addr != c.addr { // P39
		if k.state != wire.StateLeft && (plain || k.state != wire.StateDead || c.incarnation <= k.incarnation) {
			same.told = "conflict"
			return same
		}
		taken.told = "joined"
		taken.passed = fmt.Sprintf("dead %d, alive %d", k.incarnation, c.incarnation) // P109
		return taken
	}
	if self { // P37
		switch {
		case c.incarnation < k.incarnation:
			return same
		case c.incarnation == k.incarnation && c.meta == k.meta && c.versions == k.versions:
			return same
		}
		return oracleRefute(k, c)
	}
	if c.incarnation <= k.incarnation {
		return same // P31
	}
	switch { // P30
	case k.state == wire.StateDead || k.state == wire.StateLeft:
		taken.told = "joined"
	case c.meta != k.meta:
		taken.told = "updated"
	}
	return taken
}

func oracleRefute(k known, c claim) effect {
	n := uint64(max(k.incarnation, c.incarnation)) + 1 // P28
	k.incarnation = uint32(min(n, math.MaxUint32))
	return effect{after: k, passed: fmt.Sprintf("alive %d", k.incarnation), health: 1} // P17
}

var (
	twoVersions  = [2]wire.Versions{DefaultVersions, {PMin: 1, PMax: 5, PCur: 2, DMin: 2, DMax: 5, DCur: 4}}
	incarnations = []uint32{0, 1, 2, 3, math.MaxUint32 - 1, math.MaxUint32}
)

func everyClaim() (all []claim) {
	for _, inc := range incarnations {
		for addr := range 2 {
			for _, meta := range []string{"", "a", "b"} {
				for v := range 2 {
					all = append(all, claim{kind: wire.TypeAlive, incarnation: inc, addr: addr, meta: meta, versions: v})
				}
			}
		}
		all = append(all, claim{kind: wire.TypeSuspect, incarnation: inc},
			claim{kind: wire.TypeDead, incarnation: inc}, claim{kind: wire.TypeDead, incarnation: inc, byItself: true})
	}
	return all
}

// about makes the machine know the subject as k says, past the rules.
func (r *rig) about(k known, self bool) string {
	name := nameOf(1)
	e := r.members.get(name)
	if self {
		name, e = r.local.name, r.local
	} else if k.exists {
		e = r.members.add(&Face{name: name}, r.rng)
	}
	if e == nil {
		return name
	}
	e.Face, e.incarnation = &Face{name, []byte(k.meta), pack(addrOf(k.addr)), twoVersions[k.versions]}, k.incarnation
	r.members.set(e, k.state, r.clock.real)
	if k.state == wire.StateSuspect {
		r.beginSuspicion(e, &wire.Suspect{From: "first"})
	}
	return name
}

func (r *rig) encode(c claim, name string) []byte {
	switch c.kind {
	case wire.TypeAlive:
		return (&wire.Alive{Incarnation: c.incarnation, Node: name, Addr: addrOf(c.addr), Meta: []byte(c.meta), Versions: twoVersions[c.versions]}).AppendTo(nil)
	case wire.TypeSuspect:
		return (&wire.Suspect{Incarnation: c.incarnation, Node: name, From: "second"}).AppendTo(nil)
	}
	from := "second"
	if c.byItself {
		from = name
	}
	return (&wire.Dead{Incarnation: c.incarnation, Node: name, From: from}).AppendTo(nil)
}

// seen is what the machine shows after a claim, in the oracle's terms.
func (r *rig) observe(name string) (e effect) {
	if m := r.Member(name); m != nil {
		e.after = known{exists: true, state: m.State, incarnation: m.Incarnation, meta: string(m.Meta)}
		if m.Addr == addrOf(1) {
			e.after.addr = 1
		}
		if m.Versions == twoVersions[1] {
			e.after.versions = 1
		}
	}
	for _, l := range r.layer.log {
		var what, who string
		fmt.Sscan(l, &what, &who)
		if who == name && what != "doubted" { // that is no change of state: P198
			e.told += what
		}
	}
	var passed []string
	for _, b := range slices.Concat(unpackAll(r.t, r.drain())...) {
		var s wire.Suspect
		var d wire.Dead
		var a wire.Alive
		switch wire.Type(b[0]) {
		case wire.TypeSuspect:
			_ = s.Decode(b[1:], nil)
			passed = append(passed, fmt.Sprintf("suspect %d", s.Incarnation))
		case wire.TypeDead:
			_ = d.Decode(b[1:], nil)
			passed = append(passed, fmt.Sprintf("dead %d", d.Incarnation))
		case wire.TypeAlive:
			_ = a.Decode(b[1:], nil)
			passed = append(passed, fmt.Sprintf("alive %d", a.Incarnation))
		}
	}
	e.passed = strings.Join(passed, ", ")
	e.health = r.Health()
	return e
}

// unpackAll are the messages of each broadcast.
func unpackAll(t testing.TB, broadcasts [][]byte) (all [][][]byte) {
	for _, b := range broadcasts {
		all = append(all, unpack(t, b))
	}
	return all
}

func TestPrecedenceExhaustive(t *testing.T) {
	var knowns []known
	for _, s := range []wire.NodeState{wire.StateAlive, wire.StateSuspect, wire.StateDead, wire.StateLeft} {
		for _, inc := range []uint32{1, 2, math.MaxUint32 - 1, math.MaxUint32} {
			for _, meta := range []string{"", "a"} {
				knowns = append(knowns, known{exists: true, state: s, incarnation: inc, meta: meta})
			}
		}
	}
	n := 0
	plain := true
	run := func(k known, c claim, self, leaving bool) {
		n++
		r := newRig(t, quiet, func(c *Config) { c.Plain = plain })
		for i := 2; i <= 9; i++ { // so that a confirmation counts
			r.members.set(r.members.add(&Face{name: nameOf(i)}, r.rng), wire.StateAlive, 0)
		}
		name := r.about(k, self)
		r.drain()
		r.departure.leaving = leaving
		r.in(r.encode(c, name))
		got, want := r.observe(name), oracle(k, c, self, leaving, plain)
		if got != want {
			t.Errorf("known %+v, claimed %+v, self %v, leaving %v:\n got %+v\nwant %+v", k, c, self, leaving, got, want)
		}
		if err := r.members.check(); err != nil {
			t.Errorf("known %+v, claimed %+v: %v", k, c, err)
		}
	}
	for _, plain = range []bool{false, true} {
		for _, c := range everyClaim() {
			run(known{}, c, false, false)
			for _, k := range knowns {
				run(k, c, false, false)
				run(k, c, false, true)
				switch k.state {
				case wire.StateAlive:
					run(k, c, true, false)
				case wire.StateLeft:
					run(k, c, true, true)
				}
			}
		}
	}
	t.Logf("%d combinations", n)
	if n < 5000 {
		t.Errorf("only %d combinations", n)
	}
}

// The same in a push/pull: each state of a member is the claim that P52 says.
func TestPrecedencePushPull(t *testing.T) {
	as := map[wire.NodeState]claim{
		wire.StateAlive:   {kind: wire.TypeAlive},
		wire.StateSuspect: {kind: wire.TypeSuspect},
		wire.StateDead:    {kind: wire.TypeSuspect},
		wire.StateLeft:    {kind: wire.TypeDead, byItself: true},
	}
	for _, ks := range []wire.NodeState{wire.StateAlive, wire.StateDead, wire.StateLeft} {
		for _, s := range []wire.NodeState{wire.StateAlive, wire.StateSuspect, wire.StateDead, wire.StateLeft} {
			for _, inc := range []uint32{1, 2, 3} {
				for _, self := range []bool{false, true} {
					if self && ks != wire.StateAlive {
						continue
					}
					k := known{exists: true, state: ks, incarnation: 2, meta: "a"}
					r := newRig(t, quiet)
					for i := 2; i <= 9; i++ {
						r.members.set(r.members.add(&Face{name: nameOf(i)}, r.rng), wire.StateAlive, 0)
					}
					name := r.about(k, self)
					r.drain()
					c := as[s]
					c.incarnation, c.meta = inc, "a"
					msg := pushPullOf(false, nil, wire.PushNodeState{Name: name, Addr: addrOf(0), Meta: []byte("a"),
						Incarnation: inc, State: s, Versions: DefaultVersions})
					if reply := r.HandleStream(r.now, other, msg); len(reply) == 0 {
						t.Fatal("no reply")
					}
					got, want := r.observe(name), oracle(k, c, self, false, true)
					if got != want {
						t.Errorf("known %+v, state %d at %d, self %v:\n got %+v\nwant %+v", k, s, inc, self, got, want)
					}
				}
			}
		}
	}
}

// pushPullOf makes a push/pull message.
func pushPullOf(join bool, user []byte, nodes ...wire.PushNodeState) []byte {
	msg := wire.AppendPushPullHeader(nil, wire.PushPullHeader{Nodes: len(nodes), UserStateLen: len(user), Join: join})
	for i := range nodes {
		msg = wire.AppendPushNodeState(msg, &nodes[i])
	}
	return append(msg, user...)
}

func TestAbove(t *testing.T) {
	for _, c := range []struct{ own, claimed, want uint32 }{
		{1, 0, 2}, {1, 1, 2}, {1, 7, 8}, {9, 7, 10},
		{1, math.MaxUint32 - 1, math.MaxUint32}, {math.MaxUint32, 3, math.MaxUint32}, {1, math.MaxUint32, math.MaxUint32},
	} {
		if got := above(c.own, c.claimed); got != c.want {
			t.Errorf("above(%d, %d) = %d, want %d", c.own, c.claimed, got, c.want)
		}
	}
}

func TestJudgeLooksOnly(t *testing.T) {
	e := &member{Face: &Face{name: "x", addr: pack(addrOf(1)), meta: []byte("m")}, incarnation: 4, state: wire.StateLeft}
	before, face := *e, *e.Face
	judgeAlive(e, &wire.Alive{Node: "x", Incarnation: 9, Addr: addrOf(2)}, false, false, false)
	judgeSuspect(e, 9, false, false)
	judgeDead(e, 9, false, false, false)
	if e.state != before.state || e.incarnation != before.incarnation || !bytes.Equal(e.meta, face.meta) || e.addr != face.addr {
		t.Errorf("changed to %+v", e)
	}
}
