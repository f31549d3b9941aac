package serf

import "github.com/ibuki-dev/ibuki/wire"

// Outcome is how an answer to a query came about: what became of the handler
// that gave it.
type Outcome struct {
	Known     bool  // the answer says it; false from plain nodes, and if nobody asked
	Exit      uint8 // the handler's exit code; 0 is success
	Truncated bool  // there was more output than the answer has
}

// flags are the outcome as it travels. (P167)
func (o Outcome) flags() uint32 {
	if !o.Known {
		return 0
	}
	f := wire.QueryFlagOutcome | uint32(o.Exit)<<wire.QueryExitShift
	if o.Truncated {
		f |= wire.QueryFlagTruncated
	}
	return f
}

func outcomeOf(flags uint32) Outcome {
	if flags&wire.QueryFlagOutcome == 0 {
		return Outcome{}
	}
	return Outcome{Known: true, Exit: uint8(flags >> wire.QueryExitShift), Truncated: flags&wire.QueryFlagTruncated != 0}
}

// outcomeRoom is what the flags may add to an encoded answer, in bytes.
const outcomeRoom = 8

// fit puts the outcome into an answer, and cuts the beginning off its payload if
// it is too long: what was printed last says most about an end. size is that of
// the encoded answer so far.
func (o Outcome) fit(r *wire.QueryResponse, size, limit int) {
	if over := size + outcomeRoom - limit; over > 0 {
		r.Payload = r.Payload[min(over, len(r.Payload)):]
		o.Truncated = true
	}
	r.Flags |= o.flags()
}
