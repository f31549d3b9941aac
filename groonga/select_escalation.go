package groonga

import (
	"fmt"
	"regexp"
	"strings"
)

// escalation keeps a slice from looking for more on its own. Groonga searches less strictly
// where the first search of a condition has no hit (match_escalation_threshold): a slice
// without one would do so although others have some, which one server with all would not.
// So the strict search comes first.
//
// Searches that follow with AND are never less strict. So it depends on the hits of the first
// search of all slices together, and these are more than the threshold where those of the
// whole condition are. Of a condition in which one cannot tell which is the first, the answer
// is known only if it makes no difference on any slice.
type escalation struct {
	threshold int64    // hits up to which Groonga looks for more
	loose     *Command // the command as it is when all look for more; nil: nothing is looked for
	first     *Command // counts the hits of the first search; nil: it is the whole condition, or not known
	known     bool     // which search is the first
	joined    bool     // all others follow with AND
	round     escalationRound
	strict    [][]byte // the answers to the strict search, while it is found out whether they are right
	differs   bool     // nobody knows
}

// escalationRound is what the answers are to.
type escalationRound byte

const (
	strictRound escalationRound = iota
	firstRound                  // the count of the first search
	countRound                  // the count of the less strict search
)

var (
	// fullText is what a filter that searches by an index of words has in it.
	fullText = regexp.MustCompile(`@|query\(|match|phrase|near`)
	// escalating is what a search that may become less strict has in it outside of texts.
	escalating = regexp.MustCompile(`@(?:$|[^\^$~])|query\(|match|phrase|near`)
	// plainWords is a query of some words, oneColumn what it searches in, leading a filter that
	// begins with a search.
	plainWords = regexp.MustCompile(`^\s*([^\s()"'+\-~<>|*:^,\\]+)((?:\s+[^\s()"'+\-~<>|*:^,\\]+)*)\s*$`)
	oneColumn  = regexp.MustCompile(`^\s*\w+(\.\w+)?(\s*\*\s*\d+)?\s*$`)
	leading    = regexp.MustCompile(`^\s*(\w+(?:\.\w+)?\s*@\s*"[^"\\]*")\s*(&&.*)?$`)
)

// planEscalation has the strict search asked for first.
func (p *SelectPlan) planEscalation(c *Command) {
	e := &p.search
	e.threshold = integer(c, "match_escalation_threshold", 0)
	if e.threshold < 0 || c.Get("query") == "" && !fullText.MatchString(c.Get("filter")) {
		return
	}
	e.findFirst(c)
	e.loose = p.request.Clone()
	p.request.Set("match_escalation_threshold", "-1")
}

// findFirst finds out which search is the first.
func (e *escalation) findFirst(c *Command) {
	query, filter := c.Get("query"), c.Get("filter")
	count := func(name, value string) {
		e.first = &Command{Name: c.Name, Args: []Arg{{"table", c.Get("table")}, {name, value}, {"limit", "0"}, {"output_columns", "_key"}, {"match_escalation_threshold", "-1"}}}
	}
	switch {
	case c.Get("query_expander") != "" || c.Get("query_expansion") != "" || c.Get("query_flags") != "":
	case query == "":
		m := leading.FindStringSubmatch(filter)
		if m == nil || strings.Contains(m[2], "||") || fullText.MatchString(m[2]) {
			return
		}
		e.known, e.joined = true, true
		if m[2] != "" {
			count("filter", m[1])
		}
	case oneColumn.MatchString(c.Get("match_columns")) && !fullText.MatchString(filter):
		m := plainWords.FindStringSubmatch(query)
		if m == nil || m[1] == "OR" {
			return
		}
		e.known, e.joined = true, !strings.Contains(" "+m[2]+" ", " OR ")
		if m[2] != "" || filter != "" {
			count("query", m[1])
			e.first.Set("match_columns", c.Get("match_columns"))
		}
	}
}

// Again says whether the slices have to be asked once more, with what Request returns from now
// on, after these answers.
func (p *SelectPlan) Again(answers [][]byte) bool {
	e := &p.search
	if e.loose == nil {
		return false
	}
	hits, total := make([]int64, len(answers)), int64(0)
	for i, data := range answers {
		var ok bool
		if hits[i], ok = hitsOf(data); !ok {
			e.strict = nil
			return false
		}
		total += hits[i]
	}
	next := e.after(answers, hits, total)
	if next == nil {
		e.loose = nil
		return false
	}
	p.request = next
	return true
}

// after is what is to be asked after these answers; nil: nothing.
func (e *escalation) after(answers [][]byte, hits []int64, total int64) (next *Command) {
	loose := func() *Command {
		next := e.loose
		e.loose, e.strict = nil, nil
		return next
	}
	switch {
	case e.round == strictRound && e.joined && total > e.threshold:
		return nil
	case e.round == strictRound && e.known && e.first == nil:
		return loose()
	case e.round == strictRound && e.first != nil:
		e.strict, e.round = answers, firstRound
		return e.first
	case e.round == firstRound && total > e.threshold:
		return nil
	case e.round == firstRound && e.joined:
		return loose()
	case e.round == countRound:
		for i, data := range e.strict {
			strict, _ := hitsOf(data)
			e.differs = e.differs || strict != hits[i]
		}
		return nil
	}
	if e.round == strictRound {
		e.strict = answers
	}
	e.round = countRound
	return e.count()
}

// count asks how many the less strict search finds.
func (e *escalation) count() *Command {
	c := &Command{Name: e.loose.Name}
	for _, a := range e.loose.Args {
		if !strings.HasPrefix(a.Name, "drilldown") {
			c.Args = append(c.Args, a)
		}
	}
	c.Set("limit", "0")
	return c
}

// hitsOf is how many records an answer has found.
func hitsOf(data []byte) (int64, bool) {
	a, err := readAnswer(data)
	if err != nil || a.code != 0 {
		return 0, false
	}
	r, err := a.result()
	return r.hits, err == nil
}

// answers are those to be merged.
func (e *escalation) answers(last [][]byte) ([][]byte, error) {
	if e.differs {
		return nil, fmt.Errorf("%w: some of the words are in no record of a slice, which would look for them less strictly, and one server would perhaps not: ask with match_escalation_threshold=-1",
			ErrNotSupported)
	}
	if e.strict != nil {
		return e.strict, nil
	}
	return last, nil
}
