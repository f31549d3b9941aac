package groonga

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// A SelectPlan is a select over several slices: what each slice is asked, and how
// their answers become the one answer of a server that has all the data.
//
// Rule: each slice sorts its own records and gives the first offset+limit of them,
// with the sort keys' values before the columns that were asked for; the merged
// answer is sorted by these, cut by offset and limit, and gives them away again.
// Groups of a drilldown are all asked for, joined by their keys, then sorted and cut.
//
// What cannot be right is refused with ErrNotSupported: sorting by a record's id, scores
// by scorer_tf_idf, a drilldown of a drilldown, a window function. What nobody can know is
// left as it is: records that the sort keys do not tell apart come slice by slice, in the
// order of the answers, and _id is the id on the record's own server.
//
// Use: ask all slices Request; give each answer to Document; if Again says so, once more;
// Merge.
type SelectPlan struct {
	request *Command // what is asked next
	cut     Cut

	search escalation
	form   Form
	main   *listPlan
	slices []*listPlan // slices[LABEL], in the order of the arguments
}

// listPlan is one list of records with its drilldowns: all that was found, or slices[LABEL].
type listPlan struct {
	label      string
	prefix     string // of its arguments: "", "slices[LABEL]."
	sort       []sortKey
	window     window
	drilldowns []*drilldownPlan // the labelled ones, or one for all others
	labelled   bool
}

// window is which part of a list is wanted, as Groonga counts.
type window struct{ offset, limit int64 }

// defaultOutputColumns is what Groonga gives if not told.
const defaultOutputColumns = "_id, _key, *"

// PlanSelect plans a select over servers that share the data in that way. c is neither
// changed nor kept. The error is ErrNotSupported for what cannot be merged.
func PlanSelect(c *Command, cut Cut) (*SelectPlan, error) {
	if err := mergeable(c); err != nil {
		return nil, err
	}
	p := &SelectPlan{request: c.Clone(), cut: cut, form: c.Form()}
	for _, name := range []string{"callback", "output_pretty"} {
		p.request.Del(name)
	}
	p.request.Set("output_type", "json")
	if p.form.Type == "msgpack" {
		p.request.Set("output_type", "msgpack") // which alone has all digits of fractions
	}
	var err error
	if p.main, err = p.planList(c, ""); err != nil {
		return nil, err
	}
	if err := p.planSlices(c); err != nil {
		return nil, err
	}
	p.planEscalation(c)
	return p, nil
}

// planList plans a list of records, and sets what each slice is asked of it.
func (p *SelectPlan) planList(c *Command, prefix string) (*listPlan, error) {
	l := &listPlan{prefix: prefix, window: window{integer(c, prefix+"offset", 0), integer(c, prefix+"limit", 10)}}
	keys := c.Get(prefix + "sort_keys")
	if keys == "" {
		keys = c.Get(prefix + "sortby")
	}
	var err error
	if l.sort, err = sortKeys(keys); err != nil {
		return nil, err
	}
	if err := p.cut.resolve(c, l.sort); err != nil {
		return nil, err
	}
	if len(l.sort) > 0 {
		columns := commas(strings.TrimSpace(c.Get(prefix + "output_columns")))
		if columns == "" {
			columns = defaultOutputColumns
		}
		p.request.Set(prefix+"output_columns", joinColumns(l.sort)+","+columns)
	}
	l.window.ask(p.request, prefix+"offset", prefix+"limit")
	return l, p.planDrilldowns(c, l)
}

// Request is what each slice is to be asked.
func (p *SelectPlan) Request() *Command { return p.request }

// integer is a whole number among the arguments. Like Groonga it takes what is none
// for not given.
func integer(c *Command, name string, other int64) int64 {
	if n, err := strconv.ParseInt(c.Get(name), 10, 32); err == nil {
		return n
	}
	return other
}

// ask sets what a slice has to give so that the window can be cut of all: its first
// offset+limit, or everything where an end is counted from behind.
func (w window) ask(c *Command, offset, limit string) {
	c.Set(offset, "0")
	if w.offset < 0 || w.limit < 0 {
		c.Set(limit, "-1")
		return
	}
	c.Set(limit, strconv.FormatInt(min(w.offset+w.limit, math.MaxInt32), 10))
}

