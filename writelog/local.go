package writelog

import (
	"maps"
	"slices"
	"time"
)

// The answers that are kept of a server, for a leader to come.
const (
	maxAnswers     = 1024
	maxAnswerBytes = 4 << 20
	// resendAfter is after how long an answer is sent again that the leader has not
	// said to have.
	resendAfter = 100 * time.Millisecond
)

// localServer is a server that this member applies entries to.
type localServer struct {
	prefix, durable uint64
	down            bool
	fresh           bool // there is something to report at once
	changed         bool // there is something to report some time
	life            uint64
	kept            []keptAnswer
	bytes           int
}

type keptAnswer struct {
	Applied
	seq  uint64 // of the report that it was last sent with; 0: it was not
	sent time.Duration
	got  bool
}

func (m *Machine) server(name string) *localServer {
	l := m.local[name]
	if l == nil {
		l = &localServer{down: true, life: m.cfg.Boot}
		m.local[name] = l
	}
	return l
}

func (m *Machine) localServers() []string { return slices.Sorted(maps.Keys(m.local)) }

// Applied takes the answer of a server to the entry at an index.
func (m *Machine) Applied(server string, index uint64, a Answer) {
	l := m.server(server)
	l.fresh = true
	l.kept = append(l.kept, keptAnswer{Applied: Applied{index, a}})
	l.bytes += len(a.Body)
	for len(l.kept) > maxAnswers || l.bytes > maxAnswerBytes && len(l.kept) > 1 {
		l.bytes -= len(l.kept[0].Answer.Body)
		l.kept = l.kept[1:]
	}
}

// Progress takes how far a server is: all entries up to prefix are applied, all up to
// durable are on its disk. down: it cannot be given writes, or not be read from. A
// prefix may fall: a server that was restored lacks what it once had.
func (m *Machine) Progress(server string, prefix, durable uint64, down bool) {
	l := m.server(server)
	l.fresh = l.fresh || l.down != down || prefix < l.prefix
	l.changed = l.changed || l.prefix != prefix || l.durable != durable
	l.prefix, l.durable, l.down = prefix, durable, down
}

// Exchanged notes that a server gets another database: what it answered before says nothing of that one.
func (m *Machine) Exchanged(server string) {
	l := m.server(server)
	l.life++
	l.kept, l.bytes, l.fresh = nil, 0, true
	l.prefix, l.down = 0, true
}

func (l *localServer) report(server string, seq uint64, now time.Duration) ServerReport {
	l.fresh, l.changed = false, false
	r := ServerReport{Server: server, Prefix: l.prefix, Durable: l.durable, Down: l.down, Life: l.life}
	for i := range l.kept {
		k := &l.kept[i]
		if k.got || k.seq != 0 && now-k.sent < resendAfter {
			continue
		}
		k.seq, k.sent = seq, now
		r.Answers = append(r.Answers, k.Applied)
	}
	return r
}

// got notes that the leader has some reports.
func (l *localServer) got(seqs []uint64) {
	for i := range l.kept {
		if k := &l.kept[i]; k.seq != 0 && slices.Contains(seqs, k.seq) {
			k.got = true
		}
	}
}

// resend has all that is kept sent once more: another member leads.
func (l *localServer) resend() {
	l.fresh = true
	for i := range l.kept {
		l.kept[i].seq, l.kept[i].got = 0, false
	}
}
