package sim

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// inboxLimit is how many datagrams a socket holds for a process that does not read.
const inboxLimit = 2048

// Node is one virtual host with one process: the driver's twin. What the agent
// does with a select, it does with the cluster's heap.
type Node struct {
	c     *Cluster
	index int
	label string
	name  string
	addr  netip.AddrPort
	tags  []wire.Tag

	cluster string // its name; "": none

	machine  *serf.Machine
	life     int // counts the starts of the process
	up       bool
	hostDown bool // the host is gone too: nothing is refused, nothing answers
	paused   bool
	upset    bool     // see Upset
	blocks   bool     // stops when it sends or receives
	deaf     bool     // what it sends does not leave, what comes does not reach it
	outbox   []func() // what it was to send meanwhile
	inbox    []*event // what came while paused
	datagram int      // how many of them are datagrams

	links map[swim.LinkID]*stream // its links to others
	held  []*stream               // those of others to it

	armed   time.Duration // when the next timer entry of this life is due
	isArmed bool
	kept    memory

	joins      map[swim.DialID]string
	joined     bool // some join of this life succeeded
	silent     bool // does not answer queries
	retry      bool // joins again until it succeeds, as the agent's -retry-join
	leftAt     int  // the life in which somebody last wanted it to leave, 0: never
	leftBefore int  // the same, before the present life
	hasLeft    bool // the last life ended by leaving
	exchanged  bool // has merged another node's state in this life
	heard      bool // was told of the user event that a seeded run ends with
	told       []string
	acks       map[string]bool // who acked queries, once that is asked for
	Rejected   int             // datagrams that could not be opened
}

// memory is what a snapshot file keeps over a restart.
type memory struct {
	incarnation         uint32
	clock, event, query wire.LTime
}

// Name is what the node calls itself, Label what scripts call it.
func (n *Node) Name() string { return n.name }

// Label is what scripts and transcripts call the node.
func (n *Node) Label() string { return n.label }

// Machine is the running machine; nil while the process is down.
func (n *Node) Machine() *serf.Machine { return n.machine }

// Up reports whether the process exists (it may be paused).
func (n *Node) Up() bool { return n.up }

// Paused reports whether the process is stopped.
func (n *Node) Paused() bool { return n.paused }

// start starts the process: as new, or with what a snapshot keeps.
func (n *Node) start(keep bool) {
	n.life++
	if !keep {
		n.kept = memory{}
	}
	n.leftBefore = max(n.leftBefore, n.leftAt)
	cfg := n.c.opts.Serf
	cfg.Tags = n.tags
	cfg.Clock, cfg.EventClock, cfg.QueryClock = n.kept.clock, n.kept.event, n.kept.query
	cfg.Swim.Incarnation = n.kept.incarnation
	cfg.Swim.Name, cfg.Swim.Addr = n.name, n.addr
	cfg.Swim.Cluster = n.cluster
	cfg.Swim.Plain = cfg.Swim.Plain || n.c.opts.Mixed && n.index%2 == 1
	if n.life == 1 {
		cfg.Base = n.c.base
	}
	if cfg.Swim.PacketSize == 0 {
		cfg.Swim.PacketSize = 1400 - n.c.frame.Overhead()
	}
	rng := rand.New(rand.NewPCG(n.c.opts.Seed, uint64(1000+n.index)<<32|uint64(n.life)))
	m, err := serf.New(cfg, rng, n.c.Now())
	if err != nil {
		n.c.fail("%s: cannot start: %v", n.label, err)
		return
	}
	n.machine, n.up, n.paused, n.hostDown, n.joined = m, true, false, false, false
	n.hasLeft, n.heard, n.exchanged = false, false, false
	n.joins = make(map[swim.DialID]string)
	n.isArmed = false
	if n.c.check != nil {
		n.c.check.started(n, keep)
	}
	n.c.log.life(n.c, n, "starts")
	n.act()
}

// Crash ends the process without a word; with host, the host is gone as well.
func (n *Node) Crash(host bool) {
	if !n.up {
		n.hostDown = n.hostDown || host
		return
	}
	n.remember()
	n.breakLinks(host)
	what := "crashes"
	if host {
		what = "crashes, with its host"
	}
	n.stop(what)
	n.hostDown = host
}

// stop ends the process.
func (n *Node) stop(what string) {
	n.c.log.life(n.c, n, what)
	for _, e := range n.inbox {
		n.c.clock.release(e)
	}
	n.inbox, n.datagram = nil, 0
	n.breakLinks(false)
	n.outbox, n.upset, n.blocks, n.deaf = nil, false, false, false
	n.up, n.paused, n.machine = false, false, nil
	if n.c.check != nil {
		n.c.check.stopped(n)
	}
}

// remember writes the "snapshot".
func (n *Node) remember() {
	r := n.machine.Restorable()
	n.kept.incarnation, n.kept.clock = r.Incarnation, r.Clock
	n.kept.event, n.kept.query = max(n.kept.event, r.EventMin), max(n.kept.query, r.QueryMin)
}

