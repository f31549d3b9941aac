package groonga

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// LoadResult is what came of a load, of which several servers or several steps did a
// part each.
type LoadResult struct {
	Header
	Status int // HTTP's
	Loaded int // records
	// plain: the header is that of command_version 1 although the body is not: so Groonga says
	// of what is posted to a table that is none.
	plain bool
	// IDs and Errors are told of each record if they were asked for; nil: they were not.
	IDs, Errors []json.RawMessage
}

// ReadLoad reads the answer to a load. One that is not in the form of Asked has a
// number only.
func ReadLoad(a Answer) (r LoadResult, err error) {
	doc, err := readAnswer(a.Body)
	if err != nil {
		return r, err
	}
	r = LoadResult{Header: doc.head(), Status: a.Status}
	if !doc.object && (len(doc.body) == 0 || doc.body[0] != '{') {
		if len(doc.body) > 0 {
			r.Loaded, err = strconv.Atoi(string(doc.body))
		}
		return r, loadFault(err)
	}
	if len(doc.body) == 0 {
		return r, nil
	}
	r.plain = !doc.object
	body, ok := splitObject(doc.body)
	if !ok {
		return r, errAnswer
	}
	r.Loaded, err = strconv.Atoi(string(field(body, "n_loaded_records")))
	if ids := field(body, "loaded_ids"); ids != nil {
		r.IDs, ok = appendArray([]json.RawMessage{}, ids)
	}
	if errs := field(body, "errors"); errs != nil && ok {
		r.Errors, ok = appendArray([]json.RawMessage{}, errs)
	}
	if !ok {
		return r, errAnswer
	}
	return r, loadFault(err)
}

func loadFault(err error) error {
	if err != nil {
		return fmt.Errorf("%w: the number of a load: %v", errAnswer, err)
	}
	return nil
}

// Add adds what came of the next records. Like Groonga it tells the last fault.
func (r *LoadResult) Add(next LoadResult) {
	r.Loaded += next.Loaded
	r.IDs = append(r.IDs, next.IDs...)
	r.Errors = append(r.Errors, next.Errors...)
	if next.Code != 0 {
		r.Code, r.Fault, r.Status, r.plain = next.Code, next.Fault, next.Status, next.plain
	}
}

// UnreadRecord is what came of a record that no server was given, since it cannot be read.
func UnreadRecord(c *Command, err error) *LoadResult {
	const invalid, badRequest = -22, 400
	r := &LoadResult{Header: Header{Code: invalid, Fault: &Fault{Message: err.Error()}}, Status: badRequest}
	if c.Get("output_ids") == "yes" {
		r.IDs = []json.RawMessage{[]byte("0")}
	}
	if c.Get("output_errors") == "yes" {
		message := escapeText([]byte(`{"return_code":-22,"message":`), err.Error())
		r.Errors = []json.RawMessage{append(message, '}')}
	}
	return r
}

// Answer is the result in a client's form.
func (r *LoadResult) Answer(f Form) Answer {
	a := Answer{Status: r.Status, Code: r.Code}
	body := integerValue(int64(r.Loaded))
	if f.Version >= 3 {
		body = object("result", "n_loaded_records", body)
		if r.IDs != nil {
			ids := array("loaded_ids")
			for _, id := range r.IDs {
				ids.add(number(string(id)))
			}
			body.set("loaded_ids", ids)
		}
		if r.Errors != nil {
			errs := array("errors")
			for _, e := range r.Errors {
				errs.add(valueOf(e, "error"))
			}
			body.set("errors", errs)
		}
	}
	if r.plain {
		f.Version = 1
	}
	a.ContentType, a.Body = f.Write(r.Header, body)
	if a.Status == 0 {
		a.Status = 200
	}
	return a
}

// CombineLoads makes one answer of those to the parts of a load c. rows are which of the
// client's records each part had, in their order.
func CombineLoads(c *Command, parts []*Command, answers []Answer, rows [][]int) (Answer, error) {
	results := make([]LoadResult, len(answers))
	heads := make([]answer, len(answers))
	for i, a := range answers {
		var err error
		if results[i], err = ReadLoad(a); err != nil {
			return Answer{}, err
		}
		if heads[i], err = readAnswer(a.Body); err != nil {
			return Answer{}, err
		}
	}
	whole := combineLoads(parts, results, rows)
	whole.Start, whole.Elapsed = times(heads)
	one := whole.Answer(c.Form())
	one.Volume = answers[0].Volume
	return one, nil
}

// combineLoads makes one result of those to the parts of a load.
func combineLoads(parts []*Command, results []LoadResult, rows [][]int) LoadResult {
	whole := LoadResult{Header: results[0].Header, Status: results[0].Status}
	whole.Code, whole.Fault = 0, nil
	total, last := 0, -1
	for i, r := range results {
		whole.Loaded += r.Loaded
		total += len(rows[i])
		if r.Code == 0 || len(rows[i]) == 0 {
			continue
		}
		if at := rows[i][faultyRow(parts[i], r.Fault, len(rows[i]))]; at > last {
			last = at
			whole.Code, whole.Fault, whole.Status, whole.plain = r.Code, r.Fault, r.Status, r.plain
		}
	}
	whole.IDs = interleave(results, rows, total, func(r LoadResult) []json.RawMessage { return r.IDs })
	whole.Errors = interleave(results, rows, total, func(r LoadResult) []json.RawMessage { return r.Errors })
	return whole
}

// interleave puts what was told of each record in the client's order. Where a server did
// not tell it of each of its records, one list comes after the other.
func interleave(results []LoadResult, rows [][]int, total int, of func(LoadResult) []json.RawMessage) []json.RawMessage {
	all := make([]json.RawMessage, total)
	joined := []json.RawMessage{}
	each := true
	for i, r := range results {
		list := of(r)
		if list == nil {
			return nil
		}
		joined = append(joined, list...)
		if each = each && len(list) == len(rows[i]); !each {
			continue
		}
		for k, at := range rows[i] {
			all[at] = list[k]
		}
	}
	if !each {
		return joined
	}
	return all
}

// What Groonga says of a record that it does not take, or not wholly.
var (
	noColumn     = regexp.MustCompile(`nonexistent column: <([^>]*)>`)
	noIdentifier = regexp.MustCompile(`neither <_key> nor <_id>`)
	noCast       = regexp.MustCompile(`<[^.>]+\.([^>]+)>: failed to cast`)
)

// faultyRow is the last of a load's records that a fault may be about. It tells which of the
// faults that several servers have is the last one, which Groonga answers.
func faultyRow(c *Command, f *Fault, rows int) int {
	list, err := Records(c)
	if err != nil || f == nil || len(list.Rows) != rows {
		return rows - 1
	}
	column, missing := "", false
	if m := noColumn.FindStringSubmatch(f.Message); m != nil {
		column = m[1]
	} else if m := noCast.FindStringSubmatch(f.Message); m != nil {
		column = m[1]
	} else if missing = noIdentifier.MatchString(f.Message); missing {
		column = "_key"
	}
	isCast := noCast.MatchString(f.Message)
	for i := rows - 1; i >= 0 && column != ""; i-- {
		value := field(list.fields(list.Rows[i]), column)
		if there := value != nil; there != missing && (!isCast || strings.Contains(f.Message, "<"+string(value)+">")) {
			return i
		}
	}
	return rows - 1
}
