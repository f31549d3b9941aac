package serf

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"slices"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// Bounds of a regular expression from outside. Its compiled size is what costs:
// a few bytes with nested repetitions may stand for a million steps.
const (
	maxExpr     = 1024
	maxExprSize = 16 * 1024
)

var errExprSize = errors.New("serf: regular expression is too large")

// passes reports whether a query is for this node: all of its filters have to
// let it through, and one that is unknown or broken lets nobody (P91).
func (m *Machine) passes(q *wire.Query) bool {
	for _, b := range q.Filters {
		ok, err := m.passesFilter(b)
		if err != nil {
			m.trace(swim.Trace{Kind: TraceFilterBad, Level: swim.LevelWarn, Node: q.Name, Err: err})
			return false
		}
		if !ok {
			return false
		}
	}
	return true
}

func (m *Machine) passesFilter(b []byte) (bool, error) {
	f, err := wire.DecodeFilter(b)
	if err != nil {
		return false, err
	}
	if f.Type == wire.FilterNode {
		return slices.Contains(f.Nodes, m.cfg.Swim.Name), nil
	}
	re, err := compile(f.Expr)
	if err != nil {
		return false, err
	}
	return re.MatchString(findTag(m.cfg.Tags, f.Tag)), nil
}

// compile compiles an expression that is not too large.
func compile(expr string) (*regexp.Regexp, error) {
	if len(expr) > maxExpr {
		return nil, errExprSize
	}
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	if exprSize(parsed) > maxExprSize {
		return nil, errExprSize
	}
	return regexp.Compile(expr)
}

// exprSize estimates how many steps an expression compiles to, with
// repetitions written out. It stops counting beyond maxExprSize.
func exprSize(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		size += exprSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min+1, re.Max, 1)
	}
	return min(size, maxExprSize+1)
}
