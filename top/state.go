package top

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/ibuki-dev/ibuki/diagnose"
	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/terminal"
)

// state is what the screen shows: plain values, changed by what watcher tells.
type state struct {
	members []member    // sorted by sort, then name
	events  []eventLine // newest last, at most keepLines
	stats   map[string]map[string]string
	rtt     map[string]time.Duration // estimated, from the agent's node
	lost    error                    // why the agent does not answer; nil: it does
	sort    int                      // index in sorts
	filter  string                   // only names and tags that hold this
	known   bool                     // there was a list
}

// member is a member as seen here.
type member struct {
	rpc.Member
	since time.Time // of its status; zero: the agent does not say, and it has not changed here
	flaps int       // how often it failed while we looked
}

// eventLine is one line of the timeline.
type eventLine struct {
	at    time.Time
	kind  string // the event's type: member-failed, user, …
	text  string
	names []string // the members that it is about
}

const keepLines = 1000

// sorts are the orders of the table, as the key "s" goes through them.
var sorts = []string{"worst first", "name", "since", "rtt", "flaps"}

// apply takes what watcher tells.
func (s *state) apply(now time.Time, news any) {
	switch n := news.(type) {
	case memberList:
		s.lost = nil
		s.setMembers(now, n.list)
	case figures:
		s.stats = n.stats
	case coords:
		s.setCoords(n)
	case newEvent:
		s.addEvent(now, &n.event)
	case lost:
		if s.lost == nil {
			s.line(now, "lost", "the agent does not answer: "+n.err.Error())
		}
		s.lost = n.err
	}
}

// setMembers replaces the list; what is known of a member's past stays.
func (s *state) setMembers(now time.Time, list []rpc.Member) {
	old := make(map[string]*member, len(s.members))
	for i := range s.members {
		old[s.members[i].Name] = &s.members[i]
	}
	next := make([]member, len(list))
	for i, m := range list {
		next[i] = member{Member: m}
		was := old[m.Name]
		if was == nil && m.Since != 0 {
			next[i].since = time.Unix(0, m.Since)
			continue
		}
		switch {
		case was != nil && was.Status == m.Status:
			next[i].since, next[i].flaps = was.since, was.flaps
		case was != nil:
			next[i].since, next[i].flaps = now, was.flaps
			if m.Since != 0 {
				next[i].since = time.Unix(0, m.Since)
			}
			if m.Status == "failed" {
				next[i].flaps++
			}
		case s.known:
			next[i].since = now
		}
	}
	s.members, s.known = next, true
	s.order()
}

func (s *state) setCoords(c coords) {
	s.rtt = make(map[string]time.Duration, len(c.members))
	for name, at := range c.members {
		if took, ok := diagnose.RoundTrip(c.self, at); ok {
			s.rtt[name] = took
		}
	}
	s.order()
}

// rank is small for a member that wants attention.
func (m *member) rank() int {
	if m.Status == "alive" && m.Degraded {
		return 1
	}
	return map[string]int{"failed": 0, "leaving": 2, "left": 3, "alive": 4}[m.Status]
}

// order sorts the members.
func (s *state) order() {
	slices.SortFunc(s.members, func(a, b member) int {
		by := 0
		switch sorts[s.sort] {
		case "worst first":
			by = cmp.Compare(a.rank(), b.rank())
		case "since":
			by = b.since.Compare(a.since)
		case "rtt":
			by = cmp.Compare(s.rtt[b.Name], s.rtt[a.Name])
		case "flaps":
			by = cmp.Compare(b.flaps, a.flaps)
		}
		return cmp.Or(by, terminal.Natural(a.Name, b.Name))
	})
}

// nextSort goes to the next order of the table.
func (s *state) nextSort() { s.sortBy((s.sort + 1) % len(sorts)) }

func (s *state) sortBy(which int) {
	s.sort = which
	s.order()
}

func (s *state) addEvent(now time.Time, e *rpc.Event) {
	if len(e.Members) == 0 { // a user event or a query
		s.line(now, e.Type, e.Name+" "+quotePayload(e.Payload))
		return
	}
	names := make([]string, len(e.Members))
	for i, m := range e.Members {
		names[i] = m.Name
	}
	slices.SortFunc(names, terminal.Natural)
	s.events = append(s.events, eventLine{at: now, kind: e.Type, names: names})
	s.trim()
}

