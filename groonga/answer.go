package groonga

import (
	"bytes"
	"errors"
	"strconv"
	"time"
)

// Answer is what came of a command: one of a Groonga server's, as it is, or the
// merged one of several. An answer with a return code other than 0 is an answer
// like any other.
type Answer struct {
	// Status is the HTTP status that Groonga gave (200, 400, 500).
	Status int
	// ContentType of Body, as Groonga gave it.
	ContentType string
	// Body is the whole document, the envelope included:
	// [[code,start,elapsed],body], or what the output_type of the command makes
	// of it. It belongs to the receiver.
	Body []byte
	// Code is Groonga's return code; 0 is success.
	Code int
	// Stale: the answer may lack writes that were acknowledged within this time; 0: it does not.
	Stale time.Duration
	// Software is what the server calls itself; "" for Groonga's own HTTP server, which does not.
	Software string
	// Volume is the address of the server that answered first or last, for the log.
	Volume string
}

// ErrNotSupported: servers that share the data cannot be asked it so that the answer is
// right.
var ErrNotSupported = errors.New("not supported over several slices")

// JSONType is the content type of JSON, as Groonga writes it.
const JSONType = "application/json"

// ReturnCode finds Groonga's return code: in the head of the envelope [[code,… or
// {"header":{"return_code":code,…, or, in other forms of output, by the HTTP status alone.
func ReturnCode(status int, body []byte) int {
	rest, ok := bytes.CutPrefix(body, []byte("[["))
	if !ok {
		rest, _ = bytes.CutPrefix(body, []byte(`{"header":{"return_code":`))
	}
	if len(rest) < len(body) {
		end := 0
		for end < len(rest) && end < 10 && (rest[end] == '-' || rest[end] >= '0' && rest[end] <= '9') {
			end++
		}
		if code, err := strconv.Atoi(string(rest[:end])); err == nil {
			return code
		}
	}
	if status == 200 {
		return 0
	}
	return -1
}
