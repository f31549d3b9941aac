package swim

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// Errors that a JoinResult or a Trace can carry.
var (
	// ErrConnect is for drivers: the error of HandleDialed wraps it if the stream
	// could not even be opened. A ping over a stream that fails so is no news.
	ErrConnect = errors.New("cannot connect")
	// ErrRemote: the other side answered with an error message.
	ErrRemote = errors.New("remote error")
	// ErrNoReply: the other side closed the stream without an answer.
	ErrNoReply = errors.New("no reply")
	// ErrIncompatible: no living member of the other side and this node understand each other.
	ErrIncompatible = errors.New("protocol versions are incompatible")
	// ErrSequence: an ack over a stream has another number than the ping.
	ErrSequence = errors.New("ack has the wrong sequence number")
)

// dialKind says what a stream was opened for.
type dialKind uint8

const (
	dialPing     dialKind = iota // the probe's ping over a stream
	dialPushPull                 // the periodic exchange
	dialJoin                     // a join
	dialUser                     // a user message, which has no reply
	dialCompare                  // the periodic exchange between natives
	dialTakeover                 // a ping over a stream to where our name is held
	dialInquiry                  // an inquiry's ping over a stream
	dialSelf                     // a ping over a stream to this node's own port
)

// openDial is a Dial whose end has not come.
type openDial struct {
	id   DialID
	kind dialKind
	seq  uint32 // of the ping
	to   netip.AddrPort
	node string
}

// dials are the streams that the driver was asked to open.
//
// Rule: each ends exactly once; an end that is not awaited is ignored.
// Invariant: ids are unique and rising; len(open) <= MaxDials.
type dials struct {
	open []openDial
	last DialID
}

func (d *dials) add(x openDial) (DialID, error) {
	if len(d.open) >= MaxDials {
		return 0, ErrTooManyDials
	}
	x.id = d.next()
	d.open = append(d.open, x)
	return x.id, nil
}

func (d *dials) next() DialID {
	d.last++
	return d.last
}

func (d *dials) end(id DialID) (openDial, bool) {
	i := slices.IndexFunc(d.open, func(x openDial) bool { return x.id == id })
	if i < 0 {
		return openDial{}, false
	}
	x := d.open[i]
	d.open = slices.Delete(d.open, i, i+1)
	return x, true
}

// pushPullInterval stretches the interval in clusters of more than 32: the cost
// of an exchange grows with n, and so does the number of them. (P50)
func pushPullInterval(interval time.Duration, n int) time.Duration {
	const threshold = 32
	if n <= threshold {
		return interval
	}
	return interval * time.Duration(1+math.Ceil(math.Log2(float64(n))-math.Log2(threshold)))
}

// dial asks the driver to open a stream.
func (m *Machine) dial(kind dialKind, to netip.AddrPort, node string, data []byte, timeout time.Duration) (DialID, error) {
	id, err := m.dials.add(openDial{kind: kind, seq: m.probe.seq, to: to, node: node})
	if err == nil {
		m.out.Dials = append(m.out.Dials, Dial{ID: id, To: to, Node: node, Data: data, Timeout: timeout})
	}
	return id, err
}

// A node that has joined compares with a native after settleFirst, then after times
// each settleFactor as long, up to settleMost: where many join at once packets are
// lost, and who missed a member would wait for the next exchange. (P235)
const (
	settleFirst  = 250 * time.Millisecond
	settleFactor = 4
	settleMost   = 4 * time.Second
)

// settle begins the comparisons after a join.
func (m *Machine) settle() {
	if m.cfg.eager() {
		m.settling = settleFirst
		m.armPushPull()
	}
}

// pushPullTick exchanges states with a random member.
func (m *Machine) pushPullTick() {
	settling := m.settling > 0
	if m.settling *= settleFactor; m.settling > settleMost {
		m.settling = 0
	}
	m.armPushPull()
	with := m.members.pick(1, m.rng, func(e *member) bool {
		return e != m.local && e.state == wire.StateAlive && (e.native != 0 || !settling)
	})
	if len(with) == 0 {
		return
	}
	if !settling {
		m.exchanges++
	}
	if e := with[0]; e.native == 0 || !m.cfg.eager() || !settling && m.exchanges%wholeEvery == 0 {
		m.pushPullWith(e)
	} else {
		m.comparison(e)
	}
}