// quotePayload shows a payload on one line, cut.
func quotePayload(p []byte) string {
	const most = 60
	if len(p) == 0 {
		return ""
	}
	if len(p) > most {
		return strconv.Quote(string(p[:most])) + "…"
	}
	return strconv.Quote(string(p))
}

func (s *state) line(now time.Time, kind, text string) {
	s.events = append(s.events, eventLine{at: now, kind: kind, text: strings.TrimSpace(text)})
	s.trim()
}

// trim forgets what is old.
func (s *state) trim() {
	if len(s.events) > 2*keepLines {
		s.events = slices.Clone(s.events[keepLines:])
	}
}

// shown are the members that the filter lets through.
func (s *state) shown() []member {
	if s.filter == "" {
		return s.members
	}
	var some []member
	for _, m := range s.members {
		if strings.Contains(m.Name, s.filter) || strings.Contains(m.Status, s.filter) || strings.Contains(tagText(&m), s.filter) {
			some = append(some, m)
		}
	}
	return some
}

func tagText(m *member) string {
	var tags []string
	for _, key := range slices.Sorted(maps.Keys(m.Tags)) {
		tags = append(tags, key+"="+m.Tags[key])
	}
	return strings.Join(tags, ",")
}

// cells are the table's header and rows. Where width is too little for the tags,
// the addresses go first, then the tags are cut.
func (s *state) cells(now time.Time, list []member, width int) [][]string {
	cells := [][]string{{"NAME", "ADDRESS", "STATUS", "SINCE", "RTT", "FLAPS", "TAGS"}}
	for i := range list {
		m := &list[i]
		addr := net.JoinHostPort(m.Addr.String(), strconv.Itoa(int(m.Port)))
		status, rtt := m.Status, "-"
		if m.Degraded && status == "alive" {
			status = "degraded"
		}
		if d, ok := s.rtt[m.Name]; ok && m.Status == "alive" {
			rtt = fmt.Sprintf("%.2f ms", d.Seconds()*1000)
		}
		cells = append(cells, []string{m.Name, addr, status, age(now, m.since), rtt, strconv.Itoa(m.flaps), tagText(m)})
	}
	if width == 0 || lineWidth(cells) <= width {
		return cells
	}
	for i, row := range cells {
		cells[i] = slices.Delete(row, 1, 2)
	}
	if over := lineWidth(cells) - width; over > 0 {
		last := len(cells[0]) - 1
		room := 0
		for _, row := range cells {
			room = max(room, lipgloss.Width(row[last]))
		}
		for _, row := range cells {
			row[last] = terminal.Fit(row[last], max(4, room-over))
		}
	}
	return cells
}

// lineWidth is how wide the table is.
func lineWidth(cells [][]string) int {
	most := 0
	for _, line := range terminal.PlainTable(cells) {
		most = max(most, lipgloss.Width(line))
	}
	return most
}

func age(now, since time.Time) string {
	if since.IsZero() {
		return "-"
	}
	return terminal.Age(max(0, now.Sub(since)))
}

// summary is the head line: how many are what, and the agent's own health. Members
// that left are not of all.
func (s *state) summary() []string {
	counts := make(map[string]int)
	degraded := 0
	for i := range s.members {
		counts[s.members[i].Status]++
		if s.members[i].Status == "alive" && s.members[i].Degraded {
			degraded++
		}
	}
	totals := fmt.Sprintf("%d of %d alive", counts["alive"], len(s.members)-counts["left"])
	for _, status := range []string{"failed", "leaving", "left"} {
		if counts[status] > 0 {
			totals += fmt.Sprintf(", %d %s", counts[status], status)
		}
	}
	if degraded > 0 {
		totals += fmt.Sprintf(", %d degraded", degraded)
	}
	parts := []string{totals}
	serf := s.stats["serf"]
	if h := serf["health_score"]; h != "" && h != "0" {
		parts = append(parts, "this agent is too slow (health score "+h+")")
	}
	var waiting []string
	for _, queue := range []string{"intent", "event", "query"} {
		if n := serf[queue+"_queue"]; n != "" && n != "0" {
			waiting = append(waiting, queue+" queue "+n)
		}
	}
	return append(parts, waiting...)
}