// Restart starts the process again: with what a snapshot keeps, or as new.
func (n *Node) Restart(keep bool) {
	if n.up {
		n.Crash(false)
	}
	n.start(keep)
}

// Pause stops the process as SIGSTOP does: its host goes on taking what arrives.
func (n *Node) Pause() {
	if n.up && !n.paused {
		n.paused = true
		n.c.log.life(n.c, n, "is paused")
	}
}

// Resume lets a paused process run again. It reads what has arrived before it
// looks at its timers.
func (n *Node) Resume() {
	if !n.up || !n.paused {
		return
	}
	n.paused = false
	n.c.log.life(n.c, n, "resumes")
	n.drain()
}

// input gives the node one entry of the heap, or keeps it while the node is paused.
func (n *Node) input(e *event) (kept bool) {
	n.block()
	if !n.paused && (!n.deaf || (e.kind == dueDialed || e.kind == dueLink) && e.err == errTimeout) {
		n.take(e)
		return false
	}
	if e.kind == duePacket {
		if n.datagram >= inboxLimit {
			n.c.net.recycle(e.data)
			return false
		}
		n.datagram++
	}
	n.inbox = append(n.inbox, e)
	return true
}

// take is one turn of the driver's loop: the input to the machine, then its output.
func (n *Node) take(e *event) {
	now := n.c.Now()
	switch e.kind {
	case duePacket:
		n.packet(now, e)
	case dueStream:
		n.stream(now, e)
	case dueDialed:
		if e.dial.ended {
			return
		}
		e.dial.ended = true
		n.dialed(now, e)
	case dueLink:
		n.linked(now, e)
	case dueRefused:
		n.machine.HandleSendFailed(now, e.from)
	}
	if n.c.opts.EarlyTimers > 0 && n.c.rng.Float64() < n.c.opts.EarlyTimers {
		n.act()
		if !n.up {
			return
		}
		n.machine.HandleTimeout(now)
	}
	n.act()
}

func (n *Node) packet(now time.Time, e *event) {
	buf := n.c.net.buffer()
	msg, err := n.c.frame.OpenPacket(buf, e.data)
	if err != nil {
		n.Rejected++
		n.c.log.packet(n.c, e.from, n, nil, err)
	} else {
		n.c.log.packet(n.c, e.from, n, msg, nil)
		n.machine.HandlePacket(now, e.from, msg)
	}
	n.c.net.recycle(buf)
	n.c.net.recycle(e.data)
}

func (n *Node) stream(now time.Time, e *event) {
	msg, err := n.c.readStream(e.data, e.raw)
	n.c.log.stream(n.c, e.dial.dialer, n, msg, err)
	var reply []byte
	if err == nil && len(msg) > 0 {
		n.exchanged = n.exchanged || wire.Type(msg[0]) == wire.TypePushPull
		reply = n.machine.HandleStream(now, e.from, msg)
		if n.machine.HoldStream() {
			n.hold(e.dial)
		}
	}
	if len(reply) > 0 {
		reply = n.c.sealStream(reply)
	}
	n.c.reply(e.dial, reply)
}

func (n *Node) dialed(now time.Time, e *event) {
	reply, err := e.data, e.err
	if err == nil && !e.dial.noReply {
		reply, err = n.c.readStream(reply, false)
	}
	if e.dial.noReply && err == nil {
		reply = nil
	} else {
		n.c.log.stream(n.c, e.dial.to, n, reply, err)
	}
	n.exchanged = n.exchanged || len(reply) > 0 && wire.Type(reply[0]) == wire.TypePushPull
	n.machine.HandleDialed(now, e.dial.id, reply, e.dial.reported(err))
}

// timer is the node's one timer. An entry that is older than the machine's
// present deadline only arms the next one.
func (n *Node) timer(e *event) {
	if !n.up || e.life != n.life || !n.isArmed || e.at != n.armed {
		return
	}
	n.isArmed = false
	if n.paused {
		return
	}
	if now := n.c.Now(); !n.machine.Deadline().After(now) {
		n.machine.HandleTimeout(now)
		if n.c.check != nil {
			n.c.check.timeout(n)
		}
		n.act()
		return
	}
	n.arm()
}

// arm makes sure that an entry is due no later than the machine's deadline.
func (n *Node) arm() {
	at := max(n.machine.Deadline().Sub(epoch), n.c.clock.now)
	if n.c.opts.TimerLate > 0 {
		at += time.Duration(n.c.rng.Int64N(int64(n.c.opts.TimerLate)))
	}
	if n.isArmed && n.armed <= at {
		return
	}
	n.armed, n.isArmed = at, true
	n.c.clock.schedule(at, dueTimer, n).life = n.life
}