// comparison begins a comparison, and notes if it cannot.
func (m *Machine) comparison(e *member) {
	m.trace(Trace{Kind: TracePushPull, Level: LevelDebug, Node: e.name, Addr: e.at()})
	if err := m.compareWith(e); err != nil {
		m.trace(Trace{Kind: TracePushPullFailed, Level: LevelError, Node: e.name, Addr: e.at(), Err: err})
	}
}

// pushPullWith exchanges states with one member.
func (m *Machine) pushPullWith(e *member) {
	m.trace(Trace{Kind: TracePushPull, Level: LevelDebug, Node: e.name, Addr: e.at()})
	if _, err := m.dial(dialPushPull, e.at(), e.name, m.appendState(nil, false), m.cfg.StreamTimeout); err != nil {
		m.trace(Trace{Kind: TracePushPullFailed, Level: LevelError, Node: e.name, Addr: e.at(), Err: err})
	}
}

func (m *Machine) armPushPull() {
	wait := pushPullInterval(m.cfg.PushPullInterval, m.members.len())
	if m.settling > 0 {
		wait = min(wait, m.settling)
	}
	m.arm(&m.pushPullTimer, m.clock.awake()+wait)
}

// Join starts an exchange of states with the node at to; name may be empty.
// It ends as a JoinResult with the returned id.
func (m *Machine) Join(now time.Time, to netip.AddrPort, name string) DialID {
	m.begin(now)
	to = unmap(to)
	m.trace(Trace{Kind: TraceJoin, Level: LevelDebug, Node: name, Addr: to})
	id, err := m.dial(dialJoin, to, name, m.appendState(nil, true), m.cfg.StreamTimeout)
	if err != nil {
		id = m.dials.next()
		m.joinEnd(&openDial{id: id, to: to, node: name}, 0, err)
	}
	return id
}

// appendState appends a whole push/pull message: everybody we know, and the layer's state. (P51)
func (m *Machine) appendState(dst []byte, join bool) []byte {
	m.userState = m.layer.AppendState(m.userState[:0], join)
	// So that dst grows once: about what a member takes, or what they took the last time.
	each := max(88+len(m.local.name)+len(m.local.meta), m.stateEach)
	dst = slices.Grow(dst, 64+len(m.userState)+m.members.len()*each)
	dst = wire.AppendPushPullHeader(dst, wire.PushPullHeader{
		Nodes: m.members.len(), UserStateLen: len(m.userState), Join: join})
	n := len(dst)
	dst = m.appendNodes(dst)
	m.stateEach = (len(dst) - n + m.members.len()) / m.members.len()
	dst = append(dst, m.userState...)
	if cap(m.userState) > maxKept {
		m.userState = nil
	}
	return dst
}

// appendNode appends one member.
func (m *Machine) appendNode(dst []byte, e *member) []byte {
	n := &m.msg.node
	*n = wire.PushNodeState{Name: e.name, Addr: e.at(), Meta: e.meta,
		Incarnation: e.incarnation, State: e.state, Versions: e.versions, Native: m.cfg.tells(e)}
	if e.state == wire.StateDead && !m.cfg.Plain {
		n.Verdict = e.verdict
	}
	return wire.AppendPushNodeState(dst, n)
}

// HandleDialed ends a Dial: with the reply, or with why there is none.
func (m *Machine) HandleDialed(now time.Time, id DialID, reply []byte, err error) {
	m.begin(now)
	d, ok := m.dials.end(id)
	if !ok {
		m.drops.counts[DropStrayDial]++
		return
	}
	if err == nil && len(reply) == 0 && d.kind != dialUser {
		err = ErrNoReply
	}
	m.from, m.hearing = d.to, true
	if err == nil && d.kind != dialSelf {
		m.heard()
	}
	switch d.kind {
	case dialPing:
		m.streamPingEnd(&d, reply, err)
	case dialTakeover:
		m.takeoverDialEnd(&d, reply, err)
	case dialInquiry:
		m.inquiryDialed(&d, reply, err)
	case dialSelf:
		m.ownPort.ended(d.id, err, m.clock.awake())
	case dialUser:
		if err != nil {
			m.trace(Trace{Kind: TraceUserStreamFailed, Level: LevelDebug, Node: d.node, Addr: d.to, Err: err})
		}
	case dialPushPull:
		if _, err := m.exchanged(reply, err); err != nil {
			m.trace(Trace{Kind: TracePushPullFailed, Level: LevelError, Node: d.node, Addr: d.to, Err: err}) // P57
		}
	case dialCompare:
		if err := m.compared(&d, reply, err); err != nil {
			m.trace(Trace{Kind: TracePushPullFailed, Level: LevelError, Node: d.node, Addr: d.to, Err: err})
		}
	case dialJoin:
		n, err := m.exchanged(reply, err)
		if err == nil {
			m.settle()
		}
		m.joinEnd(&d, n, err)
	}
}

