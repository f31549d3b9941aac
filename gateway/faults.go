package gateway

import (
	"context"
	"errors"

	"github.com/ibuki-dev/ibuki/dispatch"
	"github.com/ibuki-dev/ibuki/groonga"
)

// fault is how a fault of delivery is told to a client: in Groonga's own form, with
// one of its return codes.
type fault struct {
	err    error
	name   string // in a header, for other gateways
	code   int    // Groonga's
	status int    // HTTP's
}

// Groonga's return codes that are used here.
const (
	codeUnknown      = -1
	codeNotPermitted = -2
	codeUnavailable  = -12 // resource temporarily unavailable
	codeInvalid      = -22
	codeNoSpace      = -27
	codeTooLong      = -26
	codeUnsupported  = -38
	codeTimeout      = -49
	codeCancelled    = -77
)

var faults = []fault{
	{groonga.ErrBadCommand, "bad-command", codeInvalid, 400},
	{groonga.ErrTooLong, "too-long", codeInvalid, 400},
	{dispatch.ErrUnknownDataset, "unknown-dataset", codeInvalid, 400},
	{groonga.ErrNotSupported, "not-supported", codeUnsupported, 400},
	{groonga.ErrByNumber, "by-number", codeUnsupported, 400},
	{dispatch.ErrForbidden, "forbidden", codeNotPermitted, 403},
	{dispatch.ErrWriteTooLarge, "write-too-large", codeTooLong, 413},
	{dispatch.ErrLogFull, "buffer-full", codeNoSpace, 503},
	{dispatch.ErrNoLog, "no-log", codeNotPermitted, 403},
	{dispatch.ErrNoReplica, "no-replica", codeUnavailable, 503},
	{dispatch.ErrNoMajority, "no-majority", codeUnavailable, 503},
	{dispatch.ErrNotSafe, "not-deterministic", codeUnsupported, 400},
	{dispatch.ErrAnswerGone, "done-answer-gone", codeUnavailable, 503},
	{dispatch.ErrGivenUp, "given-up", codeUnavailable, 503},
	{dispatch.ErrUnconfirmed, "unconfirmed", codeUnavailable, 503},
	{dispatch.ErrOverload, "overload", codeUnavailable, 503},
	{dispatch.ErrBarred, "barred", codeUnavailable, 503},
	{dispatch.ErrStopped, "stopped", codeUnavailable, 503},
	{dispatch.ErrAnswerTooLong, "answer-too-long", codeTooLong, 502},
	{dispatch.ErrTimeout, "timeout", codeTimeout, 504},
	{context.DeadlineExceeded, "timeout", codeTimeout, 504},
}

func faultOf(err error) fault {
	for _, f := range faults {
		if errors.Is(err, f.err) {
			return f
		}
	}
	return fault{err, "unknown", codeUnknown, 500}
}

// told is the error that another gateway told by its name and text.
func told(name, text string) error {
	for _, f := range faults {
		if f.name == name {
			return toldError{f.err, text}
		}
	}
	return errors.New(text)
}

// toldError has the text of another gateway and is the error that it told.
type toldError struct {
	err  error
	text string
}

func (e toldError) Error() string { return e.text }
func (e toldError) Unwrap() error { return e.err }
