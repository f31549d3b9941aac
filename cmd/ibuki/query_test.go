package main

import (
	"bytes"
	"testing"

	"github.com/ibuki-dev/ibuki/rpc"
)

// Who did not answer is named, but for the callers of serf, who take what is on standard
// error for a failure, unless it was asked for with a number of answers.
func TestWhoDidNotAnswer(t *testing.T) {
	last := rpc.QueryRecord{Expected: 3, Missing: []string{"q2"}}
	for _, c := range []struct {
		program string
		wanted  answersWanted
		code    int
		stderr  string
	}{
		{"ibuki", answersWanted{}, 0, "No answer from q2\n"},
		{"serf", answersWanted{}, 0, ""},
		{"ibuki", answersWanted{min: 3, got: 2}, exitFewAnswers, "Not enough answers: 2 of 3\nNo answer from q2\n"},
		{"serf", answersWanted{min: 3, got: 2}, exitFewAnswers, "Not enough answers: 2 of 3\nNo answer from q2\n"},
	} {
		var stderr bytes.Buffer
		e := &env{name: c.program, stderr: &stderr}
		if code := c.wanted.judge(e, 0, last); code != c.code || stderr.String() != c.stderr {
			t.Errorf("%s, %+v: %d, %q", c.program, c.wanted, code, stderr.String())
		}
	}
}
