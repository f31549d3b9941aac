package interop

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// page is where the truth about parity is kept; these tests compare it with the
// real program on one side and ours on the other.
const page = "../docs/serf-compat.md"

// What the second column of a table may say.
const (
	does      = "yes"
	refuses   = "refused"   // with a line that names it, before anything starts
	notYet    = "not yet"   // not there at all
	different = "different" // on purpose, and the third column says why
)

// row is a line of a table of the page.
type row struct {
	item, status, note string
}

// works: it is there, if perhaps not as in Serf.
func (r row) works() bool { return r.status == does || r.status == different }

var rowLine = regexp.MustCompile("^\\| `([^`]+)` \\| ([^|]+) \\|(?: (.*?))? \\|$")

// readPage returns the tables by the headings that they are under.
func readPage(t *testing.T) map[string][]row {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string][]row{}
	heading := ""
	for i, line := range strings.Split(string(data), "\n") {
		if h, ok := strings.CutPrefix(line, "## "); ok {
			heading = h
		}
		// What is different on purpose has a column for each program, and a test of its own.
		if heading == "Different on purpose" || !strings.HasPrefix(line, "| `") {
			continue
		}
		m := rowLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("%s:%d: not a row: %s", page, i+1, line)
		}
		r := row{m[1], m[2], m[3]}
		if !slices.Contains([]string{does, refuses, notYet, different}, r.status) {
			t.Errorf("%s:%d: %s: nobody knows what %q means", page, i+1, r.item, r.status)
		}
		if r.status == different && len(r.note) < 10 {
			t.Errorf("%s:%d: %s is different, and the page does not say how and why", page, i+1, r.item)
		}
		if slices.ContainsFunc(tables[heading], func(o row) bool { return o.item == r.item }) {
			t.Errorf("%s:%d: %s is there twice", page, i+1, r.item)
		}
		tables[heading] = append(tables[heading], r)
	}
	return tables
}

// unique sorts and takes out what is there twice.
func unique(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// lists are the tables of the page that the real source has a list for.
func (s *source) lists() map[string][]string {

	return map[string][]string{
		"Commands":             s.commands(),
		"Flags":                s.flags(),
		"Environment":          s.variables(),
		"Configuration keys":   s.keys(),
		"RPC commands":         s.rpcCommands(),
		"RPC records, errors":  s.rpcTexts(),
		"Event types":          s.eventTypes(),
		"Gossip messages":      s.enum(s.ml, "net.go", "messageType"),
		"Serf messages":        s.enum(s.serf, "serf/messages.go", "messageType"),
		"Query filters, flags": append(s.enum(s.serf, "serf/messages.go", "filterType"), s.enum(s.serf, "serf/messages.go", "uint32")...),
		"Internal queries":     s.consts(s.serf, "serf/internal_query.go", regexp.MustCompile(`Query$`)),
		"Snapshot lines":       s.snapshotLines(),
		"Metrics":              s.metrics(),
	}
}

// TestParityPage: whatever the real program has is on the page, and nothing that it
// has not.
func TestParityPage(t *testing.T) {
	t.Parallel()
	tables, src := readPage(t), realSource(t)
	for heading, items := range src.lists() { // order-free: tables are independent
		if items = unique(items); len(items) == 0 {
			t.Errorf("%s: nothing was found in the real source; the reader of it is broken", heading)
		}
		var there []string
		for _, r := range tables[heading] {
			there = append(there, r.item)
			if !slices.Contains(items, r.item) {
				t.Errorf("%s: the real program has no %s", heading, r.item)
			}
		}
		for _, item := range items {
			if !slices.Contains(there, item) {
				t.Errorf("%s: the real program has %s; the page does not name it", heading, item)
			}
		}
	}
}
