package serf

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// Errors of the commands. Those that RPC clients of Serf know have its texts.
var (
	ErrNotAlive      = errors.New("not alive: leaving, left or shut down")
	ErrTagsTooLong   = errors.New("Encoded length of tags exceeds limit of 512 bytes")
	ErrUnknownMember = errors.New("no such member")
	ErrQueryOver     = errors.New("query is over or was answered")
	ErrProtocol      = errors.New("Feature not supported") // queries need protocol 4
)

// Machine is one Serf node. It is not safe for concurrent use.
//
// Its inputs are routed here; what they mean is decided in the other files, one
// for each concept. An input goes to swim, which calls back through layer; then
// settle does what had to wait until swim was done.
type Machine struct {
	cfg   Config
	swim  *swim.Machine
	rng   *rand.Rand
	now   time.Time // of the present input
	epoch time.Time // of New: times in records count from here
	state State

	clock, eventClock, queryClock clock

	members memberList
	changes uint64 // of members, see Changes
	names   names
	intents map[string]intent

	queues    queues
	heardFrom netip.AddrPort // who sent the message that is being handled

	joins   map[swim.DialID]joinKind
	merging joinKind // of the exchange that is being merged
	merged  bool     // that exchange went well
	synced  bool     // some other node's state was merged, in this life or a former one

	events   eventBuffer
	queries  queryBuffer
	outgoing outgoing // queries of this node that are running
	incoming incoming // queries of others that this node may still answer

	ahead ahead

	reconnects reconnects
	restarts   restarts
	window     time.Duration // that this node has announced; 0: none
	conflict   conflict

	leave  departure
	prunes []pruned

	coalescer coalescer // every event goes through it

	coords coordinates

	counts Counts

	timers      timers
	keyChanges  []KeyChange
	historyAsks []HistoryAsk
	out         Output
	buf         []byte // scratch, for one message
	msg         messages
}

// messages are decoded into, one after the other, so that they cost nothing.
type messages struct {
	join  wire.Join
	leave wire.Leave
	event wire.UserEvent
	query wire.Query
	resp  wire.QueryResponse
	relay wire.Relay
}

// New returns a machine that knows only itself. Its first Output has the
// member-join event of itself.
func New(cfg Config, rng *rand.Rand, now time.Time) (*Machine, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Swim.Meta = encodeTags(cfg.Protocol, withOwn(cfg.Tags, cfg.Swim.Cluster, 0))
	cfg.Swim.Versions = wire.Versions{
		PMin: 1, PMax: 5, PCur: 2,
		DMin: ProtocolMin, DMax: ProtocolMax, DCur: cfg.Protocol,
	}
	if cfg.Base != nil {
		cfg.Swim.Base = cfg.Base.swim
	}
	m := &Machine{
		cfg: cfg, rng: rng, now: now, epoch: now,
		clock:      newClock(cfg.Clock),
		eventClock: newClock(cfg.EventClock),
		queryClock: newClock(cfg.QueryClock),
		synced:     cfg.Clock > 0 || cfg.EventClock > 0 || cfg.QueryClock > 0,
		intents:    make(map[string]intent),
		joins:      make(map[swim.DialID]joinKind),
	}
	m.coalescer = newCoalescer(&cfg, &m.timers, m)
	m.names.members = &m.members
	m.ahead.m = m
	m.restarts = restarts{timers: &m.timers, trace: m.trace}
	m.events.init(cfg.EventBuffer, cfg.EventClock)
	m.queries.init(cfg.QueryBuffer, cfg.QueryClock)
	m.outgoing.init(m.isNative)
	m.incoming.init()
	if !cfg.NoCoordinates {
		var err error
		if m.coords, err = newCoordinates(rng); err != nil {
			return nil, err
		}
		cfg.Swim.Introduce = true
	}
	sm, err := swim.New(cfg.Swim, &layer{m}, rng, now)
	if err != nil {
		return nil, err
	}
	m.swim = sm
	m.timers.set(timerReap, now.Add(cfg.ReapInterval))
	m.timers.set(timerReconnect, now.Add(cfg.ReconnectInterval))
	m.timers.set(timerQueues, now.Add(cfg.QueueCheckInterval))
	m.enter()
	m.coalescer.flushMembers(now)
	return m, nil
}

