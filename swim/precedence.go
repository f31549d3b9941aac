package swim

import (
	"bytes"

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
