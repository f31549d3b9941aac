package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/ibuki-dev/ibuki/terminal"
)

// matrixNodes is up to how many nodes the table has a column for each
// observer; beyond, it counts them.
const matrixNodes = 8

// row is one line of the table: a node, its process, and how the others see it.
type row struct {
	name    string
	addr    string
	process string   // "running", "frozen", "down"
	pid     int      // 0 when down
	since   string   // how long it has been so
	beside  []string // the states of the processes beside it, and what waits for it
	seen    []string // by each node in turn: "alive", …; "" if not listed; "-" if that node does not say
}

// rows is a copy of the cluster's state.
func (c *cluster) rows() []row {
	c.mu.Lock()
	defer c.mu.Unlock()
	rows := make([]row, len(c.nodes))
	for i, n := range c.nodes {
		r := row{name: c.label(n.name), addr: n.place.bind(), process: n.state, pid: n.pid,
			since: terminal.Age(time.Since(n.since))}
		for _, observer := range c.nodes {
			status := observer.seen[n.name]
			if observer.state != stateRunning {
				status = "-"
			}
			r.seen = append(r.seen, status)
		}
		for _, p := range n.beside {
			r.beside = append(r.beside, p.state)
		}
		if c.search != nil {
			r.beside = append(r.beside, c.search.numbers(i)...)
		}
		rows[i] = r
	}
	return rows
}

// status is what those who say see of the node: one word if they agree.
func (r *row) status() string {
	status := ""
	said := false
	for _, s := range r.seen {
		switch {
		case s == "-":
		case !said:
			status, said = s, true
		case s != status:
			return statusMixed
		}
	}
	if status == "" {
		return statusUnknown
	}
	return status
}

// What a node is called that not all see alike, or that nobody lists.
const (
	statusMixed   = "seen differently"
	statusUnknown = "not joined"
)

// troubles are the statuses, the worst first.
var troubles = []string{"failed", statusMixed, statusUnknown, "leaving", "left", "alive"}

// trouble is small for a node that wants attention.
func (r *row) trouble() int {
	rank := 2 * slices.Index(troubles, r.status())
	if r.process != stateRunning && r.status() == "alive" {
		return rank - 1
	}
	return rank
}

// totals are how many nodes of all are what: "57 of 60 alive, 3 failed". Those that
// left are not of all.
func totals(rows []row) string {
	count := make(map[string]int)
	for i := range rows {
		count[rows[i].status()]++
	}
	text := fmt.Sprintf("%d of %d alive", count["alive"], len(rows)-count["left"])
	for _, status := range troubles[:len(troubles)-1] {
		if count[status] > 0 {
			text += fmt.Sprintf(", %d %s", count[status], status)
		}
	}
	return text
}

// layout says which columns a table has.
type layout struct{ addr, pid, since, matrix, short bool }

// layouts are from the fullest on; the first that fits is taken.
var layouts = []layout{
	{addr: true, pid: true, since: true, matrix: true},
	{addr: true, since: true, matrix: true},
	{since: true, matrix: true},
	{matrix: true},
	{matrix: true, short: true},
	{addr: true, pid: true, since: true},
	{addr: true, since: true},
	{since: true},
	{},
}

// cells are the table's header and cells with the columns that fit into width, not
// yet aligned. A width of 0 fits everything.
func cells(rows []row, width int) [][]string {
	var table [][]string
	for _, l := range layouts {
		if l.matrix && len(rows) > matrixNodes {
			continue
		}
		table = l.cells(rows)
		if width == 0 || widest(terminal.PlainTable(table)) <= width {
			break
		}
	}
	return table
}

func widest(lines []string) int {
	most := 0
	for _, line := range lines {
		most = max(most, lipgloss.Width(line))
	}
	return most
}

func (l layout) cells(rows []row) [][]string {
	row := func(name, addr, process, pid, since string) []string {
		cells := []string{name}
		if l.addr {
			cells = append(cells, addr)
		}
		cells = append(cells, process)
		if l.pid {
			cells = append(cells, pid)
		}
		if l.since {
			cells = append(cells, since)
		}
		return cells
	}
	head := row("NODE", "ADDRESS", "PROCESS", "PID", "SINCE")
	if len(rows) > 0 && len(rows[0].beside) > 0 {
		head = append(head, "GROONGA", "GATEWAY", "RECORDS", "WAITING")
	}
	switch {
	case l.matrix && l.short:
		for i := range rows {
			head = append(head, fmt.Sprintf("BY %d", i))
		}
	case l.matrix:
		for i := range rows {
			head = append(head, "BY "+rows[i].name)
		}
	default:
		head = append(head, "SEEN")
	}
	table := [][]string{head}
	for i := range rows {
		r := &rows[i]
		pid := "-"
		if r.pid != 0 {
			pid = fmt.Sprint(r.pid)
		}
		line := append(row(r.name, r.addr, r.process, pid, r.since), r.beside...)
		if l.matrix {
			line = append(line, r.seen...)
		} else {
			line = append(line, countSeen(r.seen))
		}
		table = append(table, line)
	}
	return table
}

// countSeen turns what many nodes say into "alive 9, failed 2".
func countSeen(seen []string) string {
	var parts []string
	for _, status := range []string{"alive", "leaving", "left", "failed"} {
		count := 0
		for _, s := range seen {
			if s == status {
				count++
			}
		}
		if count > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", status, count))
		}
	}
	return strings.Join(parts, ", ")
}
