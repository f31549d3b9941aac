package dispatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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
	if data = bytes.TrimSpace(data); len(data) > 0 && data[0] == '{' {
		return readObjectAnswer(data)
	}
	var parts, head []json.RawMessage
	if json.Unmarshal(data, &parts) != nil || len(parts) == 0 || json.Unmarshal(parts[0], &head) != nil || len(head) < 3 {
		return a, errAnswer
	}
	a.header = parts[0]
	if len(parts) > 1 {
		a.body = parts[1]
	}
	a.start, a.elapsed = json.Number(head[1]), json.Number(head[2])
	if a.code, err = strconv.ParseInt(string(head[0]), 10, 64); err != nil {
		return a, errAnswer
	}
	return a, nil
}

func readObjectAnswer(data []byte) (a answer, err error) {
	var document struct {
		Header json.RawMessage `json:"header"`
		Body   json.RawMessage `json:"body"`
	}
	var head struct {
		Code    int64       `json:"return_code"`
		Start   json.Number `json:"start_time"`
		Elapsed json.Number `json:"elapsed_time"`
	}
	if json.Unmarshal(data, &document) != nil || json.Unmarshal(document.Header, &head) != nil {
		return a, errAnswer
	}
	return answer{head.Code, head.Start, head.Elapsed, document.Header, document.Body, true}, nil
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
	var parts, columns []json.RawMessage
	var hits []int64
	if json.Unmarshal(data, &parts) != nil || len(parts) < 2 || json.Unmarshal(parts[0], &hits) != nil || len(hits) != 1 ||
		json.Unmarshal(parts[1], &columns) != nil {
		return r, errAnswer
	}
	r.hits, r.header, r.records = hits[0], parts[1], parts[2:]
	for _, c := range columns {
		var pair []*string
		if json.Unmarshal(c, &pair) != nil || len(pair) != 2 || pair[0] == nil {
			return r, errAnswer
		}
		r.columns = append(r.columns, newColumn(*pair[0], pair[1]))
	}
	return r, nil
}

// readObjectResult reads the same of command_version 3.
func readObjectResult(data []byte) (r result, err error) {
	var parts struct {
		Hits    *int64            `json:"n_hits"`
		Columns json.RawMessage   `json:"columns"`
		Records []json.RawMessage `json:"records"`
	}
	var columns []struct {
		Name string  `json:"name"`
		Type *string `json:"type"`
	}
	if json.Unmarshal(data, &parts) != nil || parts.Hits == nil || json.Unmarshal(parts.Columns, &columns) != nil {
		return r, errAnswer
	}
	r.hits, r.header, r.records = *parts.Hits, parts.Columns, parts.Records
	for _, c := range columns {
		r.columns = append(r.columns, newColumn(c.Name, c.Type))
	}
	return r, nil
}

func newColumn(name string, typ *string) column {
	if typ == nil { // what is computed may have none
		return column{name: name}
	}
	return column{name, *typ}
}

// result is the list of what was found.
func (a *answer) result() (result, error) {
	if a.object {
		return readObjectResult(a.body)
	}
	var parts []json.RawMessage
	if json.Unmarshal(a.body, &parts) != nil || len(parts) == 0 {
		return result{}, errAnswer
	}
	return readResult(parts[0])
}

// groups are the drilldowns' results: by label (in the order of the answer), or, of
// those without labels, by number.
func (a *answer) groups() (list []named, err error) {
	if a.object {
		var body struct {
			Drilldowns json.RawMessage `json:"drilldowns"`
		}
		if json.Unmarshal(a.body, &body) != nil {
			return nil, errAnswer
		}
		return readObject(body.Drilldowns)
	}
	var parts []json.RawMessage
	if json.Unmarshal(a.body, &parts) != nil || len(parts) == 0 {
		return nil, errAnswer
	}
	for i, p := range parts[1:] {
		if bytes.HasPrefix(p, []byte("{")) {
			return readObject(p)
		}
		list = append(list, named{strconv.Itoa(i), p})
	}
	return list, nil
}

// readObject reads an object in its order.
func readObject(data []byte) (list []named, err error) {
	if len(data) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errAnswer
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, errAnswer
		}
		n := named{name: fmt.Sprint(name)}
		if dec.Decode(&n.value) != nil {
			return nil, errAnswer
		}
		list = append(list, n)
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
func readRecord(data []byte, columns int) (values []json.RawMessage, err error) {
	if json.Unmarshal(data, &values) != nil || len(values) != columns {
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
	return start, strconv.FormatFloat(max(0, last-first), 'g', -1, 64)
}
