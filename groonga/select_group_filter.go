package groonga

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// groupFilter is what a drilldown's filter says of what is computed of a group: its number
// of records, sum, least, greatest and average value. A slice knows those of its own part
// of the group only.
type groupFilter struct {
	all, any []*groupFilter // of which all, or one, have to hold
	not      *groupFilter   // which must not hold
	test     *groupTest
}

// groupTest compares a computed number.
type groupTest struct {
	column, op string
	number     float64
	integer    bool // it is written as one
	at         int  // the column's index in a group's values, once that is known
	typ        string
}

var (
	// computedNames are columns of groups that are computed.
	computedNames = regexp.MustCompile(`\b_(nsubrecs|sum|min|max|avg|count|mean)\b`)
	computedSum   = regexp.MustCompile(`\b_sum\b`)
)

// splitGroupFilter takes a filter apart: keys is what each slice can see to, filter what has
// to wait for the groups of all slices, nil if nothing has. computed are the columns that the
// drilldown computes. Of others the servers say that there are none.
func splitGroupFilter(text string, computed map[string]bool) (keys string, filter *groupFilter, err error) {
	plain := quoted.ReplaceAllString(text, `""`)
	names := computedNames.FindAllString(plain, -1)
	if len(names) == 0 {
		return text, nil, nil
	}
	for _, name := range names {
		if !computed[name] {
			return text, nil, nil
		}
	}
	var mine []string
	var theirs []string
	for _, part := range conjuncts(text) {
		if computedNames.MatchString(quoted.ReplaceAllString(part, `""`)) {
			mine = append(mine, part)
		} else {
			theirs = append(theirs, part)
		}
	}
	p := groupFilterParser{tokens: filterToken.FindAllString(strings.Join(mine, " && "), -1)}
	filter, ok := p.either()
	if !ok || len(p.tokens) > 0 {
		return "", nil, fmt.Errorf("%w: the filter %q of a drilldown: what is computed of the groups can be compared with numbers, and that be joined by && with what is said of their keys", ErrNotSupported, text)
	}
	return strings.Join(theirs, " && "), filter, nil
}

// conjuncts splits an expression at each && that is in no brackets and no text; it is one
// part where there is a || outside of them.
func conjuncts(text string) (parts []string) {
	depth, from := 0, 0
	masked := quoted.ReplaceAllStringFunc(text, func(s string) string { return strings.Repeat("_", len(s)) })
	for i := 0; i < len(masked); i++ {
		switch c := masked[i]; {
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == ')' || c == ']' || c == '}':
			depth--
		case depth == 0 && strings.HasPrefix(masked[i:], "||"):
			return []string{text}
		case depth == 0 && strings.HasPrefix(masked[i:], "&&"):
			parts = append(parts, text[from:i])
			i++
			from = i + 1
		}
	}
	return append(parts, text[from:])
}

// filterToken is a part of an expression: a name, a number, an operator, or what is none.
var filterToken = regexp.MustCompile(`_[a-z]+|-?\d+(?:\.\d+)?|&&|\|\||[=!<>]=|[<>!()]|[^\s]`)

var comparison = regexp.MustCompile(`^([=!<>]=|[<>])$`)

// groupFilterParser reads comparisons joined by ||, && and !.
type groupFilterParser struct{ tokens []string }

// next takes the next token if it is that one.
func (p *groupFilterParser) next(token string) bool {
	if len(p.tokens) == 0 || p.tokens[0] != token {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *groupFilterParser) either() (*groupFilter, bool) {
	first, ok := p.both()
	f := &groupFilter{any: []*groupFilter{first}}
	for ok && p.next("||") {
		var more *groupFilter
		more, ok = p.both()
		f.any = append(f.any, more)
	}
	return f, ok
}

func (p *groupFilterParser) both() (*groupFilter, bool) {
	first, ok := p.one()
	f := &groupFilter{all: []*groupFilter{first}}
	for ok && p.next("&&") {
		var more *groupFilter
		more, ok = p.one()
		f.all = append(f.all, more)
	}
	return f, ok
}

func (p *groupFilterParser) one() (*groupFilter, bool) {
	if p.next("!") {
		f, ok := p.one()
		return &groupFilter{not: f}, ok
	}
	if p.next("(") {
		f, ok := p.either()
		return f, ok && p.next(")")
	}
	if len(p.tokens) < 3 || !computedNames.MatchString(p.tokens[0]) || !comparison.MatchString(p.tokens[1]) {
		return nil, false
	}
	number, err := strconv.ParseFloat(p.tokens[2], 64)
	_, notWhole := strconv.ParseInt(p.tokens[2], 10, 32)
	f := &groupFilter{test: &groupTest{column: p.tokens[0], op: p.tokens[1], number: number, integer: notWhole == nil}}
	p.tokens = p.tokens[3:]
	return f, err == nil
}

// parts are the filters that this one is made of.
func (f *groupFilter) parts() []*groupFilter {
	if f.not != nil {
		return []*groupFilter{f.not}
	}
	return append(f.all, f.any...)
}

// tests are all comparisons.
func (f *groupFilter) tests() (list []*groupTest) {
	if f == nil {
		return nil
	}
	if f.test != nil {
		return []*groupTest{f.test}
	}
	for _, part := range f.parts() {
		list = append(list, part.tests()...)
	}
	return list
}

// columns are what is compared, one for each comparison.
func (f *groupFilter) columns() (names []string) {
	for _, t := range f.tests() {
		names = append(names, t.column)
	}
	return names
}

// bind finds what is compared among the columns, from the given one on. It returns how many
// there are.
func (f *groupFilter) bind(columns []column, from int) (n int, err error) {
	for _, t := range f.tests() {
		t.at = from + n
		if t.at >= len(columns) || columns[t.at].name != t.column {
			return 0, fmt.Errorf("%w: a filter by %s, which the drilldown does not compute", ErrNotSupported, t.column)
		}
		t.typ = columns[t.at].typ
		if !t.integer && !strings.HasPrefix(t.typ, "Float") {
			return 0, fmt.Errorf("%w: a filter that compares %s with a fraction", ErrNotSupported, t.column)
		}
		n++
	}
	return n, nil
}

// holds reports whether a group passes.
func (f *groupFilter) holds(values []json.RawMessage) (bool, error) {
	switch {
	case f.test != nil:
		return f.test.holds(values)
	case f.not != nil:
		ok, err := f.not.holds(values)
		return !ok, err
	case f.any != nil:
		for _, part := range f.any {
			if ok, err := part.holds(values); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	}
	for _, part := range f.all {
		if ok, err := part.holds(values); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (t *groupTest) holds(values []json.RawMessage) (bool, error) {
	v, err := strconv.ParseFloat(string(values[t.at]), 64)
	if err != nil {
		return false, errAnswer
	}
	switch t.op {
	case "==":
		return v == t.number, nil
	case "!=":
		return v != t.number, nil
	case "<":
		return v < t.number, nil
	case "<=":
		return v <= t.number, nil
	case ">":
		return v > t.number, nil
	}
	return v >= t.number, nil
}
