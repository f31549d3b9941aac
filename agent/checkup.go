package agent

import (
	"bytes"
	"cmp"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/printable"
	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
)

const (
	// maxTroubles is how many are told apart; beyond it the oldest go.
	maxTroubles = 128
	// maxSeeds is how many addresses that were to be joined by are remembered.
	maxSeeds = 64
	// checkupRecords is how many records of the history a checkup has.
	checkupRecords = 512
)

// troubleKey says what a trouble is about.
type troubleKey struct{ kind, reason, what string }

// ledger is what went wrong with whom, for somebody who looks for a fault. Unlike the log
// it forgets nothing that still is so, and unlike the counters it has names.
type ledger struct {
	mu    sync.Mutex
	all   map[troubleKey]*rpc.Trouble
	seeds []string // that were to be joined by
}

// add counts a trouble.
func (l *ledger) add(now time.Time, k troubleKey, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = make(map[troubleKey]*rpc.Trouble)
	}
	t := l.all[k]
	if t == nil {
		if len(l.all) >= maxTroubles {
			l.dropOldest()
		}
		t = &rpc.Trouble{Kind: k.kind, Reason: k.reason, What: k.what}
		l.all[k] = t
	}
	t.Text, t.Last = printable.Line(text), now.UnixNano()
	t.Count++
}

// dropOldest: the caller holds mu.
func (l *ledger) dropOldest() {
	var oldest troubleKey
	for k, t := range l.all { // order-free: the oldest one, whichever of equals
		if o := l.all[oldest]; o == nil || t.Last < o.Last {
			oldest = k
		}
	}
	delete(l.all, oldest)
}

// over forgets a trouble that is none any more.
func (l *ledger) over(k troubleKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, k)
}

// seed remembers an address that was to be joined by, and how that went.
func (l *ledger) seed(now time.Time, addr string, errs []error) {
	l.mu.Lock()
	if !slices.Contains(l.seeds, addr) && len(l.seeds) < maxSeeds {
		l.seeds = append(l.seeds, addr)
	}
	l.mu.Unlock()
	k := troubleKey{kind: "join", what: addr}
	l.over(k)
	for _, err := range errs {
		l.add(now, k, err.Error())
	}
}

// trace looks at what the core says.
func (l *ledger) trace(now time.Time, t *swim.Trace) {
	k := troubleKey{what: t.Node}
	switch t.Kind {
	case swim.TraceClusterRefused:
		k.kind = "cluster"
	case swim.TraceMergeRefused:
		k.kind, k.what = "merge", t.Addr.Addr().String()
	case swim.TraceAddressConflict, serf.TraceConflict, serf.TraceConflictOwn:
		k.kind, k.reason = "name", t.Addr.String()
	default:
		return
	}
	text := serf.Render(*t)
	if t.Err != nil {
		text = t.Err.Error()
	}
	l.add(now, k, text)
}

// troubles are those of now, the newest first, and the seeds.
func (l *ledger) troubles() (all []rpc.Trouble, seeds []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.all { // order-free: sorted below
		all = append(all, *t)
	}
	slices.SortFunc(all, func(a, b rpc.Trouble) int {
		return cmp.Or(cmp.Compare(b.Last, a.Last), strings.Compare(a.Kind, b.Kind), strings.Compare(a.What, b.What))
	})
	return all, slices.Clone(l.seeds)
}

// unusable is the trouble of something from outside that could not be used; false: it is
// none of a peer's.
func unusable(kind, reason string, from netip.AddrPort) (troubleKey, bool) {
	return troubleKey{kind, reason, from.Addr().String()}, from.IsValid() && (kind == "packet" || kind == "stream")
}

// Checkup implements rpc.Examiner.
func (b backend) Checkup() (rpc.Checkup, error) {
	now := time.Now()
	c := rpc.Checkup{
		Node: b.cfg.Name, Started: b.began.UnixNano(), Now: now.UnixNano(), Addr: b.addr.String(),
		Bound: b.transport.Addr().String(), Encrypted: b.Encrypted(), Packet: b.cfg.serfConfig(b.addr, 0).Swim.PacketSize, Plain: b.cfg.Swim.Plain,
		Refuted: int(b.counters.refuted.Load()), Records: b.history.newest(checkupRecords),
	}
	c.OpenFiles, c.MaxFiles = openFiles()
	c.Troubles, c.Seeds = b.faults.ledger.troubles()
	for i := range b.cfg.LiveNodes {
		c.Lists = append(c.Lists, b.cfg.LiveNodes[i].Path)
	}
	if b.lists != nil {
		c.LeftOut = b.lists.LeftOut()
	}
	for _, h := range b.HandlerStats() {
		program := ""
		if words := strings.Fields(h.Command); len(words) > 0 {
			program = filepath.Base(words[0])
		}
		c.Handlers = append(c.Handlers, rpc.HandlerCheckup{Program: printable.Line(program), Runs: h.Runs, Failed: h.Failed,
			Dropped: h.Dropped + h.Expired, Queued: uint64(h.Waiting)})
	}
	err := b.doErr(func(time.Time) error {
		c.Health, c.Natives = b.machine.Stats().HealthScore, b.machine.Natives(historyMost)
		return nil
	})
	return c, err
}

// openFiles is how many files this process has open, and how many it may; 0 where the
// system does not say.
func openFiles() (open, most int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, 0
	}
	limits, _ := os.ReadFile("/proc/self/limits")
	for line := range bytes.Lines(limits) {
		if after, ok := bytes.CutPrefix(line, []byte("Max open files")); ok {
			if f := bytes.Fields(after); len(f) > 0 {
				most, _ = strconv.Atoi(string(f[0])) // "unlimited" is 0
			}
		}
	}
	return len(entries), most
}

// newest returns up to n records, newest first.
func (h *history) newest(n int) []rpc.HistoryRecord {
	h.mu.Lock()
	defer h.mu.Unlock()
	size := len(h.records)
	out := make([]rpc.HistoryRecord, 0, min(n, size))
	for i := range min(n, size) {
		out = append(out, h.records[(h.next+size-1-i)%size])
	}
	return out
}

// alive is how many members this node holds for alive.
func (a *Agent) alive() (n int) {
	members := a.members.Load()
	if members == nil {
		return 0
	}
	for i := range *members {
		if (*members)[i].Status == serf.StatusAlive {
			n++
		}
	}
	return n
}