func (m *Machine) joinEnd(d *openDial, n int, err error) {
	t := Trace{Kind: TraceJoined, Level: LevelDebug, Node: d.node, Addr: d.to, N: n, Err: err}
	if err != nil {
		t.Kind = TraceJoinFailed
	}
	m.trace(t)
	m.out.Joins = append(m.out.Joins, JoinResult{ID: d.id, To: d.to, Err: err})
}

// streamPingEnd: the probe's ping over a stream ended. (P14)
func (m *Machine) streamPingEnd(d *openDial, reply []byte, err error) {
	if err == nil {
		err = m.readStreamAck(reply, d.seq)
	}
	switch {
	case err == nil:
		if m.probe.awaits(d.seq) {
			m.probe.contact = true
		}
	case !errors.Is(err, ErrConnect):
		m.trace(Trace{Kind: TraceStreamPingFailed, Level: LevelError, Node: d.node, Addr: d.to, Err: err})
	}
}

func (m *Machine) readStreamAck(reply []byte, seq uint32) error {
	if err := m.expect(reply, wire.TypeAck); err != nil {
		return err
	}
	if err := m.msg.ack.Decode(reply[1:], m); err != nil {
		return err
	}
	if m.msg.ack.Seq != seq {
		return ErrSequence
	}
	return nil
}

// expect checks the type of a reply. (P55)
func (m *Machine) expect(reply []byte, want wire.Type) error {
	switch wire.Type(reply[0]) {
	case want:
		return nil
	case wire.TypeErr:
		var e wire.Err
		if err := e.Decode(reply[1:], nil); err != nil {
			return err
		}
		return fmt.Errorf("%w: %s", ErrRemote, e.Error)
	}
	return fmt.Errorf("%w: %d in reply", wire.ErrType, reply[0])
}

// exchanged merges the answer of an exchange that we began; n is how many members it had.
func (m *Machine) exchanged(reply []byte, err error) (n int, _ error) {
	if err == nil {
		err = m.expect(reply, wire.TypePushPull)
	}
	if err != nil {
		return 0, err
	}
	in, err := m.check(reply[1:])
	if err != nil {
		return 0, err
	}
	m.merge(&in, true)
	return in.nodes, nil
}

// checked is a push/pull that can be merged. It aliases the message.
type checked struct {
	body, user []byte
	nodes      int
	news       bool // about a member; otherwise this node holds just the same of all in it
}

// check reads a whole push/pull without using it, so that half of one, or one
// from a cluster that we could not talk to, changes nothing. (P54, P55)
func (m *Machine) check(body []byte) (checked, error) {
	in := checked{body: body}
	pp, err := wire.ReadPushPull(body, m)
	if err != nil {
		return in, err
	}
	v := versionCheck{own: m.local.versions}
	kin := kinCheck{own: m.cfg.Cluster}
	n := &m.msg.node
	for {
		ok, err := pp.Next(n)
		if err != nil {
			return in, err
		}
		if !ok {
			break
		}
		in.nodes++
		in.news = in.news || !m.holds(n)
		if n.Name != m.local.name {
			v.add(n.Versions, n.State)
		}
		m.addKin(&kin, n)
	}
	if in.user, err = pp.UserState(); err != nil {
		return in, err
	}
	if err := kin.check(); err != nil {
		return in, err
	}
	return in, v.check()
}

// holds reports whether n is just what this node holds of that member, so that to
// merge it would change nothing and tell nobody. That is so with nearly all.
func (m *Machine) holds(n *wire.PushNodeState) bool {
	e := m.members.get(n.Name)
	if e == nil || n.State != e.state || n.Incarnation != e.incarnation || n.State == wire.StateSuspect {
		return false
	}
	if e.gone() {
		return e != m.local
	}
	at := m.mask(n.Addr)
	return at.Addr().IsValid() && pack(at) == e.addr && n.Versions == e.versions &&
		bytes.Equal(n.Meta, e.meta) && (n.Native == 0 || n.Native == e.native || m.cfg.Plain)
}

// versionCheck finds out whether this node and the members of a state understand each other.
//
// Rule: a member that is not understood, or would not understand, is passed over: one
// that is forged, or wrong, must not stop all exchanges. Only a state in which no living
// member is left is refused. One that announced nothing does not count. (P54)
type versionCheck struct {
	own          wire.Versions
	alive, wrong int           // living members that may stay, and members that may not
	example      wire.Versions // of those that may not
}