// HandlePacket: see swim.Machine.HandlePacket.
func (m *Machine) HandlePacket(now time.Time, from netip.AddrPort, msg []byte) {
	m.now = now
	m.swim.HandlePacket(now, from, msg)
	m.settle()
}

// HandleStream: see swim.Machine.HandleStream.
func (m *Machine) HandleStream(now time.Time, from netip.AddrPort, msg []byte) (reply []byte) {
	m.now = now
	reply = m.swim.HandleStream(now, from, msg)
	m.settle()
	return reply
}

// HandleDialed: see swim.Machine.HandleDialed.
func (m *Machine) HandleDialed(now time.Time, id swim.DialID, reply []byte, err error) {
	m.now = now
	m.merging, m.merged = m.joins[id], false
	m.swim.HandleDialed(now, id, reply, err)
	m.joinMerged()
	m.merging = notJoining
	m.settle()
}

// HandleSendFailed: see swim.Machine.HandleSendFailed.
func (m *Machine) HandleSendFailed(now time.Time, to netip.AddrPort) {
	m.now = now
	m.swim.HandleSendFailed(now, to)
	m.settle()
}

// HandleLink: see swim.Machine.HandleLink.
func (m *Machine) HandleLink(now time.Time, id swim.LinkID, event swim.LinkEvent, reply []byte, err error) {
	m.now = now
	m.swim.HandleLink(now, id, event, reply, err)
	m.settle()
}

// HoldStream: see swim.Machine.HoldStream.
func (m *Machine) HoldStream() bool { return m.swim.HoldStream() }

// HandleTimeout does whatever is due at now.
func (m *Machine) HandleTimeout(now time.Time) {
	m.now = now
	m.swim.HandleTimeout(now)
	m.reapDue()
	m.reconnectDue()
	m.reconnectsDue()
	m.restartsDue()
	m.windowDue()
	m.queuesDue()
	m.ahead.checkDue()
	m.queues.dropOver(now)
	m.queriesDue()
	for _, a := range m.outgoing.againDue(now) {
		m.askAgain(a)
	}
	m.coalescer.flushDue(now)
	m.settle()
}

// settle does what an input has made possible but must not be done while swim
// is at work.
func (m *Machine) settle() {
	defer m.coalescer.flushEdges(m.now)
	if len(m.prunes) > 0 {
		m.pruneDue()
	}
	if m.leave.step != notLeaving && m.leave.step != leaveDone {
		m.stepLeave()
	}
}

// Deadline is when HandleTimeout wants to be called next.
func (m *Machine) Deadline() time.Time {
	at := earlier(m.swim.Deadline(), m.timers.next())
	at = earlier(at, m.outgoing.next())
	at = earlier(at, m.queues.times.next())
	return earlier(at, m.nextPrune())
}

// Output returns what the inputs since the last call produced.
func (m *Machine) Output() *Output {
	m.out.Output = m.swim.Output()
	m.hideReconnects(m.out.Output)
	m.out.Events = m.coalescer.take()
	m.out.Queries = m.outgoing.take()
	m.out.KeyChanges, m.keyChanges = m.keyChanges, nil
	m.out.HistoryAsks, m.historyAsks = m.historyAsks, nil
	return &m.out
}

// isNative reports whether a member is known and native.
func (m *Machine) isNative(name string) bool {
	sm := m.swim.Member(name)
	return sm != nil && sm.Native > 0
}

// State is how far this node's own life has come.
func (m *Machine) State() State { return m.state }

// Swim is the membership machine below, for its views only (Local, Member, Each,
// Health, …): its inputs are this machine's alone.
func (m *Machine) Swim() *swim.Machine { return m.swim }

// Changes counts what made Members differ: who keeps a copy knows by it when to
// take a new one.
func (m *Machine) Changes() uint64 { return m.changes }
