package writelog

import "time"

const (
	// reportEvery is how often a member asks for a lease while searches come: three times a
	// lease. At least as often it reports what has changed and is not urgent.
	reportEvery = 3
	// RestEvery is how often it reports, and asks for a lease, while none comes. So a gateway
	// that is then cut off knows within a second since when its answers may be old.
	RestEvery = time.Second
	// keepAsking is for how long after a search leases are asked for as often as while searches come.
	keepAsking = time.Second
)

// holder is a member's lease: for as long as it holds one it may answer searches from
// its read set, since no leader acknowledges a write that they would miss.
type holder struct {
	length time.Duration
	seq    uint64
	asked  map[uint64]time.Duration // by report
	last   time.Duration            // when it was asked for one
	ever   bool                     // it was
	read   time.Duration            // leases are wanted until then
	until  time.Duration
}

func (h *holder) init(length time.Duration) {
	h.length = length
	h.asked = make(map[uint64]time.Duration)
}

// due reports whether a lease is to be asked for.
func (h *holder) due(now time.Duration) bool {
	every := RestEvery
	if now < h.read {
		every = h.length / reportEvery
	}
	return !h.ever || now-h.last >= every
}

// ask notes that the report of that number asks for a lease.
func (h *holder) ask(now time.Duration, seq uint64) {
	for n, at := range h.asked { // order-free: all that are too old
		if now-at >= h.length {
			delete(h.asked, n)
		}
	}
	h.asked[seq] = now
	h.last, h.ever = now, true
}

// granted counts the lease from before it was asked for.
func (h *holder) granted(seq uint64) {
	at, ok := h.asked[seq]
	if !ok {
		return
	}
	h.until = max(h.until, at+h.length)
	delete(h.asked, seq)
}

// Want says that there are searches to answer: a lease is asked for, and then renewed while
// Want is called now and again.
func (m *Machine) Want(now time.Duration) {
	m.holder.read = max(m.holder.read, now+keepAsking)
	m.report(now)
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
	ask := m.confirm || m.holder.due(now)
	due := ask || now-m.reported >= RestEvery
	for _, l := range m.local { // order-free: any will do
		due = due || l.fresh || l.changed && now-m.reported >= m.cfg.Lease/reportEvery
	}
	if !due {
		return
	}
	m.reported, m.confirm = now, false
	m.holder.seq++
	r := &Report{Term: m.term, Boot: m.cfg.Boot, Seq: m.holder.seq, Confirmed: m.state.Index, Ask: ask, Catalogs: true}
	if ask {
		m.holder.ask(now, r.Seq)
	}
	for _, server := range m.localServers() {
		r.Servers = append(r.Servers, m.local[server].report(server, r.Seq, now))
	}
	if m.lead != nil {
		m.lead.hear(m, now, m.cfg.Self, r)
		return
	}
	m.out.Peer = append(m.out.Peer, &Message{To: m.leader, From: m.cfg.Self, Report: r})
}
