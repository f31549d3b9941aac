package rpc

import (
	"fmt"
	"regexp"
	"strings"
)

// EventFilter selects events by type and, for user events and queries, by
// name. Streams and event handlers use the same.
type EventFilter struct {
	Type string // "*", "user", "query", "member-join", …
	Name string // "": any
}

// ParseEventFilter reads a comma-separated list of TYPE, user:NAME and
// query:NAME; "" means "*". It fails with ErrInvalidFilter on an unknown type.
func ParseEventFilter(list string) ([]EventFilter, error) {
	if list == "" {
		list = "*"
	}
	var filters []EventFilter
	for f := range strings.SplitSeq(list, ",") {
		filter := EventFilter{Type: f}
		if typ, name, ok := strings.Cut(f, ":"); ok && (typ == "user" || typ == "query") {
			filter = EventFilter{Type: typ, Name: name}
		}
		switch filter.Type {
		case "*", "user", "query", "member-join", "member-leave", "member-failed",
			"member-update", "member-reap":
		default:
			return nil, ErrInvalidFilter
		}
		filters = append(filters, filter)
	}
	return filters, nil
}

// Match reports whether the filter wants events of this type and name.
func (f EventFilter) Match(typ, name string) bool {
	if f.Type == "*" {
		return true
	}
	return f.Type == typ && (f.Name == "" || f.Name == name)
}

func matchAny(filters []EventFilter, ev *Event) bool {
	for _, f := range filters {
		if f.Match(ev.Type, ev.Name) {
			return true
		}
	}
	return false
}

// maxExpr is the longest regular expression of a member filter, in bytes.
const maxExpr = 4096

// memberMatcher is a MemberFilter, compiled.
type memberMatcher struct {
	times        bool // their Since is wanted
	tags         map[string]*regexp.Regexp
	status, name *regexp.Regexp // nil: any
}

func compileFilter(f MemberFilter) (*memberMatcher, error) {
	m := &memberMatcher{times: f.Times, tags: make(map[string]*regexp.Regexp, len(f.Tags))}
	var err error
	// order-free: every expression is compiled; which fault is told first does not matter
	for tag, expr := range f.Tags {
		if m.tags[tag], err = anchored(expr); err != nil {
			return nil, err
		}
	}
	if f.Status != "" {
		if m.status, err = anchored(f.Status); err != nil {
			return nil, err
		}
	}
	if f.Name != "" {
		if m.name, err = anchored(f.Name); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// anchored compiles expr to match whole values only. Without the group an
// alternative would escape the anchors.
func anchored(expr string) (*regexp.Regexp, error) {
	if len(expr) > maxExpr {
		return nil, fmt.Errorf("Failed to compile regex: longer than %d bytes", maxExpr)
	}
	// The expression alone first: it may not close the group by itself.
	if _, err := regexp.Compile(expr); err != nil {
		return nil, fmt.Errorf("Failed to compile regex: %w", err)
	}
	re, err := regexp.Compile("^(?:" + expr + ")$")
	if err != nil {
		return nil, fmt.Errorf("Failed to compile regex: %w", err)
	}
	return re, nil
}

func (m *memberMatcher) match(mem *Member) bool {
	if m.status != nil && !m.status.MatchString(mem.Status) {
		return false
	}
	if m.name != nil && !m.name.MatchString(mem.Name) {
		return false
	}
	// order-free: all have to match
	for tag, re := range m.tags {
		if !re.MatchString(mem.Tags[tag]) {
			return false
		}
	}
	return true
}