// normal is the window in a list of n elements, as Groonga counts. It is its rule also where
// an offset is counted from behind to before the beginning: what is missing there is missing
// of the limit.
func (w window) normal(n int64) (offset, limit int64) {
	offset, limit = w.offset, w.limit
	if limit < 0 {
		limit += n + 1
	}
	if offset < 0 {
		if offset += n; offset < 0 {
			offset, limit = 0, min(limit, n)+offset
		}
	}
	if offset >= n || limit <= 0 {
		return 0, 0
	}
	return offset, min(limit, n-offset)
}

// of is the part of a list with n elements: from and up to which, of the have that
// there are to take from.
func (w window) of(n int64, have int) (from, to int) {
	offset, limit := w.normal(n)
	return int(min(offset, int64(have))), int(min(offset+limit, int64(have)))
}

// sortKey is one key to sort by.
type sortKey struct {
	column     string
	descending bool
	refers     bool // to another table: Groonga sorts by the ids of its records
}

// columns are those that a slice has to give so that what it found can be sorted by the key.
func (k sortKey) columns() []string {
	if k.refers {
		return []string{k.column + "._id", k.column + "._key"}
	}
	return []string{k.column}
}

// plainColumn is a column's name, with the names of the columns that it leads
// through; nothing that is computed.
var plainColumn = regexp.MustCompile(`^[A-Za-z0-9_#@][A-Za-z0-9_#@-]*(\.[A-Za-z0-9_#@][A-Za-z0-9_#@-]*)*$`)

// sortKeys reads the value of sort_keys.
func sortKeys(list string) (keys []sortKey, err error) {
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' }) {
		k := sortKey{column: word}
		if rest, ok := strings.CutPrefix(word, "-"); ok {
			k = sortKey{column: rest, descending: true}
		} else if rest, ok := strings.CutPrefix(word, "+"); ok {
			k.column = rest
		}
		switch {
		case !plainColumn.MatchString(k.column):
			return nil, fmt.Errorf("%w: to sort by what is computed, %q", ErrNotSupported, word)
		case k.column == "_id" || strings.HasSuffix(k.column, "._id"):
			return nil, fmt.Errorf("%w: to sort by %s, which differs from slice to slice", ErrNotSupported, k.column)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// commas makes commas of the blanks in a list of columns of Groonga's first form,
// "_key title *", so that others can be put before it.
func commas(list string) string {
	if first := strings.IndexAny(list, ", \t\n("); first < 0 || list[first] == ',' || list[first] == '(' {
		return list
	}
	words := strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(", \t\n", r) })
	for _, word := range words {
		if word != "*" && !plainColumn.MatchString(word) {
			return list
		}
	}
	return strings.Join(words, ",")
}

func joinColumns(keys []sortKey) string {
	var names []string
	for _, k := range keys {
		names = append(names, k.columns()...)
	}
	return strings.Join(names, ",")
}

// mergeable refuses what cannot be merged at all.
func mergeable(c *Command) error {
	refuse := func(what string) error { return fmt.Errorf("%w: %s", ErrNotSupported, what) }
	if c.Name != "select" {
		return refuse("the command " + c.Name)
	}
	switch t := c.Form().Type; t {
	case "json", "tsv", "msgpack":
	case "xml":
		if c.Form().Version >= 3 {
			return refuse("XML of command_version 3, of which Groonga writes no records")
		}
	default:
		return refuse("output_type " + t)
	}
	for _, a := range c.Args {
		switch {
		case a.Value == "":
		case a.Name == "load_table" || a.Name == "load_columns" || a.Name == "load_values":
			return refuse("to store the result, " + a.Name)
		case a.Name == "adjuster" || a.Name == "scorer" || a.Name == "match_columns" || a.Name == "filter" || a.Name == "query":
			if strings.Contains(a.Value, "scorer_tf_idf") {
				return refuse("scorer_tf_idf, which counts the documents of one slice only")
			}
		case strings.HasPrefix(a.Name, "columns[") || strings.HasPrefix(a.Name, "column["):
			if strings.Contains(a.Name, "].window.") || strings.HasSuffix(a.Name, "].stage") && a.Value == "group" {
				return refuse("the argument " + a.Name + ", which looks at the other records")
			}
		case strings.HasSuffix(a.Name, "adjuster"), a.Name == "drilldown_table":
			return refuse("the argument " + a.Name)
		}
	}
	return nil
}
