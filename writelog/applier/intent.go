package applier

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/ibuki-dev/ibuki/groonga"
)

// intent is what is written into the database before a command that may not be done again
// without a look: what it is, and what there was.
type intent struct {
	Index   uint64 `json:"index"`
	Sum     uint32 `json:"sum"`               // of the command
	Boot    string `json:"boot"`              // boot id of the server's host
	Started string `json:"started,omitempty"` // when the server was started, as it says; "" if that was within its first second
	Sent    bool   `json:"sent,omitempty"`    // the command was on its way
	Done    bool   `json:"done,omitempty"`    // the server has answered it
	Code    int    `json:"code,omitempty"`    // with this return code
	Here    string `json:"here"`              // shape of the object that it is about; "" if it is not there
	There   string `json:"there,omitempty"`   // of the one of the new name
	Records uint64 `json:"records,omitempty"` // in the table without keys
	Dense   bool   `json:"dense,omitempty"`   // whose next ids were those after Records
}

// sum is what a command is known again by.
func sum(c *groonga.Command) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(c.AppendURI(nil)), crc32.IEEETable, c.Body)
}

func (i *intent) encode() string {
	b, err := json.Marshal(i)
	if err != nil {
		panic(err) // numbers and short strings
	}
	return string(b)
}

func decodeIntent(s string) (intent, error) {
	var i intent
	if err := json.Unmarshal([]byte(s), &i); err != nil || i.Index == 0 {
		return i, fmt.Errorf("not an intent: %.80q", s)
	}
	return i, nil
}

// objects are the names of what a database has.
type objects map[string]bool

// shape tells what there is of an object: "" for nothing, else a sum of the names of its columns. What
// is left of a table that is not there itself is a shape too.
func (o objects) shape(name string) string {
	var parts []string
	for n := range o { // order-free: sorted
		if rest, ok := strings.CutPrefix(n, name+"."); ok {
			parts = append(parts, rest)
		}
	}
	if !o[name] && len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	return fmt.Sprintf("%v-%d-%08x", o[name], len(parts), crc32.ChecksumIEEE([]byte(strings.Join(parts, "\n"))))
}

// named are the full names of the object that a schema command is about, and of the one that it makes of it.
func named(c *groonga.Command) (here, there string) {
	switch c.Name {
	case "table_create", "table_remove", "object_remove":
		return c.Get("name"), ""
	case "table_rename":
		return c.Get("name"), c.Get("new_name")
	case "column_create", "column_remove":
		return c.Get("table") + "." + c.Get("name"), ""
	case "column_rename":
		return c.Get("table") + "." + c.Get("name"), c.Get("table") + "." + c.Get("new_name")
	}
	return "", ""
}

// verdict is what is to be done about a command that may have been begun before a crash.
type verdict uint8

const (
	redo      verdict = iota // it left nothing, or what it left may be done again
	done                     // it was done
	undecided                // nobody can tell
)

// judge compares what there was before a command with what there is now. started is when the server was started:
// one that was killed while it changed its schema leaves names of nothing, and structures in half, that
// neither a look nor doing it again mends.
func (i *intent) judge(k class, here, there, boot, started string) verdict {
	switch {
	case i.Boot == boot && i.Done:
		return done
	case i.Boot == boot && !i.Sent:
		return redo
	}
	if i.Boot != boot || i.Started == "" || i.Started != started {
		return undecided
	}
	switch {
	case k == heavy:
		return redo
	case k == create && i.Here == "" && here != "", k == remove && i.Here != "" && here == "":
		return done
	case k == rename && here == "" && there == i.Here && i.There == "" && i.Here != "":
		return done
	case k >= create && here == i.Here && there == i.There:
		return redo
	}
	return undecided
}

// rest decides about a load into a table without keys by the number of records now: how many of its rows are
// in, and whether the last of these may be in half and has to be written again, over its id. started is when the
// server was started. One that has run all the time has no half of a row; in any other, which row has which id is
// known only where no id was free: Groonga gives those of deleted records again, in an order of its own.
func (i *intent) rest(total int, now uint64, started string) (in int, mend bool, v verdict) {
	same := i.Started != "" && i.Started == started
	switch {
	case now == i.Records:
		return 0, false, redo
	case now < i.Records || now > i.Records+uint64(total) || !same && !i.Dense:
		return 0, false, undecided
	}
	return int(now - i.Records), !same, redo
}

// mend is a load that writes a row over the record of an id.
func (r rows) mend(c *groonga.Command, n int, id uint64) (*groonga.Command, error) {
	one := rows{&groonga.RecordList{Columns: r.Columns, Rows: r.Rows[n : n+1]}}
	var row []byte
	var err error
	whole := one.each(func(values map[string]json.RawMessage) bool {
		values["_id"] = json.RawMessage(fmt.Sprint(id))
		row, err = json.Marshal(values)
		return err == nil
	})
	if !whole {
		return nil, fmt.Errorf("row %d of a load is no record: %w", n, err)
	}
	next := new(groonga.RecordList).Command(c, []json.RawMessage{row})
	next.Del("columns")
	return next, nil
}
