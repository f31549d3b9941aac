package swim

import (
	"errors"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// For drivers: what the error of HandleDialed wraps.
var (
	// ErrRefused, beside ErrConnect: the other host answered that nobody listens there.
	// The error of a link wraps it too.
	ErrRefused = errors.New("connection refused")
	// ErrUnanswered: the stream was connected, and nothing came before its time was over.
	ErrUnanswered = errors.New("no answer in time")
)

// inquiry is the burst in which a member that did not answer, or that there is evidence
// against, is tried on all ways at once: pings, a ping over a stream, pings by
// others. (P194)
type inquiry struct {
	began     time.Duration // on the awake clock
	ends      time.Duration
	dial      DialID        // the ping over a stream, 0: none is open
	connected bool          // the member's host took a stream, the member said nothing on it
	asked     bool          // others are asked
	redial    time.Duration // the stream ended at once: another one is opened after that; 0: none
}

const (
	// accusedAgain is the time between pings to an accused.
	accusedAgain = 100 * time.Millisecond
	// streamGrace is how long an inquiry waits for the end of its stream.
	streamGrace = 10 * time.Millisecond
	// redialFirst is how soon a stream that was reset is tried again: a process that
	// ends may still have had its port open.
	redialFirst = time.Millisecond
	// hushFirst and hushMost bound for how long hints are passed over after one that
	// was wrong: an ICMP storm must not cost anything.
	hushFirst = 50 * time.Millisecond
	hushMost  = 5 * time.Second
)

// hinted: there is evidence against w's member that may be forged or stale.
func (m *Machine) hinted(w *watch) {
	now := m.clock.awake()
	if w.phase >= watchInquiry || now < w.hush || !w.e.present() {
		return
	}
	w.hushing = min(max(2*w.hushing, hushFirst), hushMost)
	w.hush = now + w.hushing
	m.inquire(w)
}

// inquire begins an inquiry, unless one runs.
func (m *Machine) inquire(w *watch) {
	if w.phase >= watchInquiry {
		return
	}
	if w.phase == watchIdle {
		w.series(m.nextSeq(), &m.clock)
	}
	m.counts.Inquiries++
	now := m.clock.awake()
	w.phase = watchInquiry
	w.inquiry = inquiry{began: now, ends: now + m.inquirySpan(w)}
	m.askStream(w, max(m.timing.hang, 2*w.trip(m.cfg.ProbeTimeout)))
	m.sendWatchPing(w)
	m.arm(&w.timer, now+m.timing.again)
}

func (m *Machine) inquirySpan(w *watch) time.Duration {
	return max(m.timing.burst, 2*w.patience(&m.timing, m.cfg.ProbeTimeout))
}

// inquireOn gives an inquiry its whole time again, and asks others again. What it has
// asked itself may still be answered.
func (m *Machine) inquireOn(w *watch) {
	now := m.clock.awake()
	w.phase = watchInquiry
	w.inquiry.began, w.inquiry.ends = now, now+m.inquirySpan(w)
	if w.inquiry.asked {
		m.askOthersFor(w)
	}
	m.arm(&w.timer, now)
}

// askStream pings over a stream.
func (m *Machine) askStream(w *watch, timeout time.Duration) {
	e := w.e
	p := m.ping(w.seq, e.name)
	w.inquiry.dial, _ = m.dial(dialInquiry, e.at(), e.name, p.AppendTo(nil), timeout)
}

// inquiryTick tries again, or draws the conclusion.
func (m *Machine) inquiryTick(w *watch) {
	now := m.clock.awake()
	if now >= w.inquiry.ends && (w.inquiry.dial == 0 || now >= w.inquiry.ends+5*streamGrace) {
		m.conclude(w)
		return
	}
	if w.inquiry.redial != 0 && w.inquiry.dial == 0 {
		m.askStream(w, max(w.inquiry.ends-now-streamGrace, streamGrace))
		m.arm(&w.timer, min(now+m.timing.again, w.inquiry.ends))
		return
	}
	m.sendWatchPing(w)
	if !w.inquiry.asked {
		w.inquiry.asked = true
		m.askOthersFor(w)
	}
	m.hark(w.e)
	if left := w.inquiry.ends - now; w.inquiry.dial == 0 && !w.inquiry.connected && left > streamGrace {
		m.askStream(w, left-streamGrace)
	}
	m.stillRefused(w)
	next := now + m.timing.again
	if now < w.inquiry.ends {
		next = min(next, w.inquiry.ends)
	}
	m.arm(&w.timer, next)
}

// stillRefused tells the others again of a refusal that counts: by now others may watch the member.
func (m *Machine) stillRefused(w *watch) {
	if w.hasRefusal(m.clock.awake()) {
		m.tellRefusal(w)
		m.connectToSelf()
	}
}

// askOthersFor asks some members to ping in our place.
func (m *Machine) askOthersFor(w *watch) {
	others := m.members.pick(m.cfg.IndirectChecks, m.rng, func(e *member) bool {
		return e != m.local && e != w.e && e.state == wire.StateAlive
	})
	for _, e := range others {
		m.msg.indirect = wire.IndirectPing{Seq: w.seq, Target: w.e.at(), Node: w.e.name,
			Source: m.local.at(), SourceNode: m.local.name}
		m.scratch = m.msg.indirect.AppendTo(m.scratch[:0])
		m.send(e.at(), e.name, m.scratch)
	}
}

// inquiryDialed: the stream of an inquiry has ended.
func (m *Machine) inquiryDialed(d *openDial, reply []byte, err error) {
	e := m.members.get(d.node)
	var w *watch
	if e != nil {
		w = m.watches.of(e)
	}
	if w == nil || w.inquiry.dial != d.id || w.phase < watchInquiry {
		return
	}
	w.inquiry.dial = 0
	if err == nil {
		err = m.readStreamAck(reply, w.seq)
	}
	switch {
	case err == nil:
		m.heardNative(e.name, m.msg.ack.Native)
		m.answered(w, 0)
	case errors.Is(err, ErrRefused):
		m.refusedBy(w)
	case errors.Is(err, ErrUnanswered):
		m.hungs(w)
	case !errors.Is(err, ErrConnect):
		w.inquiry.redial = min(max(2*w.inquiry.redial, redialFirst), m.timing.again)
		m.arm(&w.timer, m.clock.awake()+w.inquiry.redial)
	}
}

// ownLate is how late this process may be for what it says of others' silence to count.
const ownLate = 10 * time.Millisecond

// hungs: the host of w's member took a stream on which nothing was said in time. That is
// enough to accuse it, unless this process is late itself: then the end of the
// inquiry decides.
func (m *Machine) hungs(w *watch) {
	news := !w.inquiry.connected
	w.inquiry.connected = true
	switch {
	case w.phase == watchAccused && news:
		m.accuse(w, wire.VerdictHung)
	case w.phase == watchInquiry && m.late <= ownLate:
		m.conclude(w)
	}
}

// inquiryOver forgets a running inquiry.
func (m *Machine) inquiryOver(w *watch) {
	if w.inquiry.dial != 0 {
		m.dials.end(w.inquiry.dial)
	}
	w.inquiry = inquiry{}
	w.phase = watchIdle
}

// conclude says against a member what an inquiry without any answer comes to. (P195)
func (m *Machine) conclude(w *watch) {
	verdict := wire.VerdictSilent
	switch {
	case w.hasRefusal(m.clock.awake()):
		verdict = wire.VerdictCrashed
	case w.inquiry.connected:
		verdict = wire.VerdictHung
	}
	if verdict == wire.VerdictSilent && !m.mayJudge(w) {
		return
	}
	w.phase = watchAccused
	m.arm(&w.timer, m.clock.awake()+accusedAgain)
	m.accuse(w, verdict)
	m.respanOwn() // now self may be the one that is cut off
	m.hark(w.e)
}

func (m *Machine) accuse(w *watch, verdict wire.Verdict) {
	e := w.e
	m.trace(Trace{Kind: TraceSuspect, Level: LevelInfo, Node: e.name, Addr: e.at(), Incarnation: e.incarnation, N: int(verdict)})
	m.suspect(wire.Suspect{Node: e.name, Incarnation: e.incarnation, From: m.local.name, Verdict: verdict})
}

// accusedTick keeps asking the accused, and whether its host answers.
func (m *Machine) accusedTick(w *watch) {
	if w.e.state != wire.StateSuspect {
		m.watchOn(w, w.every)
		return
	}
	m.arm(&w.timer, m.clock.awake()+accusedAgain)
	m.sendWatchPing(w)
	m.hark(w.e)
	m.stillRefused(w)
	if w.inquiry.dial == 0 && !w.inquiry.connected {
		m.askStream(w, 2*accusedAgain)
	}
}
