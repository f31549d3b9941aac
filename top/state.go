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

	"github.com/ibuki-dev/ibuki/diagnose"
	"github.com/ibuki-dev/ibuki/rpc"
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
	since time.Time // of its status; zero: since before we looked
	flaps int       // how often it failed while we looked
}

// eventLine is one line of the timeline.
type eventLine struct {
	at   time.Time
	kind string // the event's type: member-failed, user, …
	text string
}

const keepLines = 1000

// sorts are the orders of the table, as the key "s" goes through them.
var sorts = []string{"name", "status", "since", "rtt"}

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
		switch {
		case was != nil && was.Status == m.Status:
			next[i].since, next[i].flaps = was.since, was.flaps
		case was != nil:
			next[i].since, next[i].flaps = now, was.flaps
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

// statusRank puts first what wants attention.
var statusRank = map[string]int{"failed": 0, "leaving": 1, "left": 2, "alive": 3}

// order sorts the members.
func (s *state) order() {
	slices.SortFunc(s.members, func(a, b member) int {
		by := 0
		switch sorts[s.sort] {
		case "status":
			by = cmp.Compare(statusRank[a.Status], statusRank[b.Status])
		case "since":
			by = b.since.Compare(a.since)
		case "rtt":
			by = cmp.Compare(s.rtt[b.Name], s.rtt[a.Name])
		}
		return cmp.Or(by, cmp.Compare(a.Name, b.Name))
	})
}

// nextSort goes to the next order of the table.
func (s *state) nextSort() {
	s.sort = (s.sort + 1) % len(sorts)
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
	s.line(now, e.Type, someNames(names))
}

// someNames are some names and how many more there are.
func someNames(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
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
	s.events = append(s.events, eventLine{now, kind, strings.TrimSpace(text)})
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

// cells are the table's header and rows.
func (s *state) cells(now time.Time, list []member) [][]string {
	cells := [][]string{{"NAME", "ADDRESS", "STATUS", "SINCE", "RTT", "FLAPS", "TAGS"}}
	for i := range list {
		m := &list[i]
		addr := net.JoinHostPort(m.Addr.String(), strconv.Itoa(int(m.Port)))
		flaps, rtt := "", ""
		if m.flaps > 0 {
			flaps = strconv.Itoa(m.flaps)
		}
		if d, ok := s.rtt[m.Name]; ok && m.Status == "alive" {
			rtt = fmt.Sprintf("%.2f ms", d.Seconds()*1000)
		}
		cells = append(cells, []string{m.Name, addr, m.Status, age(now, m.since), rtt, flaps, tagText(m)})
	}
	return cells
}

func age(now, since time.Time) string {
	if since.IsZero() {
		return "-"
	}
	return now.Sub(since).Truncate(time.Second).String()
}

// summary is the head line: how many are what, and the agent's own health.
func (s *state) summary() string {
	counts := make(map[string]int)
	for i := range s.members {
		counts[s.members[i].Status]++
	}
	parts := []string{fmt.Sprintf("%d members", len(s.members))}
	for _, status := range []string{"alive", "leaving", "failed", "left"} {
		if counts[status] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[status], status))
		}
	}
	serf := s.stats["serf"]
	if h := serf["health_score"]; h != "" && h != "0" {
		parts = append(parts, "health score "+h)
	}
	if serf != nil {
		parts = append(parts, fmt.Sprintf("queues %s/%s/%s", serf["intent_queue"], serf["event_queue"], serf["query_queue"]))
	}
	return strings.Join(parts, " · ")
}
