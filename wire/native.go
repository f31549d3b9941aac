package wire

import (
	"math"
	"time"
)

// NativeVersion is the version of the native protocol that this package speaks.
// Who speaks it adds its version under the key "N" to messages of memberlist's,
// who does not passes over that key: 0 means plain, or not known. It is said
// of the sender in a Ping and an Ack, of the node meant in an Alive and a
// PushNodeState. (P190)
const NativeVersion = 1

// WaitUnit is what an Ack's Wait counts in.
const WaitUnit = 10 * time.Millisecond

// Verdict is why a member does not answer, as far as its accuser can tell. It
// travels between natives only, under the key "E".
type Verdict uint8

// The verdicts. What is received beyond them means VerdictNone.
const (
	VerdictNone    Verdict = iota // nothing but silence is known
	VerdictCrashed                // its host says that the process is not there
	VerdictSilent                 // neither the process nor its host answers
	VerdictHung                   // its host answers, the process does not
	numVerdicts
)

// String is a word for it, empty for none.
func (v Verdict) String() string {
	if v < numVerdicts {
		return [numVerdicts]string{"", "crashed", "silent", "hung"}[v]
	}
	return ""
}

// The native keys have one letter, which none of the peers' has. They are never
// in a struct that is written as an array, and left out if zero.

// extra counts a native field that is written only if it is not zero.
func extra[T comparable](v T) int {
	var zero T
	if v == zero {
		return 0
	}
	return 1
}

// appendExtra writes a native field unless it is zero.
func appendExtra(dst []byte, key string, v uint8) []byte {
	if v == 0 {
		return dst
	}
	return appendUint(appendStr(dst, key), uint64(v))
}

// extra reads the value of a native key: what is no small number is 0, for the
// peers would not even look at it.
func (r *reader) extra() uint8 {
	start := r.pos
	if t := r.token(); r.err == nil && (t.kind == kindUint || t.kind == kindInt) {
		r.pos = start
		if v, negative := r.number(); !negative && v <= math.MaxUint8 {
			return uint8(v)
		}
		return 0
	}
	if r.err == nil {
		r.pos = start
		r.skip()
	}
	return 0
}

func (r *reader) verdict() Verdict {
	if v := Verdict(r.extra()); v < numVerdicts {
		return v
	}
	return VerdictNone
}