// act does what the machine wants done, in the order of Output's fields.
func (n *Node) act() {
	out := n.machine.Output()
	if len(out.Packets)+len(out.Dials)+len(out.Links) > 0 {
		n.block()
	}
	for i := range out.Packets {
		p := &out.Packets[i]
		n.c.send(n, p.To, n.c.sealPacket(p), p.Data)
	}
	for i := range out.Dials {
		d := &out.Dials[i]
		n.c.open(n, d, n.c.sealStream(d.Data))
	}
	for i := range out.Links {
		n.c.order(n, &out.Links[i])
	}
	for _, j := range out.Joins {
		n.joinEnds(j)
	}
	for i := range out.Trace {
		n.c.log.trace(n.c, n, &out.Trace[i])
	}
	for _, ev := range out.Events {
		n.event(ev)
	}
	for _, u := range out.Queries {
		n.news(u)
	}
	if n.c.check != nil {
		n.c.check.step(n)
	}
	if s := n.machine.State(); s == serf.Left || s == serf.Shutdown {
		n.ends(s)
		return
	}
	if !n.paused {
		n.arm()
	}
}

// ends stops the process as the agent does when the machine's life is over.
func (n *Node) ends(s serf.State) {
	n.remember()
	if s == serf.Left {
		n.hasLeft = true
		n.stop("has left and ends")
	} else {
		n.stop("gives up its name and ends")
	}
}

func (n *Node) joinEnds(j swim.JoinResult) {
	to := n.joins[j.ID]
	delete(n.joins, j.ID)
	if j.Err == nil {
		n.joined = true
		n.c.log.life(n.c, n, "has joined "+to)
	} else {
		n.c.log.life(n.c, n, "could not join "+to+": "+j.Err.Error())
	}
}

// event takes one event of the machine's: the checkers, the transcript, and
// for a query the answer.
func (n *Node) event(ev serf.Event) {
	n.c.log.event(n.c, n, &ev)
	if n.c.opts.Log != nil {
		n.told = append(n.told, describeEvent(n.c, &ev))
	}
	if n.c.onEvent != nil {
		n.c.onEvent(n, &ev)
	}
	switch ev.Type {
	case serf.EventUser:
		n.kept.event = max(n.kept.event, ev.LTime)
		n.heard = n.heard || string(ev.Payload) == lastWord
	case serf.EventQuery:
		n.kept.query = max(n.kept.query, ev.LTime)
		if !n.silent {
			n.answerLater(ev.Query)
		}
	}
	if n.c.check != nil {
		n.c.check.event(n, &ev)
	}
}

// answerLater answers a query as a handler would: after a while, with the
// node's name.
func (n *Node) answerLater(id serf.QueryID) {
	life := n.life
	delay := time.Duration(0)
	if n.c.opts.AnswerDelay > 0 {
		delay = time.Duration(n.c.rng.Int64N(int64(n.c.opts.AnswerDelay)))
	}
	n.c.After(delay, func() {
		if !n.up || n.paused || n.life != life {
			return
		}
		if err := n.machine.Respond(n.c.Now(), id, []byte(n.name)); err != nil {
			n.c.log.life(n.c, n, "cannot answer: "+err.Error())
		}
		n.act()
	})
}

func (n *Node) news(u serf.QueryUpdate) {
	n.c.log.news(n.c, n, &u)
	if n.acks != nil && u.Kind == serf.QueryAck {
		n.acks[u.From] = true
	}
	if n.c.check != nil {
		n.c.check.news(n, &u)
	}
}

// sealPacket makes a datagram of a machine's packet, as the agent does.
func (c *Cluster) sealPacket(p *swim.Packet) []byte {
	msg := p.Data
	var tmp, crc []byte
	if c.opts.Compress {
		tmp = c.press.Append(c.net.buffer(), msg)
		if len(tmp) < len(msg) {
			msg = tmp
		}
	}
	if p.CRC {
		crc = wire.AppendCRC(c.net.buffer(), msg)
		msg = crc
	}
	data := c.frame.SealPacket(c.net.buffer(), msg, c.nonce())
	c.net.recycle(tmp)
	c.net.recycle(crc)
	return data
}

// readStream is the message in the bytes of a stream. Without any framing they
// are it, unless they are raw: nobody's message. To look for its end would take
// longer than all else that is done with a large one.
func (c *Cluster) readStream(data []byte, raw bool) ([]byte, error) {
	if f := &c.frame; !raw && f.Label == "" && len(f.Keys) == 0 && !c.opts.Compress {
		return data, nil
	}
	return c.frame.ReadStream(bytes.NewReader(data), nil)
}

// sealStream makes the bytes of a stream of a machine's message.
func (c *Cluster) sealStream(msg []byte) []byte {
	if c.opts.Compress {
		if tmp := c.press.Append(nil, msg); len(tmp) < len(msg) {
			msg = tmp
		}
	}
	return c.frame.SealStream(nil, msg, c.nonce())
}

// nonce is never used twice in a cluster: it is drawn.
func (c *Cluster) nonce() []byte {
	if len(c.frame.Keys) == 0 {
		return nil
	}
	b := make([]byte, wire.NonceSize)
	for i := range b {
		b[i] = byte(c.rng.Uint32())
	}
	return b
}
