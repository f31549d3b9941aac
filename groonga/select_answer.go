package groonga

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// errAnswer is an answer of a server that is not what Groonga says.
var errAnswer = errors.New("answer of a server is not understood")

// answer is a Groonga document taken apart: [[code,start,elapsed,…],body], or of
// command_version 3 {"header":{…},"body":…}. Nothing of the body is decoded that
// need not be, so that all values come out as they went in.
type answer struct {
	code           int64
	start, elapsed json.Number
	header         json.RawMessage
	body           json.RawMessage
	object         bool // of command_version 3
}

// readAnswer takes a document apart.
func readAnswer(data []byte) (a answer, err error) {
	if i := skipSpace(data, 0); i < len(data) && data[i] == '{' {
		return readObjectAnswer(data)
	}
	parts, ok := splitArray(data)
	if !ok || len(parts) == 0 {
		return a, errAnswer
	}
	head, ok := splitArray(parts[0])
	if !ok || len(head) < 3 {
		return a, errAnswer
	}
	a.header = parts[0]
	if len(parts) > 1 {
		a.body = parts[1]
	}
	return a, a.readHead(head[0], head[1], head[2])
}

func readObjectAnswer(data []byte) (a answer, err error) {
	document, ok := splitObject(data)
	if !ok {
		return a, errAnswer
	}
	a = answer{header: field(document, "header"), body: field(document, "body"), object: true}
	head, ok := splitObject(a.header)
	if !ok {
		return a, errAnswer
	}
	return a, a.readHead(field(head, "return_code"), field(head, "start_time"), field(head, "elapsed_time"))
}

// mostSeconds bounds a header's times, far beyond any clock, so that what is computed
// of them stays finite.
const mostSeconds = 1e12

// readHead reads what every header says, of which a merged header is made: without
// one of the three an answer is none of Groonga's.
func (a *answer) readHead(code, start, elapsed json.RawMessage) (err error) {
	if a.code, err = strconv.ParseInt(string(code), 10, 64); err != nil {
		return errAnswer
	}
	a.start, a.elapsed = json.Number(start), json.Number(elapsed)
	for _, n := range []json.Number{a.start, a.elapsed} {
		if t, err := n.Float64(); err != nil || !(math.Abs(t) <= mostSeconds) {
			return errAnswer
		}
	}
	return nil
}

// result is one list of records: what was found, or the groups of a drilldown.
type result struct {
	hits    int64
	columns []column
	header  json.RawMessage // the columns as they came
	records []json.RawMessage
}

// column is one column of a result.
type column struct{ name, typ string }

// named is a value in an object whose order counts.
type named struct {
	name  string
	value json.RawMessage
}

// readResult reads [[hits],[[name,type],…],record,…].
func readResult(data []byte) (r result, err error) {
	parts, ok := splitArray(data)
	if !ok || len(parts) < 2 {
		return r, errAnswer
	}
	hits, ok := splitArray(parts[0])
	if !ok || len(hits) != 1 {
		return r, errAnswer
	}
	if r.hits, err = readHits(hits[0]); err != nil {
		return r, err
	}
	r.header, r.records = parts[1], parts[2:]
	columns, ok := splitArray(parts[1])
	if !ok {
		return r, errAnswer
	}
	for _, c := range columns {
		pair, ok := splitArray(c)
		if !ok || len(pair) != 2 {
			return r, errAnswer
		}
		if err := r.addColumn(pair[0], pair[1]); err != nil {
			return r, err
		}
	}
	return r, nil
}

// readObjectResult reads the same of command_version 3.
func readObjectResult(data []byte) (r result, err error) {
	parts, ok := splitObject(data)
	if !ok {
		return r, errAnswer
	}
	if r.hits, err = readHits(field(parts, "n_hits")); err != nil {
		return r, err
	}
	r.header = field(parts, "columns")
	columns, ok1 := splitArray(r.header)
	var ok2 bool
	r.records, ok2 = splitArray(field(parts, "records"))
	if !ok1 || !ok2 {
		return r, errAnswer
	}
	for _, c := range columns {
		fields, _ := splitObject(c)
		if err := r.addColumn(field(fields, "name"), field(fields, "type")); err != nil {
			return r, err
		}
	}
	return r, nil
}

// mostHits bounds a result's number of hits, so that counting with those of all
// slices cannot overflow. No table of Groonga has as many records.
const mostHits = 1 << 40

