package serf

import "slices"

// Step is one thing that happened to a member, and what was known of the member right
// after it.
type Step[R any] struct {
	Type EventType
	Rec  R
}

// Down reports whether the event takes a member out of the live ones.
func (t EventType) Down() bool { return t == EventMemberLeave || t == EventMemberFailed }

// up reports whether after the event a member is alive.
func (t EventType) up() bool { return t == EventMemberJoin || t == EventMemberUpdate }

// AppendStep appends what happened to one member to what happened before, and keeps the
// chain as short as possible without telling anything untrue (P111): whoever applies it
// step by step has the member as it is, and no member that went down and came back looks
// as if nothing had been. So a chain is never just its last step: a join that an update
// followed is still a join, with the new tags; a failure that a join followed is both.
//
// wasDown: the member was down before the chain, which begins with a leave by force.
func AppendStep[R any](steps []Step[R], s Step[R], wasDown bool) []Step[R] {
	n := len(steps)
	if n == 0 {
		return append(steps, s)
	}
	last := &steps[n-1]
	switch {
	case s.Type == EventMemberUpdate && last.Type.up():
		last.Rec = s.Rec // a join stays a join, an update an update
	case s.Type.Down() && last.Type.Down():
		*last = s // failed, then force-left
	case s.Type.Down() && last.Type == EventMemberUpdate:
		*last = s
	case s.Type.Down() && n == 2 && wasDown && last.Type.up():
		return []Step[R]{*last, s} // (down,) left, up, down: that it was up is all that is new
	case s.Type.Down() && n >= 2 && steps[n-2].Type.Down():
		return append(steps[:n-2], s) // down, up, down
	case s.Type == EventMemberJoin && n >= 2 && last.Type.Down() && steps[n-2].Type == EventMemberJoin:
		return append(steps[:n-2], s) // up, down, up
	case s.Type == EventMemberReap:
		if i := slices.IndexFunc(steps, func(x Step[R]) bool { return x.Type == EventMemberReap }); i >= 0 {
			steps = steps[:i] // reaped, came and went, reaped
		}
		return append(steps, s)
	default:
		return append(steps, s)
	}
	return steps
}

// flushOrder is the order of the types within one round.
var flushOrder = [...]EventType{
	EventMemberFailed, EventMemberLeave, EventMemberJoin, EventMemberUpdate, EventMemberReap,
}

// Rounds calls tell for what happened to several members: first every member's first
// step, then the second ones, and so on, so that each member's keep their order (P114);
// within a round members with the same type share one call, in the order of chains.
// It uses up chains.
func Rounds[R any](chains [][]Step[R], tell func(EventType, []R)) {
	for len(chains) > 0 {
		for _, t := range flushOrder {
			var recs []R
			for _, steps := range chains {
				if len(steps) > 0 && steps[0].Type == t {
					recs = append(recs, steps[0].Rec)
				}
			}
			if len(recs) > 0 {
				tell(t, recs)
			}
		}
		rest := chains[:0]
		for _, steps := range chains {
			if len(steps) > 1 {
				rest = append(rest, steps[1:])
			}
		}
		chains = rest
	}
}
