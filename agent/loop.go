package agent

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
)

const (
	// packetsPerTurn bounds how many waiting packets are taken before timers
	// are looked at.
	packetsPerTurn = 256
	// asleepAfter is how late the loop has to be to conclude that the process did
	// not run for a while.
	asleepAfter = 50 * time.Millisecond
	// catchUpMax bounds how long the loop then waits for what the sockets hold.
	catchUpMax = 100 * time.Millisecond
)

// loopState belongs to the loop, except for the fields with a comment.
type loopState struct {
	due       time.Time // the deadline that the timer is set to
	changes   uint64    // of the machine, as last published
	published bool
	joins     map[swim.DialID]chan<- error
	finished  []*command // to be told when their effects are published
	isLeft    bool
	kept      serf.Restorable // as last noted in the snapshot
	leaves    bool            // noted there too
	declines  []serf.QueryID  // queries that nobody here will answer
	tags      sharedTags      // of the members as last published

	sent    chan struct{} // closed by the sender when it has ended
	endOnce sync.Once     // of end
}

// command is something to do with the machine in the loop.
type command struct {
	run  func(now time.Time)
	done chan struct{} // closed when its effects are visible
}

// do runs f in the loop. When it returns nil, f has run and what it changed can
// be seen in Members and Live; on an error f may still run later.
func (a *Agent) do(ctx context.Context, f func(now time.Time)) error {
	c := &command{run: f, done: make(chan struct{})}
	select {
	case a.commands <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-a.loopDone:
		return ErrStopped
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-a.loopDone:
		return ErrStopped
	}
}

// Alive returns nil once the loop has taken a turn: the agent is at work. It is for
// whoever watches over the process.
func (a *Agent) Alive(ctx context.Context) error { return a.do(ctx, func(time.Time) {}) }

// input is what one turn of the loop was woken by; at most one field is set.
type input struct {
	packet  *packet
	stream  *inboundMessage
	dialed  *dialResult
	linked  *linkResult
	command *command
	failed  netip.AddrPort
}

// run is the loop: wait for the first of packet, stream, result, command and
// deadline; feed the machine; act on its output; set the one timer.
func (a *Agent) run() {
	defer close(a.loopDone)
	timer := time.NewTimer(atLeast(time.Until(a.loop.due)))
	defer timer.Stop()
	for {
		var in input
		select {
		case in.packet = <-a.packets:
		case in.stream = <-a.inbound:
		case r := <-a.dialed:
			in.dialed = &r
		case r := <-a.linked:
			in.linked = &r
		case in.command = <-a.commands:
		case in.failed = <-a.sendFailed:
		case <-timer.C:
			a.counters.late(a.loop.due, time.Now())
		case <-a.ctx.Done():
			return
		}
		now := a.turn(&in)
		timer.Reset(atLeast(a.loop.due.Sub(now)))
	}
}

// atLeast is d, but at least a nanosecond: the timer never lies in the past. Without
// this bound the race detector of Go 1.26 crashed in tests under testing/synctest.
func atLeast(d time.Duration) time.Duration { return max(d, 1) }

// turn is one round of the loop. Waiting packets come before everything else:
// whoever was just stopped for a minute must hear what was said in the
// meantime before it judges anybody.
func (a *Agent) turn(in *input) time.Time {
	now := time.Now()
	if now.Sub(a.loop.due) > asleepAfter {
		now = a.catchUp(now)
	}
	if in.packet != nil {
		a.handlePacket(now, in.packet)
	}
	a.takePackets(now, packetsPerTurn)
	switch {
	case in.stream != nil:
		in.stream.handle(now, a.machine)
	case in.dialed != nil:
		a.machine.HandleDialed(now, in.dialed.id, in.dialed.reply, in.dialed.err)
	case in.linked != nil:
		l := in.linked
		a.machine.HandleLink(now, l.id, l.event, l.reply, l.err)
	case in.command != nil:
		in.command.run(now)
		a.loop.finished = append(a.loop.finished, in.command)
	case in.failed.IsValid():
		a.machine.HandleSendFailed(now, in.failed)
	}
	if at := a.machine.Deadline(); !at.IsZero() && !now.Before(at) {
		a.machine.HandleTimeout(now)
	}
	a.apply(now)
	if len(a.loop.declines) > 0 {
		for _, id := range a.loop.declines {
			a.machine.Decline(now, id)
		}
		a.loop.declines = a.loop.declines[:0]
		a.apply(now)
	}
	return now
}

