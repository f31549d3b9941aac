package swim

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/swim/broadcast"
	"github.com/ibuki-dev/ibuki/wire"
)

// Machine is one node's membership state. It is not safe for concurrent use.
//
// It only routes: the state objects decide (see the type comments of members,
// probe, relays, suspicion, awareness, Queue, timers, clock, dials, drops).
type Machine struct {
	cfg   Config
	layer Layer
	rng   *rand.Rand

	clock     clock
	timers    timers
	members   members
	local     *member // in members from New on, never forgotten
	probe     probe
	relays    relays
	takeover  takeover
	awareness awareness
	watches   watches
	timing    timing
	slots     slots
	usual     time.Duration // how long round trips take at most: a maximum that falls slowly
	ownPort   ownPort
	lone      lone
	recent    struct { // members that went, suspicions of silence, members that came
		gone, silences recently
		came           arrivals
	}
	far       far
	links     LinkID // the last one
	hold      bool   // see HoldStream
	queue     broadcast.Queue
	spreader  spreader
	exchanges int           // periodic ones, so far
	settling  time.Duration // until the next comparison after a join, 0: no more (P235)
	dials     dials
	drops     drops
	counts    Counts
	out       output
	seq       uint32 // of the last ping
	departure departure

	introductions introductions

	heardAt time.Duration // when anybody was heard last, on the awake clock
	roll    roll

	probeTimer, gossipTimer, pushPullTimer, slotTimer timer
	late                                              time.Duration // how late the running input comes to the first timer

	// now and from are those of the running input.
	now  time.Time
	from netip.AddrPort
	// hearing: what the running input makes known was told by from.
	hearing bool

	// Memory that is used again at each input.
	unpacker  wire.Unpacker
	each      func(msg []byte) // handle, as a value
	gossipsTo func(*member) bool
	forget    func()
	msg       messages
	scratch   []byte   // an encoded message
	parts     [][]byte // of a packet
	payload   []byte   // of an ack
	userState []byte   // the layer's
	stateEach int      // bytes of a member in the last push/pull
	told      Member   // given to the layer
	own       Member   // returned by Local
	asked     Member   // returned by Member
	listed    Member   // given by Each
}

// messages is one of each, to decode into and to encode from.
type messages struct {
	ping     wire.Ping
	indirect wire.IndirectPing
	ack      wire.Ack
	nack     wire.Nack
	suspect  wire.Suspect
	alive    wire.Alive
	dead     wire.Dead
	node     wire.PushNodeState
}

