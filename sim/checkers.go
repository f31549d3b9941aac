package sim

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// checkers watch every step of every node and know nothing of the workload.
// The rules, by the letters that a violation names:
//
//	I1  in one life of an observer, the incarnation that it knows of a member
//	    never falls, unless the member was forgotten or moved
//	I2  nobody knows a higher incarnation of a member than that member has had
//	L1  a member that has left is not anything else without a higher incarnation
//	S1  a member's status changes only along the arrows of legal
//	S2  while it is alive, a node's own status in its own list is alive
//	S3  Members is sorted by name, each name once
//	C1  while Changes counts none, Members is the same
//	V1  the fold of the member events is what Members says
//	E1  a user event is delivered at most once in a life, and only if it was sent
//	E2  a node with a snapshot is not told in a later life what it was told before
//	Q1  a query is delivered at most once in a life
//	Q2  a query that was asked ends with exactly one done, in time
//	Q3  a node's ack and answer are told to the asker at most once each, and
//	    nothing after done
//	T1  after HandleTimeout(now) the deadline is after now, and there are only
//	    so many timeouts in a second
//	H1  the health score stays below its bound
type checkers struct {
	c      *Cluster
	lamp   map[string]uint32 // highest incarnation that each name has had
	sent   map[string]bool   // user events, name and payload
	by     []*lifeCheck      // by index of the node: its present life
	former []map[string]bool // likewise: the events of the lives before that it remembers
	// foldLater: events are coalesced, so the fold follows only in the end.
	foldLater bool
	maxHealth int
}

// lifeCheck is what is remembered of one life of one node.
type lifeCheck struct {
	swim    map[string]seen
	round   int // counts the steps, to see who was forgotten
	status  map[string]serf.Status
	members []serf.Member
	changes uint64
	list    live.List
	events  map[string]serf.Audience // user events, and to whom they were delivered
	queries map[serf.QueryID]bool
	asked   map[serf.QueryID]*askedQuery
	second  time.Duration
	ticks   int
}

// seen is what an observer knew of a member at the last step.
type seen struct {
	incarnation uint32
	state       wire.NodeState
	addr        netip.AddrPort
	round       int
}

type askedQuery struct {
	until time.Duration
	got   map[string]bool
	done  bool
}

func newCheckers(c *Cluster) *checkers {
	maxHealth := c.opts.Serf.Swim.AwarenessMax
	if maxHealth == 0 {
		maxHealth = swim.LAN().AwarenessMax
	}
	return &checkers{
		c:         c,
		lamp:      make(map[string]uint32),
		sent:      make(map[string]bool),
		foldLater: c.opts.Serf.CoalescePeriod > 0 || c.opts.Serf.LeadingEdge > 0,
		maxHealth: maxHealth,
	}
}

func (k *checkers) started(n *Node, keep bool) {
	for len(k.by) <= n.index {
		k.by, k.former = append(k.by, nil), append(k.former, nil)
	}
	if !keep || k.former[n.index] == nil {
		k.former[n.index] = make(map[string]bool)
	}
	k.by[n.index] = &lifeCheck{
		swim:    make(map[string]seen),
		status:  make(map[string]serf.Status),
		events:  make(map[string]serf.Audience),
		queries: make(map[serf.QueryID]bool),
		asked:   make(map[serf.QueryID]*askedQuery),
	}
}

// stopped: what a crashed node asked will never be done.
func (k *checkers) stopped(n *Node) {
	for id := range k.by[n.index].events { // order-free: into another map
		k.former[n.index][id] = true
	}
	k.by[n.index] = nil
}

// step is called after each input of a node, when its output was taken.
func (k *checkers) step(n *Node) {
	l := k.by[n.index]
	if l == nil {
		return
	}
	k.incarnations(n, l)
	k.statuses(n, l)
	if h := n.machine.Swim().Health(); h < 0 || h >= k.maxHealth {
		k.c.fail("H1: %s has the health score %d", n.label, h)
	}
}

// incarnations checks I1, I2 and L1.
func (k *checkers) incarnations(n *Node, l *lifeCheck) {
	own := n.machine.Swim().Local()
	if own.Incarnation > k.lamp[n.name] {
		k.lamp[n.name] = own.Incarnation
	}
	l.round++
	n.machine.Swim().Each(func(m *swim.Member) bool {
		was, ok := l.swim[m.Name]
		if ok && was.round == l.round-1 && was.addr == m.Addr {
			if m.Incarnation < was.incarnation {
				k.c.fail("I1: %s knew incarnation %d of %s, now %d", n.label, was.incarnation, m.Name, m.Incarnation)
			}
			if was.state == wire.StateLeft && m.State != wire.StateLeft && m.Incarnation <= was.incarnation {
				k.c.fail("L1: %s knew that %s left at incarnation %d, now it is %s at %d",
					n.label, m.Name, was.incarnation, stateWords[m.State], m.Incarnation)
			}
		}
		if m.Incarnation > k.lamp[m.Name] {
			k.c.fail("I2: %s knows incarnation %d of %s, which has had at most %d", n.label, m.Incarnation, m.Name, k.lamp[m.Name])
		}
		l.swim[m.Name] = seen{m.Incarnation, m.State, m.Addr, l.round}
		return true
	})
}

