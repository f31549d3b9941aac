package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// Result is what came of a seeded run.
type Result struct {
	Plan     Plan
	Err      error         // which rule was broken, nil if none was
	Agreed   time.Duration // after the healing, when all views agreed
	Virtual  time.Duration // how long the run was in virtual time
	Steps    int           // how many entries of the heap were handled
	Packets  int
	Lost     int
	Rejected int // datagrams that could not be opened (truncated ones, with a key or label)
	Asked    int // nodes that the query at the end should reach, and
	Acked    int // those that it reached
}

// Run plays a seed. log gets the transcript and may be nil.
//
// Phase one runs the plan's workload under its faults; phase two mends the
// network, lets everybody run, and demands that all views agree with the truth
// within Plan.Bound, and that a user event then reaches every node.
func Run(seed uint64, log io.Writer) (r Result) {
	plan := Draw(seed)
	opts := plan.Options
	opts.Log = log
	r.Plan = plan
	defer func() {
		if p := recover(); p != nil {
			r.Err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	c, err := New(opts)
	if err != nil {
		r.Err = err
		return r
	}
	c.log.note(c, plan.String())
	w := &workload{c: c, plan: &plan, rng: rand.New(rand.NewPCG(seed, 3))}
	w.begin()
	c.Advance(plan.Length)
	if c.failed == nil {
		w.over = true
		r.Agreed = c.settle(w, plan)
	}
	r.Err, r.Virtual, r.Steps = c.failed, c.clock.now, c.steps
	r.Packets, r.Lost = c.net.sent, c.net.lost
	for _, n := range c.nodes {
		r.Rejected += n.Rejected
	}
	r.Asked, r.Acked = w.asked, w.acked
	return r
}

// settle is phase two.
func (c *Cluster) settle(w *workload, plan Plan) time.Duration {
	c.log.note(c, "the network is healed")
	c.Heal(plan.Options.Link.Delay)
	for _, n := range c.nodes {
		// Of those that are paused some stay so: a hung process is a failed one.
		if w.rng.IntN(3) > 0 {
			n.Resume()
		}
	}
	w.takeBack()
	c.Advance(c.underWay())
	start := c.clock.now
	end := start + plan.Bound()
	why, since := "", start
	for c.failed == nil && c.clock.now < end && c.clock.now < since+steadyFor {
		c.bridge()
		c.Advance(time.Second)
		if why = c.unsettled(); why != "" {
			since = c.clock.now
		}
	}
	agreed := since - start
	if c.failed != nil {
		return agreed
	}
	if why != "" {
		c.fail("%v after the healing: %s", agreed, why)
		return agreed
	}
	c.log.note(c, "all views agree")
	c.spread(plan)
	w.ask()
	return agreed
}

// underWay is how long it takes until everything that was sent has arrived:
// old news may come as late as that.
func (c *Cluster) underWay() time.Duration {
	last := c.clock.now
	c.clock.each(func(e *event) {
		if e.kind == duePacket || e.kind == dueStream {
			last = max(last, e.at)
		}
	})
	return last - c.clock.now
}

// steadyFor is how long views have to agree before they count as agreeing.
const steadyFor = 6 * time.Second

// unsettled says why the views cannot be expected to stay as they are, "" if
// they can: they disagree, somebody is leaving, or a suspicion runs that may end
// in a failure.
func (c *Cluster) unsettled() string {
	if why := c.Disagreement(); why != "" {
		return why
	}
	for _, n := range c.nodes {
		if n.running() && !n.present() {
			return n.label + " is leaving"
		}
	}
	return c.suspicion()
}

// lastWord is the payload of the user event that a seeded run ends with.
const lastWord = "last"

// spread demands that what was agreed on stays, and that a user event reaches
// every node: by gossip, or at the latest by push/pull.
func (c *Cluster) spread(plan Plan) {
	var from *Node
	for _, n := range c.nodes {
		// Whose clock is behind may be held to be asking about the past.
		if n.running() && n.machine.State() == serf.Alive &&
			(from == nil || n.machine.Stats().EventTime > from.machine.Stats().EventTime) {
			from = n
		}
	}
	if from == nil {
		return
	}
	// What a new node merges first are old events to it. One that nobody has
	// exchanged states with yet depends on gossip alone.
	var audience []*Node
	for _, n := range c.nodes {
		if n.running() && n.exchanged {
			audience = append(audience, n)
		}
	}
	if from.UserEvent("ev", []byte(lastWord), false) != nil {
		return
	}
	end := c.clock.now + 5*time.Second + 15*plan.Options.Serf.Swim.PushPullInterval
	for missing := from; missing != nil && c.failed == nil; {
		c.Advance(time.Second)
		missing = nil
		for _, n := range audience {
			if n.running() && !n.heard {
				missing = n
			}
		}
		if why := c.Disagreement(); why != "" {
			c.fail("all views agreed, and then: %s", why)
		}
		if missing != nil && c.clock.now >= end {
			c.fail("%s is not told of the last user event", missing.label)
		}
	}
	c.foldsFollow()
}

// foldsFollow checks V1 for events that are coalesced: the fold may be behind
// while something is held back, but not always.
func (c *Cluster) foldsFollow() {
	if c.check == nil {
		return
	}
	for _, n := range c.nodes {
		for tries := 0; n.running() && c.failed == nil; tries++ {
			why := c.check.foldDiffers(n)
			if why == "" {
				break
			}
			if tries == 20 {
				c.fail("V1: %s", why)
			}
			c.Advance(500 * time.Millisecond)
		}
	}
}

// ask asks all nodes a query. It is gossiped only, so that a node may be missed;
// the result says how many were reached.
func (w *workload) ask() {
	var n *Node
	for _, x := range w.c.nodes {
		// As with events: whose clock is behind may seem to ask about the past.
		if x.present() && (n == nil || x.machine.Stats().QueryTime > n.machine.Stats().QueryTime) {
			n = x
		}
	}
	if n == nil || w.c.failed != nil {
		return
	}
	n.acks = make(map[string]bool)
	n.Query("last", nil, serf.QueryParam{Ack: true, Timeout: 10 * time.Second})
	w.c.Advance(11 * time.Second)
	for _, x := range w.c.nodes {
		if x.present() {
			w.asked++
		}
	}
	w.acked = len(n.acks)
}

// present reports whether others have to see n alive.
func (n *Node) present() bool { return n.running() && n.machine.State() == serf.Alive }

// Disagreement says which view is not the truth, "" if none is:
//
//   - who runs is alive in every view, with its present tags and address;
//   - who does not is failed or left, or unknown to those that never met it;
//   - nobody is left who was never asked to leave;
//   - who left, or was forced out, is left in all views or in none (it may have
//     told nobody), except that a view may be of a life before the last.
func (c *Cluster) Disagreement() string {
	for _, x := range c.nodes {
		var first *Node
		var status serf.Status
		for _, o := range c.nodes {
			if !o.present() {
				continue
			}
			m, known := o.machine.Member(x.name)
			if why := x.wrong(o, m, known); why != "" {
				return why
			}
			if !known || x.up || x.formerly() {
				continue
			}
			if first != nil && m.Status != status {
				return fmt.Sprintf("%s is %s at %s and %s at %s", x.label, status, first.label, m.Status, o.label)
			}
			first, status = o, m.Status
		}
	}
	return ""
}

// suspicion says who that runs is suspected, "" for nobody.
func (c *Cluster) suspicion() string {
	for _, x := range c.nodes {
		for _, o := range c.nodes {
			if !x.present() || !o.present() {
				continue
			}
			if m := o.machine.Swim().Member(x.name); m == nil || m.State != wire.StateAlive {
				return fmt.Sprintf("%s suspects %s, which runs", o.label, x.label)
			}
		}
	}
	return ""
}

// formerly reports whether a life before the last was asked to leave.
func (n *Node) formerly() bool { return n.leftBefore > 0 }

// wrong says why m is not what o should know of n.
func (n *Node) wrong(o *Node, m serf.Member, known bool) string {
	switch {
	case n.present():
		if !known {
			return fmt.Sprintf("%s does not know %s, which runs", o.label, n.label)
		}
		if m.Status != serf.StatusAlive || m.Addr != n.addr {
			return fmt.Sprintf("%s lists %s as %s at %v, it runs", o.label, n.label, m.Status, m.Addr)
		}
		if got, want := describeTags(m.Tags), describeTags(n.machine.Local().Tags); got != want {
			return fmt.Sprintf("%s lists %s with %s, it has %s", o.label, n.label, got, want)
		}
	case known && m.Status != serf.StatusFailed && m.Status != serf.StatusLeft:
		return fmt.Sprintf("%s lists %s as %s, it does not run", o.label, n.label, m.Status)
	case known && m.Status == serf.StatusLeft && n.leftAt == 0 && n.leftBefore == 0:
		return fmt.Sprintf("%s lists %s as left, nobody wanted that", o.label, n.label)
	}
	return ""
}

// bridge joins parts of the cluster that know nothing of each other: all of one
// was restarted, or has left. No protocol can find who is nowhere known.
func (c *Cluster) bridge() {
	part := make([]int, len(c.nodes))
	for i := range part {
		part[i] = i
	}
	var find func(i int) int
	find = func(i int) int {
		if part[i] != i {
			part[i] = find(part[i])
		}
		return part[i]
	}
	var first *Node
	for _, o := range c.nodes {
		if !o.present() {
			continue
		}
		if first == nil {
			first = o
		}
		for _, x := range c.nodes {
			if m, ok := o.machine.Member(x.name); ok && m.Status != serf.StatusLeft && x.present() {
				part[find(o.index)] = find(x.index)
			}
		}
	}
	for _, o := range c.nodes {
		if o.present() && find(o.index) != find(first.index) && len(o.joins) == 0 {
			c.log.note(c, o.label+" knows nobody of "+first.label+"'s part")
			o.Join(first, true)
		}
	}
}
