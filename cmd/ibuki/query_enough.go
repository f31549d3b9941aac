package main

import (
	"fmt"
	"strings"

	"github.com/ibuki-dev/ibuki/printable"
	"github.com/ibuki-dev/ibuki/rpc"
)

// exitFewAnswers is the exit code of a query that ended without enough answers.
const exitFewAnswers = 2

// answersWanted are how many answers make a query a success.
type answersWanted struct {
	min    int
	quorum bool
	got    int
}

// have counts an answer of those that expected members are to give (0: it is not
// known how many), and reports whether they are enough.
func (a *answersWanted) have(expected int) bool {
	a.got++
	return (a.min > 0 || a.quorum) && a.got >= a.min && (!a.quorum || expected > 0 && 2*a.got > expected)
}

// judge is the exit code of a query that has ended with code and the record last.
// Who was expected to answer and did not is named.
func (a *answersWanted) judge(e *env, code int, last rpc.QueryRecord) int {
	missing := ""
	if len(last.Missing) > 0 {
		missing = "No answer from " + printable.Line(strings.Join(last.Missing, ", "))
	}
	if code != 0 || a.min == 0 && !a.quorum {
		if missing != "" && e.name != "serf" { // whose callers take anything there for an error
			fmt.Fprintln(e.stderr, missing)
		}
		return code
	}
	text := fmt.Sprintf("Not enough answers: %d", a.got)
	if last.Expected > 0 {
		text += fmt.Sprintf(" of %d", last.Expected)
	} else if a.quorum {
		text += "; the agent does not say how many there should be"
	}
	fmt.Fprintln(e.stderr, text)
	if missing != "" {
		fmt.Fprintln(e.stderr, missing)
	}
	return exitFewAnswers
}