// legal are the ways that a status may go, without saying that it is gone.
var legal = map[serf.Status][]serf.Status{
	serf.StatusNone:    {serf.StatusAlive, serf.StatusLeaving, serf.StatusLeft, serf.StatusFailed},
	serf.StatusAlive:   {serf.StatusLeaving, serf.StatusFailed, serf.StatusLeft},
	serf.StatusLeaving: {serf.StatusAlive, serf.StatusLeft},
	serf.StatusLeft:    {serf.StatusAlive, serf.StatusLeaving},
	serf.StatusFailed:  {serf.StatusAlive, serf.StatusLeaving, serf.StatusLeft},
}

// statuses checks S1, S2, S3, C1 and V1.
func (k *checkers) statuses(n *Node, l *lifeCheck) {
	members := n.machine.Members()
	if changes := n.machine.Changes(); changes == l.changes && l.members != nil {
		if !slices.EqualFunc(members, l.members, sameMember) {
			k.c.fail("C1: %s counts no change, but its list was %s and is %s", n.label, n.c.describeMembers(l.members), n.c.describeMembers(members))
		}
		return
	}
	l.changes, l.members = n.machine.Changes(), members
	next := make(map[string]serf.Status, len(members))
	for i, m := range members {
		if i > 0 && members[i-1].Name >= m.Name {
			k.c.fail("S3: %s lists %s before %s", n.label, members[i-1].Name, m.Name)
		}
		was := l.status[m.Name]
		if m.Status != was && !slices.Contains(legal[was], m.Status) {
			k.c.fail("S1: at %s, %s goes from %s to %s", n.label, m.Name, was, m.Status)
		}
		if m.Name == n.name && n.machine.State() == serf.Alive && m.Status != serf.StatusAlive {
			k.c.fail("S2: %s lists itself as %s", n.label, m.Status)
		}
		next[m.Name] = m.Status
	}
	l.status = next
	if !k.foldLater {
		if why := k.foldDiffers(n); why != "" {
			k.c.fail("V1: %s", why)
		}
	}
}

// foldDiffers says how the fold of a node's events differs from its list, ""
// if it does not (V1).
func (k *checkers) foldDiffers(n *Node) string {
	view := k.by[n.index].list.Current()
	members := n.machine.Members()
	for _, m := range members {
		e := view.Get(m.Name)
		want := toEntry(&m)
		if want.Status == live.Leaving || m.Restarting {
			want.Status = live.Alive // events do not tell of leaving, nor of a failure that was announced
		}
		switch {
		case e == nil:
			return fmt.Sprintf("%s lists %s, its events never told", n.label, m.Name)
		case e.Status != want.Status || e.Addr != want.Addr || !slices.Equal(e.Tags, want.Tags):
			return fmt.Sprintf("%s lists %s as %s %v %v, its events say %s %v %v",
				n.label, m.Name, m.Status, m.Addr, m.Tags, e.Status, e.Addr, e.Tags)
		}
	}
	if view.Len() != len(members) {
		return fmt.Sprintf("%s lists %d members, its events know %d", n.label, len(members), view.Len())
	}
	return ""
}

// sameMember compares all but the Lamport time, which nobody outside is shown.
func sameMember(a, b serf.Member) bool {
	return a.Name == b.Name && a.Addr == b.Addr && a.Status == b.Status && slices.Equal(a.Tags, b.Tags) &&
		a.Versions == b.Versions && a.Since.Equal(b.Since) && a.Restarting == b.Restarting
}

// toEntry is a member as package live has it.
func toEntry(m *serf.Member) live.Entry {
	e := live.Entry{Name: m.Name, Addr: m.Addr}
	for _, t := range m.Tags {
		e.Tags = append(e.Tags, live.Tag{Key: t.Key, Value: t.Value})
	}
	switch m.Status {
	case serf.StatusAlive:
		e.Status = live.Alive
	case serf.StatusLeaving:
		e.Status = live.Leaving
	case serf.StatusLeft:
		e.Status = live.Left
	case serf.StatusFailed:
		e.Status = live.Failed
	}
	return e
}

// changes says what a member event means for a live list.
var changes = map[serf.EventType]live.Kind{
	serf.EventMemberJoin:   live.Join,
	serf.EventMemberLeave:  live.Leave,
	serf.EventMemberFailed: live.Fail,
	serf.EventMemberUpdate: live.Update,
	serf.EventMemberReap:   live.Reap,
}