// fits reports whether a member may stay.
func (c *versionCheck) fits(v wire.Versions, s wire.NodeState) bool {
	o := &c.own
	switch {
	case v == (wire.Versions{}):
		return true
	case v.PCur < o.PMin || v.PCur > o.PMax || v.DCur < o.DMin || v.DCur > o.DMax:
		return false
	}
	return s != wire.StateAlive || o.PCur >= v.PMin && o.PCur <= v.PMax && o.DCur >= v.DMin && o.DCur <= v.DMax
}

func (c *versionCheck) add(v wire.Versions, s wire.NodeState) {
	switch {
	case !c.fits(v, s):
		c.wrong, c.example = c.wrong+1, v
	case s == wire.StateAlive:
		c.alive++
	}
}

func (c *versionCheck) check() error {
	if c.wrong == 0 || c.alive > 0 {
		return nil
	}
	v := &c.example
	return fmt.Errorf("%w: the other side speaks memberlist protocol %d of %d to %d and layer protocol %d of %d to %d, this node %d of %d to %d and %d of %d to %d",
		ErrIncompatible, v.PCur, v.PMin, v.PMax, v.DCur, v.DMin, v.DMax,
		c.own.PCur, c.own.PMin, c.own.PMax, c.own.DCur, c.own.DMin, c.own.DMax)
}

// merge treats a checked push/pull as messages; asked: this node opened it. (P52)
func (m *Machine) merge(in *checked, asked bool) {
	if in.news {
		m.far.asked = asked
		m.mergeMembers(in.body)
		m.far.asked = false
	}
	if len(in.user) > 0 {
		m.layer.MergeState(m.now, m.from, in.user, asked)
	}
	// What they were decoded from may be 20 MB, and is not ours to hold.
	m.msg.node, m.msg.alive = wire.PushNodeState{}, wire.Alive{}
}

func (m *Machine) mergeMembers(body []byte) {
	pp, _ := wire.ReadPushPull(body, m)
	versions := versionCheck{own: m.local.versions}
	n := &m.msg.node
	for {
		if ok, _ := pp.Next(n); !ok {
			break
		}
		if m.listedElsewhere(n) {
			continue
		}
		if !versions.fits(n.Versions, n.State) {
			m.drop(DropIncompatible, m.from, nil)
			continue
		}
		switch n.State {
		case wire.StateAlive:
			m.msg.alive = wire.Alive{Incarnation: n.Incarnation, Node: n.Name, Addr: n.Addr, Meta: n.Meta, Versions: n.Versions, Native: n.Native}
			m.alive(&m.msg.alive)
		case wire.StateLeft:
			m.dead(wire.Dead{Node: n.Name, Incarnation: n.Incarnation, From: n.Name})
		case wire.StateDead, wire.StateSuspect:
			e := m.members.get(n.Name)
			if m.far.judge(m, e, n.Incarnation, false) == ignore || n.Verdict != wire.VerdictNone && m.lookInto(e, n.Incarnation, n.Verdict) {
				continue
			}
			// Somebody else's death is suspicion here: who is wrongly held
			// dead gets the time to refute.
			m.suspect(wire.Suspect{Node: n.Name, Incarnation: n.Incarnation, From: m.local.name})
		}
	}
}

// answerPushPull answers with what we knew before, then merges. (P51)
func (m *Machine) answerPushPull(body []byte) []byte {
	in, err := m.check(body)
	if errors.Is(err, ErrCluster) {
		m.drops.counts[DropCluster]++
		m.trace(Trace{Kind: TraceMergeRefused, Level: LevelError, Addr: m.from, Err: err})
		e := wire.Err{Error: err.Error()} // P246
		return e.AppendTo(nil)
	}
	incompatible := errors.Is(err, ErrIncompatible)
	if err != nil && !incompatible {
		m.dropAs(TraceBadStream, dropOf(err), m.from, err)
		return nil
	}
	pp, _ := wire.ReadPushPull(body, m)
	if m.cfg.eager() && len(pp.Header.Digest) > 0 && !incompatible {
		return m.answerDigest(&in, pp.Header.Digest)
	}
	reply := m.appendState(nil, pp.Header.Join)
	if incompatible {
		m.drops.counts[DropIncompatible]++
		m.trace(Trace{Kind: TraceMergeRefused, Level: LevelError, Addr: m.from, Err: err})
		return reply
	}
	m.merge(&in, false)
	return reply
}