// readHits reads how many were found.
func readHits(data []byte) (int64, error) {
	n, err := strconv.ParseInt(string(data), 10, 64)
	if err != nil || n < 0 || n > mostHits {
		return 0, errAnswer
	}
	return n, nil
}

// addColumn adds a column. What is computed may have null for a type.
func (r *result) addColumn(name, typ json.RawMessage) error {
	text, ok := textOf(name)
	if !ok {
		return errAnswer
	}
	of, _ := textOf(typ)
	r.columns = append(r.columns, column{text, of})
	return nil
}

// result is the list of what was found.
func (a *answer) result() (result, error) {
	if a.object {
		return readObjectResult(a.body)
	}
	parts, ok := splitArray(a.body)
	if !ok || len(parts) == 0 {
		return result{}, errAnswer
	}
	return readResult(parts[0])
}

// rest is what follows the list of what was found: slices[…] by label, if there are to be
// any, and the drilldowns by label (in the order of the answer), or, of those without labels,
// by number.
func (a *answer) rest(sliced bool) (slices, groups []named, err error) {
	if a.object {
		body, ok := splitObject(a.body)
		if !ok {
			return nil, nil, errAnswer
		}
		if slices, err = readByName(field(body, "slices")); err != nil {
			return nil, nil, err
		}
		groups, err = readByName(field(body, "drilldowns"))
		return slices, groups, err
	}
	parts, ok := splitArray(a.body)
	if !ok || len(parts) == 0 {
		return nil, nil, errAnswer
	}
	parts = parts[1:]
	if sliced && len(parts) > 0 && parts[0][0] == '{' {
		if slices, err = readByName(parts[0]); err != nil {
			return nil, nil, err
		}
		parts = parts[1:]
	}
	for i, p := range parts {
		if p[0] == '{' {
			groups, err = readByName(p)
			return slices, groups, err
		}
		groups = append(groups, named{strconv.Itoa(i), p})
	}
	return slices, groups, nil
}

// readSlice reads a list of slices[…]. grouped: it has drilldowns.
func (a *answer) readSlice(data []byte, grouped bool) (l partOf, err error) {
	if a.object {
		fields, ok := splitObject(data)
		if !ok {
			return l, errAnswer
		}
		if l.groups, err = readByName(field(fields, "drilldowns")); err != nil {
			return l, err
		}
		l.result, err = readObjectResult(data)
		return l, err
	}
	if l.result, err = readResult(data); err != nil || !grouped {
		return l, err
	}
	last := len(l.result.records) - 1
	if last < 0 || l.result.records[last][0] != '{' {
		return l, errAnswer
	}
	l.groups, err = readByName(l.result.records[last])
	l.result.records = l.result.records[:last]
	return l, err
}

func readByName(data []byte) ([]named, error) {
	if len(data) == 0 {
		return nil, nil
	}
	list, ok := splitObject(data)
	if !ok {
		return nil, errAnswer
	}
	return list, nil
}

// readGroups reads one drilldown's result.
func (a *answer) readGroups(data []byte) (result, error) {
	if a.object {
		return readObjectResult(data)
	}
	return readResult(data)
}

// readRecord reads one record's values.
func readRecord(data []byte, columns int) ([]json.RawMessage, error) {
	values, ok := appendArray(make([]json.RawMessage, 0, columns), data)
	if !ok || len(values) != columns {
		return nil, fmt.Errorf("%w: a record has not as many values as there are columns", errAnswer)
	}
	return values, nil
}

// times are the header's times of the merged answer: from the first start to the
// last end.
func times(answers []answer) (start, elapsed string) {
	first, last := 0.0, 0.0
	for i, a := range answers {
		from, _ := a.start.Float64()
		took, _ := a.elapsed.Float64()
		if i == 0 || from < first {
			first, start = from, a.start.String()
		}
		last = max(last, from+took)
	}
	return start, formatFloat(max(0, last-first))
}

// Result is what an answer says beside its times, and what replicas agree on: its body, of
// a load with ids the number alone, since replicas may number differently.
func Result(doc []byte) (json.RawMessage, error) {
	a, err := readAnswer(doc)
	if err != nil {
		return nil, err
	}
	if fields, ok := splitObject(a.body); ok && a.object {
		if n := field(fields, "n_loaded_records"); n != nil {
			return n, nil
		}
	}
	return a.body, nil
}

// Message is what an answer says of a failure.
func Message(doc []byte) string {
	a, err := readAnswer(doc)
	if fault := a.readFault(); err == nil && fault != nil {
		return fault.Message
	}
	return "nothing that is understood"
}
