package groonga

import (
	"bytes"
	"errors"
	"strconv"
)

// ErrByNumber refuses a write to a record that is addressed by number.
var ErrByNumber = errors.New("a record addressed by number, which its replicas may number differently: address it by its _key")

// FindByNumber asks a server for the key of the record that a delete addresses by number.
// ok is false where it is addressed otherwise, too, or the command is another one.
func (c *Command) FindByNumber() (find *Command, ok bool) {
	id := c.Get("id")
	if _, err := strconv.ParseUint(id, 10, 32); c.Name != "delete" || err != nil || c.Get("key") != "" || c.Get("filter") != "" {
		return nil, false
	}
	return &Command{Name: "select", Dataset: c.Dataset, Args: []Arg{{"table", c.Get("table")}, {"filter", "_id == " + id}, {"output_columns", "_key"}}}, true
}

// KeyFound reads the answer to FindByNumber. ok is false where there is no such record, it has
// no key, or one of which an answer may not have all digits.
func KeyFound(doc []byte) (key string, ok bool) {
	a, err := readAnswer(doc)
	if err != nil || a.code != 0 {
		return "", false
	}
	r, err := a.result()
	if err != nil || len(r.records) != 1 || len(r.columns) != 1 || r.columns[0].name != "_key" {
		return "", false
	}
	values, err := readRecord(r.records[0], 1)
	if err != nil {
		return "", false
	}
	if r.columns[0].typ == "ShortText" {
		return textOf(values[0])
	}
	return string(values[0]), digits.Match(values[0])
}

// ByNumber reports whether a write addresses a record by its number, _id. Replicas that were
// filled at different times, or got a load twice, need not number alike.
func (c *Command) ByNumber() (bool, error) {
	switch c.Name {
	case "delete":
		_, ok := c.Lookup("id")
		return ok, nil
	case "load":
		text := c.Body
		if text == nil {
			text = []byte(c.Get("values"))
		}
		// Most loads need not be taken apart for this.
		if !bytes.Contains(text, []byte("_id")) && !bytes.Contains(text, []byte(`\u`)) && c.Get("columns") == "" {
			return false, nil
		}
		records, err := Records(c)
		if err != nil {
			return false, err
		}
		return records.ByID(), nil
	}
	return false, nil
}
