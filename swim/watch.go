package swim

import (
	"cmp"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// watchPhase is what a watch waits for.
type watchPhase uint8

const (
	watchIdle    watchPhase = iota // for its next ping to be due
	watchAsked                     // for the answer to it
	watchInquiry                   // for an answer on any way (see inquiry.go)
	watchAccused                   // for a refutation, a sign of life or the end
)

// watch is what this node does about one member that it watches, native or not.
//
// Rule: it is pinged at even intervals; the first ping that is not answered in
// time starts an inquiry, and so does evidence. What is said against the member comes
// of an inquiry only. Invariant: at most one inquiry runs (P194); seq is the
// number of the present series of pings, any answer to which ends it.
type watch struct {
	e     *member
	timer timer // of phase
	phase watchPhase
	every time.Duration
	due   time.Duration // when the next ordinary ping is, on the awake clock

	seq    uint32
	pings  int           // in this series
	sent   time.Duration // the first of them, on the real clock
	asleep time.Duration // the clock's then

	rtt, dev time.Duration // of answers; rtt 0: not measured yet
	guess    time.Duration // what counts as a round trip until then; 0: ProbeTimeout

	inquiry inquiry
	link    link
	refused time.Duration // when our connect was refused last, told when another native's was; 0: not
	told    time.Duration

	firstRefused time.Duration // the first of the refusals since the member was heard
	heard        time.Duration // its last packet that came while it was asked
	look         bool          // it is not watched, only looked at: see lookInto
	claimed      uint32        // the incarnation at which others hold it dead, which its pings say; 0: they do not

	hush    time.Duration // hints are not followed before; grows by hushing with each that was wrong
	hushing time.Duration
	lost    bool          // the link broke: if it lives, states are to be exchanged
	around  time.Duration // when it was last noted that only others reach it; 0: never
}

// watches are those whom this node watches, in the order of the ring.
type watches struct {
	list          []*watch
	look          timer  // to look at the ring again
	natives       int    // others among them, as long as there are fewer than watch a member
	horizon       uint32 // the distance up to which a change matters
	nearestNative uint32 // its distance; 0 if there is none
	scratch       []*member
	times         []time.Duration // scratch
}

// of is the watch of e, nil if there is none.
func (ws *watches) of(e *member) *watch {
	for _, w := range ws.list {
		if w.e == e {
			return w
		}
	}
	return nil
}

// each calls f for each watch.
func (ws *watches) each(f func(*watch)) {
	for _, w := range ws.list {
		f(w)
	}
}

// lookAround brings the watches up to date with the ring. (P192)
func (m *Machine) lookAround() {
	ws := &m.watches
	var full bool
	ws.scratch, ws.natives, full = m.members.watched(ws.scratch[:0], m.local, m.passedBy)
	ws.nearestNative, ws.horizon = 0, ^uint32(0)
	past := false
	for i, e := range ws.scratch {
		past = past || m.passedBy(e)
		ws.scratch[i] = m.members.own(e)
		if !full {
			ws.horizon = e.place - m.local.place
		}
	}
	for i := 0; i < len(ws.list); {
		if w := ws.list[i]; !slices.Contains(ws.scratch, w.e) && !(w.look && w.asks()) {
			ws.list = slices.Delete(ws.list, i, i+1)
			m.unwatch(w)
			continue
		}
		i++
	}
	for i, e := range ws.scratch {
		if e.native > 0 && ws.nearestNative == 0 {
			ws.nearestNative = max(1, e.place-m.local.place)
		}
		w := ws.of(e)
		if w == nil {
			w = newWatch(e)
			if past { // many may be gone: it is pinged at once, and as if it were as near as others (P298)
				w.guess = max(m.timing.burst, 4*cmp.Or(m.usual, m.cfg.ProbeTimeout))
				m.nextPing(w, m.stagger(ringSoon))
			}
			ws.list = slices.Insert(ws.list, min(i, len(ws.list)), w)
		}
		w.look = false
		each := ws.natives + 1 // self watches it, and so do the others
		if e.native > 0 {
			each--
		}
		every := m.timing.every
		if e.native == 0 {
			every = m.timing.everyPlain
		}
		w.every = every * time.Duration(min(watchersEach, max(1, each)))
		if w.phase == watchIdle && w.due > m.clock.awake()+w.every {
			m.nextPing(w, m.stagger(w.every))
		}
		m.wantLink(w)
	}
	clear(ws.scratch)
}

func newWatch(e *member) *watch {
	w := &watch{e: e}
	w.timer = timer{kind: timerWatch, who: e}
	w.link.timer = timer{kind: timerLink, who: e}
	w.due = 1<<62 - 1 // at once, see lookAround
	return w
}

// unwatch ends a watch that is out of the list.
func (m *Machine) unwatch(w *watch) {
	m.timers.stop(&w.timer)
	if m.departure.others.keep(w, m.clock.awake()) && m.departure.others.timer.pos == 0 {
		m.arm(&m.departure.others.timer, m.clock.awake()+lingersFor)
	}
	m.dropLink(w)
}

// watchFire: the timer of e's watch has come.
func (m *Machine) watchFire(e *member) {
	w := m.watches.of(e)
	if w == nil {
		return
	}
	switch w.phase {
	case watchIdle:
		m.watchPing(w)
	case watchAsked:
		m.counts.Missed++
		m.inquire(w)
		m.askWatchers(w.e)
	case watchInquiry:
		m.inquiryTick(w)
	case watchAccused:
		m.accusedTick(w)
	}
}

// nextPing makes the next ordinary ping due after d.
func (m *Machine) nextPing(w *watch, d time.Duration) {
	w.phase = watchIdle
	w.due = m.clock.awake() + d
	m.arm(&w.timer, w.due)
}

// watchPing begins a series. (P193)
func (m *Machine) watchPing(w *watch) {
	w.series(m.nextSeq(), &m.clock)
	w.phase = watchAsked
	m.sendWatchPing(w)
	m.arm(&w.timer, m.clock.awake()+w.patience(&m.timing, m.cfg.ProbeTimeout))
}

// series begins one, under a new number.
func (w *watch) series(seq uint32, c *clock) {
	w.seq, w.pings = seq, 0
	w.sent, w.asleep = c.real, c.asleep
}

// patience is how long an answer of w's member may take. (P193)
func (w *watch) patience(t *timing, most time.Duration) time.Duration {
	return min(max(t.answer, w.trip(most)), most)
}

// trip is how long a round trip to w's member takes at most, as far as is known.
func (w *watch) trip(most time.Duration) time.Duration {
	switch {
	case w.rtt != 0:
		return min(w.rtt+4*w.dev, most)
	case w.guess != 0:
		return min(w.guess, most)
	}
	return most
}

// sendWatchPing sends one ping of the present series. A native is sent no more
// than it needs; it answers to where the packet came from. To one that is
// suspect the suspicion goes first, so that the very answer can refute it.
func (m *Machine) sendWatchPing(w *watch) {
	e := w.e
	w.pings++
	p := m.ping(w.seq, e.name)
	if e.native > 0 && !w.look { // who only looks wants no turn
		*p = wire.Ping{Seq: p.Seq, Node: p.Node, Native: p.Native}
	}
	m.msg.suspect = wire.Suspect{Incarnation: max(e.incarnation, w.claimed), Node: e.name, From: m.local.name}
	switch s := m.members.suspects[e]; {
	case s != nil:
		m.msg.suspect.Verdict = s.verdict
	case w.claimed == 0:
		m.scratch = p.AppendTo(m.scratch[:0])
		m.send(e.at(), e.name, m.scratch)
		return
	}
	m.scratch = m.msg.suspect.AppendTo(m.scratch[:0])
	n := len(m.scratch)
	m.scratch = p.AppendTo(m.scratch)
	m.parts = append(m.parts[:0], m.scratch[:n], m.scratch[n:])
	m.sendParts(e.at(), e.name, e.versions.PMax >= 5)
}

// lateMost is how many times the time-out a late answer counts for at most: the member
// may have been stopped, which says nothing about the way.
const lateMost = 4

// watchAck takes an ack if it belongs to a watch.
func (m *Machine) watchAck(a *wire.Ack) bool {
	for _, w := range m.watches.list {
		if w.seq != a.Seq || w.phase == watchIdle {
			continue
		}
		direct := !w.inquiry.asked || m.from == w.e.at() // a relay passes it on without the key
		if direct {
			m.heardNative(w.e.name, a.Native)
		}
		// Of several pings the first counts: a time-out may be too long for a while, but
		// must not stay too short.
		if direct && w.asleep == m.clock.asleep {
			w.measured(min(m.clock.real-w.sent, lateMost*w.patience(&m.timing, m.cfg.ProbeTimeout)))
			m.usual = max(m.usual-m.usual/8, w.trip(m.cfg.ProbeTimeout))
		}
		if w.inquiry.asked && a.Native == 0 && w.e.native > 0 {
			m.onlyAround(w)
		}
		m.answered(w, a.Wait)
		return true
	}
	return false
}

// aroundEvery is how often it is noted that a member is reached through others only.
const aroundEvery = 10 * time.Second

// onlyAround notes that neither a ping nor a stream reached w's member directly, or no
// answer came back, while another member reaches it: packets get lost on the way.
func (m *Machine) onlyAround(w *watch) {
	now := m.clock.awake()
	if w.around != 0 && now-w.around < aroundEvery {
		return
	}
	w.around = max(now, 1)
	m.trace(Trace{Kind: TraceIndirectOnly, Level: LevelDebug, Node: w.e.name, Addr: w.e.at(), Dur: now - w.inquiry.began})
}

// measured takes a round trip into account, as TCP does. (RFC 6298)
func (w *watch) measured(rtt time.Duration) {
	rtt = max(rtt, 1)
	if w.rtt == 0 {
		w.rtt, w.dev = rtt, rtt/2
		return
	}
	w.dev += ((rtt - w.rtt).Abs() - w.dev) / 4
	w.rtt += (rtt - w.rtt) / 8
}

// answered: w's member lives. wait is when it wants the next ping, 0 if it did not say.
func (m *Machine) answered(w *watch, wait uint8) {
	m.inquiryOver(w)
	if w.e.state == wire.StateSuspect {
		m.signOfLife(w.e)
	}
	w.claimed = 0
	next := max(w.due+w.every-m.clock.awake(), m.timing.again)
	if wait > 0 {
		next = min(time.Duration(wait)*wire.WaitUnit, 2*w.every)
	}
	m.watchOn(w, next)
	if w.lost { // it may be a new life that knows nobody
		w.lost = false
		m.pushPullWith(w.e)
	}
}

// voidWatches: this process did not run for a while. What it did not hear in
// that time says nothing about others, so that everything begun before is void. (P196)
func (m *Machine) voidWatches() {
	m.slots.void()
	for _, w := range m.watches.list {
		asked := w.asks()
		m.inquiryOver(w)
		w.refused, w.told = 0, 0
		if asked { // and is asked anew
			m.inquire(w)
		} else {
			m.nextPing(w, m.stagger(max(w.every, 1)))
		}
	}
	m.doubtAnew()
}
