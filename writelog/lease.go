package writelog

import "time"

// reportEvery is how often a member reports, and so asks for a lease, if it has nothing
// else to say: three times a lease.
const reportEvery = 3

// holder is a member's lease: for as long as it holds one it may answer searches from
// its read set, since no leader acknowledges a write that they would miss.
type holder struct {
	length time.Duration
	seq    uint64
	asked  map[uint64]time.Duration // by report
	until  time.Duration
	ever   bool
}

func (h *holder) init(length time.Duration) {
	h.length = length
	h.asked = make(map[uint64]time.Duration)
}

// ask names the next report.
func (h *holder) ask(now time.Duration) uint64 {
	h.seq++
	h.asked[h.seq] = now
	delete(h.asked, h.seq-64)
	return h.seq
}

// granted counts the lease from before it was asked for.
func (h *holder) granted(seq uint64) {
	at, ok := h.asked[seq]
	if !ok {
		return
	}
	h.ever = true
	h.until = max(h.until, at+h.length)
	delete(h.asked, seq)
}

// Leased reports whether searches may be answered, and if not, for how long that has
// been so.
func (m *Machine) Leased(now time.Duration) (ok bool, since time.Duration) {
	if now < m.holder.until {
		return true, 0
	}
	return false, now - m.holder.until
}

// LeaseUntil is when the lease ends.
func (m *Machine) LeaseUntil() time.Duration { return m.holder.until }

func (m *Machine) hearReply(r *Reply) {
	for _, l := range m.local { // order-free: each by itself
		l.got(r.Got)
	}
	if r.Granted != 0 {
		m.holder.granted(r.Granted)
	}
	m.safe = max(m.safe, r.Safe)
}

// report tells the leader how this member stands, if it is time.
func (m *Machine) report(now time.Duration) {
	if m.leader == 0 || m.term == 0 {
		return
	}
	due := now-m.reported >= m.cfg.Lease/reportEvery || m.confirm
	for _, l := range m.local { // order-free: any will do
		due = due || l.fresh
	}
	if !due {
		return
	}
	m.reported, m.confirm = now, false
	r := &Report{Term: m.term, Boot: m.cfg.Boot, Seq: m.holder.ask(now), Confirmed: m.state.Index}
	for _, server := range m.localServers() {
		r.Servers = append(r.Servers, m.local[server].report(server, r.Seq, now))
	}
	if m.lead != nil {
		m.lead.hear(m, now, m.cfg.Self, r)
		return
	}
	m.out.Peer = append(m.out.Peer, &Message{To: m.leader, From: m.cfg.Self, Report: r})
}
