package swim

import (
	"errors"
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// LinkID names a link that the machine asked for. It is never reused within a machine.
type LinkID uint64

// LinkOrder asks the driver to open a link, or to close one. A link is a stream
// on which nothing is said after the first message and its answer; its end says that
// the other process has ended, for its host closes what that had open.
//
// To open one, the driver connects to To, writes Data (a plain message, to be
// sealed), reads one message and hands it to HandleLink with LinkUp, all within
// Timeout; then it waits for the end of the stream and calls HandleLink with
// LinkBroken. Anything else is LinkFailed. After that the link is forgotten.
type LinkOrder struct {
	ID      LinkID
	Close   bool // and nothing more is heard of it
	To      netip.AddrPort
	Node    string
	Data    []byte
	Timeout time.Duration
}

// LinkEvent is what happens to a link.
type LinkEvent uint8

// The events.
const (
	LinkUp LinkEvent = iota
	LinkBroken
	LinkFailed
)

// MaxHeld is the most links of others that a driver need hold for this node: a
// few watch it, more while their views differ. (P199)
const MaxHeld = 64

// link is this node's link to a member that it watches.
//
// Rule: it is opened to natives only; one that broke or failed is opened again
// later, ever more rarely unless it lasts. Invariant: id is 0 or names the open link.
type link struct {
	id    LinkID
	up    bool
	since time.Duration // when it was up, on the awake clock
	timer timer         // to open it
	wait  time.Duration
}

const (
	linkRetry    = 250 * time.Millisecond
	linkRetryMax = 30 * time.Second
	linkLasts    = 10 * time.Second // after that it counts as a good one
)

// wantLink opens the link of a watch, or ends it. (P192)
func (m *Machine) wantLink(w *watch) {
	switch {
	case w.e.native == 0:
		m.dropLink(w)
	case w.link.id == 0 && w.link.timer.pos == 0:
		m.openLink(w)
	}
}

func (m *Machine) openLink(w *watch) {
	e := w.e
	m.links++
	w.link.id, w.link.up = m.links, false
	p := m.ping(m.nextSeq(), e.name)
	p.Link = true
	m.out.Links = append(m.out.Links, LinkOrder{ID: w.link.id, To: e.at(), Node: e.name, Data: p.AppendTo(nil),
		Timeout: m.cfg.StreamTimeout})
}

func (m *Machine) dropLink(w *watch) {
	m.timers.stop(&w.link.timer)
	if w.link.id != 0 {
		m.out.Links = append(m.out.Links, LinkOrder{ID: w.link.id, Close: true})
		w.link.id = 0
	}
}

// linkFire: it is time to open the link again.
func (m *Machine) linkFire(e *member) {
	if w := m.watches.of(e); w != nil && w.link.id == 0 && e.native > 0 && e.present() {
		m.openLink(w)
	}
}

// HandleLink takes what happened to a link; reply is the answer of LinkUp, err why
// it is not up any more.
func (m *Machine) HandleLink(now time.Time, id LinkID, event LinkEvent, reply []byte, err error) {
	m.begin(now)
	for _, w := range m.watches.list {
		if w.link.id == id {
			m.linkEvent(w, event, reply, err)
			return
		}
	}
	if name := m.departure.others.linked(id, event); name != "" {
		if endOf(event, err) {
			m.processEnded(m.members.get(name))
		}
		return
	}
	m.drops.counts[DropStrayDial]++
}

func (m *Machine) linkEvent(w *watch, event LinkEvent, reply []byte, err error) {
	if event == LinkUp {
		if m.linkUp(w, reply) {
			return
		}
		m.dropLink(w)
	}
	lasted := w.link.up && m.clock.awake()-w.link.since > linkLasts
	broke := w.link.up && event == LinkBroken
	w.link.id, w.link.up = 0, false
	if lasted {
		w.link.wait = 0
	}
	w.link.wait = min(max(2*w.link.wait, linkRetry), linkRetryMax)
	m.arm(&w.link.timer, m.clock.awake()+w.link.wait)
	w.lost = w.lost || broke
	switch {
	case !broke && !errors.Is(err, ErrRefused):
	case w.e.state == wire.StateLeft:
		m.processEnded(w.e)
	default:
		m.hinted(w)
	}
}

// linkUp reads the answer on a new link.
func (m *Machine) linkUp(w *watch, reply []byte) bool {
	if len(reply) == 0 || m.expect(reply, wire.TypeAck) != nil || m.msg.ack.Decode(reply[1:], m) != nil {
		return false
	}
	m.heardNative(w.e.name, m.msg.ack.Native)
	if m.msg.ack.Native == 0 {
		return false
	}
	w.link.up, w.link.since = true, m.clock.awake()
	return true
}

// HoldStream reports whether the stream whose message HandleStream took last is a
// link: the driver then keeps it open after the reply, until the other side closes it.
func (m *Machine) HoldStream() bool { return m.hold }
