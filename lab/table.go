package lab

import (
	"fmt"
	"strings"
	"time"
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
		r := row{name: n.name, addr: n.place.bind(), process: n.state, pid: n.pid,
			since: time.Since(n.since).Truncate(time.Second).String()}
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

// cells are the table's header and cells, not yet aligned.
func cells(rows []row) [][]string {
	matrix := len(rows) <= matrixNodes
	head := []string{"NODE", "ADDRESS", "PROCESS", "PID", "SINCE"}
	if len(rows) > 0 && len(rows[0].beside) > 0 {
		head = append(head, "GROONGA", "GATEWAY", "RECORDS", "WAITING")
	}
	if matrix {
		for _, r := range rows {
			head = append(head, "BY "+r.name)
		}
	} else {
		head = append(head, "SEEN")
	}
	cells := [][]string{head}
	for _, r := range rows {
		pid := "-"
		if r.pid != 0 {
			pid = fmt.Sprint(r.pid)
		}
		line := append([]string{r.name, r.addr, r.process, pid, r.since}, r.beside...)
		if matrix {
			line = append(line, r.seen...)
		} else {
			line = append(line, countSeen(r.seen))
		}
		cells = append(cells, line)
	}
	return cells
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
