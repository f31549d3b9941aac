package swim

import (
	"bytes"
	"math"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// verdict is what a claim about a member comes to.
type verdict uint8

const (
	ignore   verdict = iota // it is old, or says nothing new
	accept                  // it changes what we know; pass it on
	refute                  // it is about us and wrong
	confirm                 // a suspicion that exists already
	conflict                // another node with the same name
)

// The three functions below are the whole precedence of claims: which of two
// statements about a member wins. They only look. Rule: a higher incarnation
// wins; at the same incarnation dead beats suspect beats alive; only the member
// itself raises its incarnation, and it does so to refute.

// judgeAlive: e is what is known (nil if nothing), local whether it is this
// node, leaving whether this node has left, plain whether it is to be as Serf.
func judgeAlive(e *member, a *wire.Alive, local, leaving, plain bool) verdict {
	switch {
	case local && leaving:
		return ignore // P37: or it would bring us back
	case e == nil:
		if a.Incarnation == 0 {
			return ignore
		}
		return accept
	case e.addr != pack(a.Addr):
		return judgeMove(e, a, plain) // P39
	case local:
		return judgeOwnAlive(e, a)
	case a.Incarnation > e.incarnation:
		return accept // P31
	}
	return ignore
}

// judgeMove: a is from another address than the one that e is known at. Of one
// that left the name is free; of one that was found dead it is for who is newer,
// but not with Serf (plain).
func judgeMove(e *member, a *wire.Alive, plain bool) verdict {
	if e.state == wire.StateLeft || e.state == wire.StateDead && a.Incarnation > e.incarnation && !plain {
		return accept
	}
	return conflict
}

// judgeOwnAlive: at our own incarnation it may come from a former life of ours
// with other settings, which the others must not go on believing. (P37)
func judgeOwnAlive(e *member, a *wire.Alive) verdict {
	if a.Incarnation < e.incarnation {
		return ignore
	}
	if a.Incarnation == e.incarnation && a.Versions == e.versions && bytes.Equal(a.Meta, e.meta) {
		return ignore
	}
	return refute
}

func judgeSuspect(e *member, incarnation uint32, local, silent bool) verdict {
	switch {
	case e == nil || incarnation < e.incarnation:
		return ignore // P32, P35
	case e.state == wire.StateSuspect:
		return confirm
	case e.state != wire.StateAlive:
		return ignore
	case local && silent:
		return ignore
	case local:
		return refute // P28
	}
	return accept // P20
}

// judgeDead: leaving as for judgeAlive. A node that is about to end without a leave (ending)
// does not hold itself to be dead, but does not contradict either.
func judgeDead(e *member, incarnation uint32, local, leaving, ending bool) verdict {
	switch {
	case e == nil || incarnation < e.incarnation:
		return ignore // P33, P35
	case e.gone():
		return ignore
	case local && ending && !leaving:
		return ignore // P172
	case local && !leaving:
		return refute // P36
	}
	return accept
}

// far is what becomes of incarnations that are far from the known one: no member gets
// there by itself, so it is asked. (P275, P276)
//
// Rule: what others say moves an incarnation by at most maxRaise. Invariant:
// len(until) <= farMembers.
type far struct {
	asked bool                     // the running input is the answer to an exchange that this node opened
	until map[string]time.Duration // until when members are not asked again, on the awake clock
	said  time.Duration            // when this node last repeated what it is, on the awake clock
}

const (
	maxRaise = 1 << 16
	// lastIncarnation is so near the end that no refutation of a far one would be left.
	lastIncarnation = math.MaxUint32 - maxRaise

	farPause   = time.Second // between two questions to one member
	farMembers = 64
)

// firstIncarnation is that of a start: above the one of the life before, but for one near
// the end. (P276)
func (c *Config) firstIncarnation() uint32 {
	if c.Incarnation >= lastIncarnation && !c.Plain {
		return 1
	}
	return above(c.Incarnation, 0)
}

// judge reports what is to be done about an incarnation that is said of e: ignore, for it
// is far off; accept, since e says so itself; or to go on (confirm). alive: it is said that
// e is alive where it is known.
func (f *far) judge(m *Machine, e *member, incarnation uint32, alive bool) verdict {
	if m.cfg.Plain || e == nil {
		return confirm
	}
	above := incarnation > e.incarnation && incarnation-e.incarnation > maxRaise
	below := incarnation < e.incarnation && e.incarnation-incarnation > maxRaise
	switch {
	case !above && (!below || !alive || e == m.local):
		return confirm
	case e == m.local:
		return f.ofSelf(m)
	case f.asked && m.from == e.at() && alive:
		return accept
	}
	m.drop(DropIncarnation, m.from, nil)
	f.ask(m, e)
	return ignore
}

// ofSelf: this node is said to be at an incarnation far above its own. Natives ask it
// when they hear its own one; plain members believe the highest.
func (f *far) ofSelf(m *Machine) verdict {
	now := m.clock.awake()
	switch {
	case m.departure.leaving || !m.AllNative():
		return confirm
	case f.said == 0 || now-f.said >= farPause:
		f.said = max(1, now)
		m.announce()
	}
	return ignore
}

// ask has e say what it is.
func (f *far) ask(m *Machine, e *member) {
	now := m.clock.awake()
	for name, until := range f.until { // order-free: all that are over
		if now >= until {
			delete(f.until, name)
		}
	}
	if _, was := f.until[e.name]; was || len(f.until) >= farMembers || len(m.dials.open) >= suspectsAsked {
		return
	}
	if f.until == nil {
		f.until = make(map[string]time.Duration)
	}
	f.until[e.name] = now + farPause
	if e.native == 0 {
		m.pushPullWith(e)
		return
	}
	m.comparison(e)
}
