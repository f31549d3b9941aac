package swim

import (
	"errors"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// This file is how a native leaves: how it knows that the others have read that it leaves,
// and how they learn that its process has ended.

const (
	// farewellMost is how many others are asked whether they have it. In a larger cluster
	// the driver's time for it has to do.
	farewellMost = 1024
	// farewellBatch is how many of them are asked at a time, spreadGap apart.
	farewellBatch = 64
	// farewellAgain is after how long those that did not answer are asked again; it
	// doubles with each time, up to farewellSlow.
	farewellAgain = 20 * time.Millisecond
	farewellSlow  = 200 * time.Millisecond
)

// departure is this node's own end, and what it knows of others'.
//
// Rule: a native that leaves sends each other member its leave and a ping in one packet, so
// that whoever answers the ping has read both (P238). Invariant: ask[i] was sent pings of the
// number first+i; it is nil once it has answered; open is how many are not.
type departure struct {
	leaving bool // Leave was called
	sent    bool // and gossiped often enough
	ending  bool // End was called
	others  lingerers

	timer timer
	first uint32 // 0: nobody is asked
	ask   []*Face
	open  int
	next  int // index in ask of the next to be asked in this round
	wait  time.Duration
}

// silent reports whether this node contradicts nothing that is said of it.
func (d *departure) silent() bool { return d.leaving || d.ending }

// begin notes whom to ask; none if one of them is plain or if they are too many.
func (d *departure) begin(t *members, self *member) {
	for i := range t.len() {
		if e := t.at(i); e.present() && e != self {
			d.ask = append(d.ask, e.Face)
		}
	}
	if len(d.ask) > farewellMost {
		d.ask = nil
		return
	}
	d.open, d.wait = len(d.ask), farewellAgain
}

// acked takes an ack if it answers one of these pings.
func (d *departure) acked(seq uint32) bool {
	i := seq - d.first
	if d.first == 0 || i >= uint32(len(d.ask)) {
		return false
	}
	if d.ask[i] != nil {
		d.ask[i] = nil
		d.open--
	}
	return true
}

// round is the next members to be asked; when it has gone through all, the next one begins after
// wait. Those who have gone meanwhile need not answer.
func (d *departure) round(t *members, f func(i uint32, to *member)) (wait time.Duration) {
	for n := 0; d.next < len(d.ask); d.next++ {
		face := d.ask[d.next]
		if face == nil {
			continue
		}
		if n == farewellBatch {
			return spreadGap
		}
		if e := t.get(face.name); e != nil && e.present() {
			f(uint32(d.next), e)
			n++
			continue
		}
		d.ask[d.next] = nil
		d.open--
	}
	d.next, wait = 0, d.wait
	d.wait = min(2*d.wait, farewellSlow)
	return wait
}

// sayFarewell asks those that have not answered yet. (P238)
func (m *Machine) sayFarewell() {
	d := &m.departure
	if d.first == 0 {
		if d.begin(&m.members, m.local); d.open == 0 {
			return
		}
		d.first = m.seq + 1
		m.seq += uint32(len(d.ask))
	}
	wait := d.round(&m.members, func(i uint32, e *member) {
		m.scratch = m.appendWord(m.scratch[:0], m.local)
		n := len(m.scratch)
		m.scratch = m.ping(d.first+i, e.name).AppendTo(m.scratch)
		m.parts = append(m.parts[:0], m.scratch[:n], m.scratch[n:])
		m.sendParts(e.at(), e.name, e.versions.PMax >= 5)
	})
	if d.open > 0 {
		m.arm(&d.timer, m.clock.awake()+wait)
	}
}

// LeaveKnown reports whether all who are present have said that they know of the leave.
func (m *Machine) LeaveKnown() bool {
	d := &m.departure
	return d.leaving && d.open == 0 && (d.first != 0 || !m.cfg.Plain && m.members.numPresent() == 0)
}

// End says that this node is about to end without a leave: from now on it contradicts
// nothing that is said of it. (P172)
func (m *Machine) End() { m.departure.ending = true }

const (
	// lingersFor is how long a native that left is taken to run on at most, if nobody
	// knows when it ended.
	lingersFor = 2 * time.Second
	// lingerersMost bounds how many of them a node keeps a link to.
	lingerersMost = 64
)

// LingersFor is how long after its leave a native's process is taken to have ended, unless
// Layer.Ended says so before.
const LingersFor = lingersFor

// lingerers are natives that left and to which this node still has a link, the end of
// which says that the process has ended. (P239)
type lingerers struct {
	timer timer // of the first
	list  []lingerer
}

type lingerer struct {
	name  string
	link  LinkID
	until time.Duration // on the awake clock
}

// keep takes over the link of a watch whose member left; false if it has none, or if it is
// another's.
func (l *lingerers) keep(w *watch, now time.Duration) bool {
	if w.e.state != wire.StateLeft || w.link.id == 0 || len(l.list) >= lingerersMost {
		return false
	}
	l.list = append(l.list, lingerer{w.e.name, w.link.id, now + lingersFor})
	w.link.id = 0
	return true
}

// linked is the name of the one with this link, "" if there is none; it is forgotten
// unless the link is only up now.
func (l *lingerers) linked(id LinkID, event LinkEvent) (name string) {
	for i, x := range l.list {
		if x.link == id {
			if event != LinkUp {
				l.list = slices.Delete(l.list, i, i+1)
			}
			return x.name
		}
	}
	return ""
}

// over closes the links of those whose time is over, and returns when the next one's is;
// 0: there is none.
func (l *lingerers) over(now time.Duration, out *output) (next time.Duration) {
	for len(l.list) > 0 && l.list[0].until <= now {
		out.Links = append(out.Links, LinkOrder{ID: l.list[0].link, Close: true})
		l.list = slices.Delete(l.list, 0, 1)
	}
	if len(l.list) == 0 {
		return 0
	}
	return l.list[0].until
}

// endOf reports whether what happened to a link says that the other process has ended.
func endOf(event LinkEvent, err error) bool { return event == LinkBroken || errors.Is(err, ErrRefused) }

// processEnded: the process of a member that left has ended. The member's own word that it is
// dead says so, with a verdict; plain nodes take it for the leave that they know. (P239)
func (m *Machine) processEnded(e *member) {
	if m.cfg.Plain || e == nil || e == m.local || e.state != wire.StateLeft || e.verdict == wire.VerdictCrashed {
		return
	}
	e = m.members.own(e)
	e.verdict = wire.VerdictCrashed
	m.scratch = m.appendWord(m.scratch[:0], e)
	m.broadcast(e.name, nil)
	m.layer.Ended(m.now, m.view(&m.told, e))
}
