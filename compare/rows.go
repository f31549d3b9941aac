package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"

	"github.com/ibuki-dev/ibuki/groonga"
)

// page is a part of a table as a server has answered it: [[[hits],[columns],row,row...]].
type page struct {
	hits uint64
	rest []byte // from behind the number of hits
}

// row is a record: its key as JSON, and all of it.
type row struct{ key, text string }

// readPage takes apart the answer to a select.
func readPage(a *groonga.Answer) (p page, err error) {
	body, err := groonga.Result(a.Body)
	if err != nil {
		return p, err
	}
	text, ok := bytes.CutPrefix(body, []byte("[[["))
	end := bytes.IndexByte(text, ']')
	if !ok || end < 0 {
		return p, fmt.Errorf("an answer to select of no known form: %.100s", body)
	}
	if p.hits, err = strconv.ParseUint(string(text[:end]), 10, 64); err != nil {
		return p, fmt.Errorf("an answer to select of no known form: %.100s", body)
	}
	p.rest = text[end+1:]
	return p, nil
}

// rows are those of a page.
func (p *page) rows() ([]row, error) {
	text := make([]byte, 0, len(p.rest)+1)
	text = append(append(text, '['), bytes.TrimPrefix(p.rest, []byte(","))...)
	text = text[:len(text)-1] // the bracket around all results
	var list []json.RawMessage
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("an answer to select of no known form: %w", err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("an answer to select without its columns: %.100s", p.rest)
	}
	rows := make([]row, 0, len(list)-1)
	for _, text := range list[1:] {
		key, err := firstOf(text)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{key, string(text)})
	}
	return rows, nil
}

// firstOf is the first element of an array: a string, a number or a word.
func firstOf(text []byte) (string, error) {
	if len(text) < 2 || text[0] != '[' {
		return "", fmt.Errorf("a record of no known form: %.100s", text)
	}
	i := 1
	if text[1] == '"' {
		for i = 2; i < len(text) && text[i] != '"'; i++ {
			if text[i] == '\\' {
				i++
			}
		}
		i++
	} else {
		for i < len(text) && text[i] != ',' && text[i] != ']' {
			i++
		}
	}
	if i > len(text) {
		return "", fmt.Errorf("a record of no known form: %.100s", text)
	}
	return string(text[1:i]), nil
}

// content is a row without its first element.
func (r *row) content() string { return strings.TrimPrefix(r.text, "["+r.key) }

// cells are the elements of a row.
func (r *row) cells() (list []json.RawMessage) {
	_ = json.Unmarshal([]byte(r.text), &list) // it was read before
	return list
}

// literal writes a value of a type as one in Groonga's script language. Numbers of 64 bits
// without a sign are strings: as numbers, Groonga 13.0.0 does not find the greatest.
func literal(value, typ string) string {
	if !strings.HasPrefix(value, `"`) {
		if typ == "UInt64" {
			return `"` + value + `"`
		}
		return value
	}
	var s string
	if json.Unmarshal([]byte(value), &s) != nil {
		return value
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// digest is a hash of rows whose order does not matter.
type digest struct{ count, sum, bytes uint64 }

var seed = maphash.MakeSeed()

func hashOf(s string) uint64 { return maphash.String(seed, s) }

func (d *digest) add(s string) {
	d.count++
	d.sum += hashOf(s)
	d.bytes += uint64(len(s))
}