// takePackets handles up to limit packets that the reader has already read.
func (a *Agent) takePackets(now time.Time, limit int) int {
	for n := range limit {
		select {
		case p := <-a.packets:
			a.handlePacket(now, p)
		default:
			return n
		}
	}
	return limit
}

// catchUp handles what the kernel has kept for us while this process did not
// run. The reader needs a moment for it, which the loop waits.
func (a *Agent) catchUp(now time.Time) time.Time {
	end := now.Add(catchUpMax)
	quiet := 0
	for quiet < 2 && now.Before(end) {
		if a.takePackets(now, packetsPerTurn) > 0 || a.transport.Pending() {
			quiet = 0
		} else {
			quiet++
		}
		time.Sleep(time.Millisecond)
		now = time.Now()
	}
	return now
}

func (a *Agent) handlePacket(now time.Time, p *packet) {
	a.machine.HandlePacket(now, p.addr, p.msg)
	a.freePacket(p)
}

// apply does what the machine wants done, in the order that its Output states, and
// tells those who wait for a command only then.
func (a *Agent) apply(now time.Time) {
	out := a.machine.Output()
	for i := range out.Trace {
		a.history.note(now, &out.Trace[i])
		a.faults.ledger.trace(now, &out.Trace[i])
		if a.faults.admitTrace(now, &out.Trace[i]) {
			a.log.Trace(now, &out.Trace[i])
		}
	}
	a.measure(now, out)
	a.publish(now)
	a.remember(out)
	for i := range out.Events {
		a.deliver(&out.Events[i])
	}
	for i := range out.Queries {
		a.queries.deliver(&out.Queries[i])
	}
	for i := range out.KeyChanges {
		a.queueKeyChange(&out.KeyChanges[i])
	}
	for _, ask := range out.HistoryAsks {
		a.queueHistoryAsk(ask)
	}
	for i := range out.Packets {
		a.send(&out.Packets[i])
	}
	for i := range out.Dials {
		a.startDial(&out.Dials[i])
	}
	for i := range out.Links {
		a.orderLink(&out.Links[i])
	}
	for _, j := range out.Joins {
		if ch := a.loop.joins[j.ID]; ch != nil {
			ch <- j.Err // has room for it
			delete(a.loop.joins, j.ID)
		}
	}
	if a.loop.due = a.machine.Deadline(); a.loop.due.IsZero() { // nothing to come
		a.loop.due = now.Add(time.Hour)
	}
	a.checkState()
	for i, c := range a.loop.finished {
		close(c.done)
		a.loop.finished[i] = nil
	}
	a.loop.finished = a.loop.finished[:0]
}

// checkState looks whether this node's life has come to an end.
func (a *Agent) checkState() {
	switch a.machine.State() {
	case serf.Left:
		if !a.loop.isLeft {
			a.loop.isLeft = true
			close(a.left)
		}
	case serf.Shutdown:
		a.end(ErrConflictLost)
	}
}

// publish makes a new list of members if there may be one.
func (a *Agent) publish(now time.Time) {
	n := a.machine.Changes()
	if n == a.loop.changes && a.loop.published {
		return
	}
	a.loop.changes, a.loop.published = n, true
	members := a.machine.Members()
	a.loop.tags.share(members)
	a.members.Store(&members)
	a.list.Publish(now, entries(members))
	a.handlers.MembersChanged()
	select {
	case a.membersChanged <- struct{}{}:
	default:
	}
}

// Members are all known members as of the last change, sorted by name. Not to
// be changed.
func (a *Agent) Members() []serf.Member { return *a.members.Load() }

// local is this node's own member.
func (a *Agent) local() serf.Member {
	for _, m := range a.Members() {
		if m.Name == a.cfg.Name {
			return m
		}
	}
	return serf.Member{Name: a.cfg.Name, Addr: a.addr}
}