// New returns a machine that knows only itself, alive. It does not call the layer.
func New(cfg Config, layer Layer, rng *rand.Rand, now time.Time) (*Machine, error) {
	if layer == nil || rng == nil {
		return nil, ErrMissing
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	cfg.Addr = unmap(cfg.Addr)
	m := &Machine{cfg: cfg, layer: layer, rng: rng, now: now}
	m.clock.start = now
	m.members.index.seed, m.members.suspects = uint64(now.UnixNano()), make(map[*member]*suspicion)
	m.awareness.limit = cfg.AwarenessMax
	m.probe.timeout.kind, m.probe.end.kind = timerProbeTimeout, timerProbeEnd
	m.relays.timer.kind, m.takeover.timer.kind = timerRelay, timerTakeover
	m.probeTimer.kind, m.gossipTimer.kind, m.pushPullTimer.kind = timerProbe, timerGossip, timerPushPull
	m.timing = newTiming(&cfg)
	m.watches.look.kind = timerRing
	m.spreader.timer.kind, m.slotTimer.kind, m.departure.timer.kind = timerSpread, timerSlot, timerFarewell
	m.departure.others.timer.kind, m.introductions.timer.kind = timerLingerers, timerIntroduce
	m.each, m.gossipsTo, m.forget = m.handle, m.canGossipTo, m.forgetGone

	if err := m.enter(); err != nil {
		return nil, err
	}

	// P152
	m.arm(&m.probeTimer, m.stagger(cfg.ProbeInterval))
	m.arm(&m.gossipTimer, m.stagger(cfg.GossipInterval))
	m.arm(&m.pushPullTimer, m.stagger(cfg.PushPullInterval))
	m.ringChanged(m.local)
	return m, nil
}

// enter makes this node's own entry, and announces it if it is news.
func (m *Machine) enter() error {
	if m.cfg.Base != nil {
		if m.local = m.members.share(m.cfg.Base, m.cfg.Name, m.rng); m.local == nil {
			return ErrBase
		}
		m.local.native = m.cfg.native()
		m.members.rings = rings{self: m.local, stale: true}
		return nil
	}
	e := m.members.add(&Face{m.cfg.Name, m.members.keep(m.cfg.Meta), pack(m.cfg.Addr), m.cfg.Versions}, m.rng)
	e.incarnation = m.cfg.firstIncarnation()
	e.native = m.cfg.native()
	m.members.set(e, wire.StateAlive, 0)
	m.local, m.members.rings.self = e, e
	m.announce()
	return nil
}

func (m *Machine) stagger(interval time.Duration) time.Duration {
	return 1 + time.Duration(m.rng.Int64N(int64(interval)))
}

// begin is the start of every input.
func (m *Machine) begin(now time.Time) {
	m.out.begin()
	m.now, m.hearing = now, false
	next, armed := m.timers.next()
	slept := m.clock.advance(now, next, armed, m.cfg.tolerance())
	if m.late = slept; armed && slept == 0 {
		m.late = m.clock.awake() - next
	}
	if slept > 0 {
		m.slept(slept)
	}
}

// asleepNative is how late a native's timers may be before that counts as
// sleep: it judges quicker than Serf, and must notice sooner that it was not awake.
const asleepNative = 75 * time.Millisecond

func (c *Config) tolerance() time.Duration {
	if c.Plain {
		return c.ProbeTimeout
	}
	return min(c.ProbeTimeout, asleepNative)
}

func (m *Machine) slept(d time.Duration) {
	t := Trace{Kind: TraceSlept, Level: LevelWarn, Dur: d}
	if d <= m.cfg.ProbeTimeout {
		t.Level = LevelDebug
	}
	m.trace(t)
	if !m.cfg.Plain {
		m.voidWatches()
	}
}

// arm sets a timer, for now if its moment is over already: only the driver can
// be late, and that is how the clock sees that it slept.
func (m *Machine) arm(t *timer, at time.Duration) {
	m.timers.arm(t, max(at, m.clock.awake()))
}

// HandleTimeout does whatever is due at now.
func (m *Machine) HandleTimeout(now time.Time) {
	m.begin(now)
	// Each timer that is armed again is so for later than now: the loop ends.
	for t := m.timers.due(m.clock.awake()); t != nil; t = m.timers.due(m.clock.awake()) {
		m.fire(t)
	}
}

func (m *Machine) fire(t *timer) {
	switch t.kind {
	case timerProbeTimeout:
		m.pingTimeout()
	case timerProbeEnd:
		m.probeEnd()
	case timerSuspicion:
		m.suspicionEnd(t.who)
	case timerWatch:
		m.watchFire(t.who)
	case timerLink:
		m.linkFire(t.who)
	case timerRing:
		m.lookAround()
	case timerRelay:
		m.relayTimeout()
	case timerProbe:
		m.probeTick()
	case timerGossip:
		m.gossip()
	case timerPushPull:
		m.pushPullTick()
	case timerTakeover:
		m.takeoverTick()
	case timerSpread:
		m.spread()
	case timerSlot:
		m.awaitPings()
	case timerFarewell:
		m.sayFarewell()
	case timerIntroduce:
		m.introduce()
	case timerLingerers:
		if at := m.departure.others.over(m.clock.awake(), &m.out); at > 0 {
			m.arm(&m.departure.others.timer, at)
		}
	}
}

// Deadline is when HandleTimeout wants to be called next.
func (m *Machine) Deadline() time.Time {
	at, _ := m.timers.next() // the periodic ones are always armed
	return m.clock.instant(at)
}

// HandlePacket takes the plain message of one datagram (opened, not unpacked:
// it may have a CRC, be compressed or be a compound).
func (m *Machine) HandlePacket(now time.Time, from netip.AddrPort, msg []byte) {
	m.begin(now)
	m.from, m.hearing = unmap(from), true
	m.heard()
	m.watches.hears(pack(m.from), m.clock.awake())
	if err := m.unpacker.Unpack(msg, m.each); err != nil {
		m.drop(dropOf(err), m.from, err)
	}
}

// handle takes one plain message of a packet.
func (m *Machine) handle(msg []byte) {
	body := msg[1:]
	switch wire.Type(msg[0]) {
	case wire.TypePing:
		m.handlePing(body)
	case wire.TypeIndirectPing:
		m.handleIndirectPing(body)
	case wire.TypeAck:
		m.handleAck(body)
	case wire.TypeNack:
		m.handleNack(body)
	case wire.TypeSuspect:
		m.handleSuspect(body)
	case wire.TypeAlive:
		m.handleAlive(body)
	case wire.TypeDead:
		m.handleDead(body)
	case wire.TypeUser:
		m.layer.Message(m.now, m.from, body)
	default:
		m.drop(DropType, m.from, nil) // P145
	}
}

// HandleStream takes the one message that arrived on a stream which somebody
// opened to us, and returns what to write back before it is closed; nil for
// nothing. The reply is valid until the next input.
func (m *Machine) HandleStream(now time.Time, from netip.AddrPort, msg []byte) (reply []byte) {
	m.begin(now)
	m.hold = false
	m.from, m.hearing = unmap(from), true
	if !m.ownPort.sent(msg, m.local.name) {
		m.heard()
	}
	if len(msg) == 0 {
		return nil
	}
	body := msg[1:]
	m.trace(Trace{Kind: TraceStream, Level: LevelDebug, Addr: m.from, N: int(msg[0])})
	switch wire.Type(msg[0]) {
	case wire.TypePing:
		return m.answerStreamPing(body)
	case wire.TypePushPull:
		return m.answerPushPull(body)
	case wire.TypeUser:
		m.streamUser(body)
	default:
		m.dropAs(TraceBadStream, DropType, m.from, nil)
	}
	return nil
}

func (m *Machine) answerStreamPing(body []byte) []byte {
	p := &m.msg.ping
	if err := p.Decode(body, m); err != nil {
		m.dropAs(TraceBadStream, dropOf(err), m.from, err)
		return nil
	}
	if p.Node != "" && p.Node != m.local.name {
		m.unexpectedPing(p)
		return nil
	}
	if m.ownPing(p) {
		m.takeName()
		return nil
	}
	m.heardNative(p.SourceNode, p.Native)
	m.hold = p.Link && !m.cfg.Plain
	m.msg.ack = wire.Ack{Seq: p.Seq, Native: m.cfg.native()}
	m.scratch = m.msg.ack.AppendTo(m.scratch[:0])
	return m.scratch
}

func (m *Machine) streamUser(body []byte) {
	user, err := wire.ReadUserStream(body)
	if err != nil {
		m.dropAs(TraceBadStream, dropOf(err), m.from, err)
		return
	}
	m.layer.Message(m.now, m.from, user)
}

// Leave begins to leave: the others are told that this node is gone by its own
// will. LeaveSent reports when that has been gossiped often enough.
func (m *Machine) Leave(now time.Time) {
	m.begin(now)
	if m.departure.leaving {
		return
	}
	m.departure.leaving = true
	m.trace(Trace{Kind: TraceLeave, Level: LevelInfo, Node: m.local.name, Incarnation: m.local.incarnation})
	m.dead(wire.Dead{Node: m.local.name, Incarnation: m.local.incarnation, From: m.local.name})
}

// LeaveSent reports whether the leave was told, or there is nobody to tell.
func (m *Machine) LeaveSent() bool {
	return m.departure.leaving && (m.departure.sent || m.members.numPresent() == 0)
}

// SetMeta changes this node's metadata and tells the others. Once the node
// leaves it changes nothing. The error is ErrMetaTooLong or nil.
func (m *Machine) SetMeta(now time.Time, meta []byte) error {
	m.begin(now)
	if len(meta) > wire.MetaMax {
		return ErrMetaTooLong
	}
	if m.departure.leaving {
		return nil
	}
	e := m.local
	changed := string(e.meta) != string(meta)
	raise(m, e.incarnation)
	e.Face = &Face{e.name, m.members.keep(meta), e.addr, e.versions}
	m.announce()
	if changed {
		m.layer.Updated(m.now, m.view(&m.told, e))
	}
	return nil
}

// AddTrace appends a record of the layer's to the Output.
func (m *Machine) AddTrace(t Trace) {
	m.out.begin()
	m.trace(t)
}

func (m *Machine) trace(t Trace) { m.out.Trace = append(m.out.Trace, t) }

// Health is Lifeguard's local health score: 0 is well.
func (m *Machine) Health() int { return m.awareness.score }