// event takes an event of a node's.
func (k *checkers) event(n *Node, ev *serf.Event) {
	l := k.by[n.index]
	if l == nil {
		return
	}
	switch ev.Type {
	case serf.EventUser:
		id := fmt.Sprintf("%d %s %s", ev.LTime, ev.Name, ev.Payload)
		// An empty map, which garbage may hold, is an event without a name.
		if ev.Name != "" && !k.sent[ev.Name+" "+string(ev.Payload)] {
			k.c.fail("E1: %s is told of the event %s, which nobody sent", n.label, id)
		}
		if k.former[n.index][id] {
			k.c.fail("E2: %s is told of the event %s, as in a former life", n.label, id)
		}
		if l.events[id]&ev.To != 0 {
			k.c.fail("E1: %s is told twice of the event %s", n.label, id)
		}
		l.events[id] |= ev.To
	case serf.EventQuery:
		if l.queries[ev.Query] {
			k.c.fail("Q1: %s is told twice of the query %s %v", n.label, ev.Name, ev.Query)
		}
		l.queries[ev.Query] = true
	default:
		k.memberEvent(n, l, ev)
	}
}

// memberEvent folds a member event, as the agent does. One that changes nothing
// is wrong.
func (k *checkers) memberEvent(n *Node, l *lifeCheck, ev *serf.Event) {
	if !slices.IsSortedFunc(ev.Members, func(a, b serf.Member) int { return strings.Compare(a.Name, b.Name) }) {
		k.c.fail("V1: %s is told of members that are not sorted", n.label)
	}
	change := live.Change{Kind: changes[ev.Type]}
	for _, m := range ev.Members {
		e := toEntry(&m)
		e.Status = live.Unknown
		change.Entries = append(change.Entries, e)
	}
	old := l.list.Current()
	if now := l.list.Apply(k.c.Now(), change); now == old && len(ev.Members) > 0 {
		k.c.fail("V1: %s is told of %s %s, which changes nothing", n.label, ev.Type, ev.Members[0].Name)
	}
}

// doneSlack is how much later than its time-out a query may be done.
const doneSlack = 10 * time.Millisecond

// asked starts to watch a query.
func (k *checkers) asked(n *Node, id serf.QueryID, p serf.QueryParam) {
	l := k.by[n.index]
	if l.asked[id] != nil {
		k.c.fail("Q2: %s asked two queries %v", n.label, id)
	}
	timeout := p.Timeout
	if timeout == 0 {
		timeout = n.machine.DefaultQueryTimeout()
	}
	q := &askedQuery{until: k.c.clock.now + timeout, got: make(map[string]bool)}
	l.asked[id] = q
	k.c.After(timeout+doneSlack+k.c.opts.TimerLate, func() { k.mustBeDone(n, l, id) })
}

// mustBeDone checks the end of a query, unless the asker has died or sleeps.
func (k *checkers) mustBeDone(n *Node, l *lifeCheck, id serf.QueryID) {
	if k.by[n.index] != l || l.asked[id].done {
		return
	}
	if n.paused {
		k.c.After(time.Second, func() { k.mustBeDone(n, l, id) })
		return
	}
	if now := k.c.clock.now; n.machine.Deadline().After(k.c.Now()) || now > l.asked[id].until+time.Minute {
		k.c.fail("Q2: the query %v of %s is not done", id, n.label)
	}
}

// news takes an update of an own query.
func (k *checkers) news(n *Node, u *serf.QueryUpdate) {
	l := k.by[n.index]
	if l == nil {
		return
	}
	q := l.asked[u.ID]
	switch {
	case q == nil:
		k.c.fail("Q2: %s gets news of %v, which it did not ask", n.label, u.ID)
	case q.done:
		k.c.fail("Q3: %s gets news of %v after it was done", n.label, u.ID)
	case u.Kind == serf.QueryDone:
		q.done = true
	default:
		id := fmt.Sprintf("%d %s", u.Kind, u.From)
		if q.got[id] {
			k.c.fail("Q3: %s is told twice what %s answered to %v", n.label, u.From, u.ID)
		}
		q.got[id] = true
		if u.Kind == serf.QueryResponse && !bytes.Equal(u.Payload, []byte(u.From)) {
			k.c.fail("Q3: %s is told that %s answered %q", n.label, u.From, u.Payload)
		}
	}
}

// timeout checks T1 after a HandleTimeout that was due.
func (k *checkers) timeout(n *Node) {
	l := k.by[n.index]
	if l == nil {
		return
	}
	if now := k.c.Now(); !n.machine.Deadline().After(now) {
		k.c.fail("T1: %s wants to be called again at once", n.label)
	}
	if s := k.c.clock.now / time.Second; s != l.second {
		l.second, l.ticks = s, 0
	}
	if l.ticks++; l.ticks > 300+20*len(k.c.nodes) {
		k.c.fail("T1: %s had %d timeouts in one second", n.label, l.ticks)
	}
}
