package agent

import (
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// historySize is how many records a node keeps of what it has seen of all members:
// days of a healthy cluster, minutes of a very sick one. A record is some 120 bytes.
const historySize = 4096

// history is what this node has seen of the members: accusations, refutations,
// failures, and its own sleep. It answers `why`. The oldest go first.
type history struct {
	mu      sync.Mutex
	records []rpc.HistoryRecord // a ring once it is full
	next    int
}

// historyKinds are the trace records that are kept. Those of a running probe are:
// they are few, and say by which path nothing came.
var historyKinds = map[swim.TraceKind]string{
	swim.TracePingFailed: "ping-failed", swim.TracePingUnsent: "ping-unsent",
	swim.TraceStreamPingFailed: "stream-ping-failed", swim.TraceStreamOnly: "stream-only", swim.TraceIndirectOnly: "indirect-only",
	swim.TraceSuspect: "suspect", swim.TraceAccused: "accused", swim.TraceConfirmed: "confirmed",
	swim.TraceCleared: "cleared", swim.TraceFailed: "failed", swim.TraceToldDead: "told-dead",
	swim.TraceRefused: "refused", swim.TraceCrashed: "crashed",
	swim.TraceRefuteSuspect: "refute-suspect", swim.TraceRefuteDead: "refute-dead",
	swim.TraceSlept: "slept", swim.TraceDeaf: "deaf",
	serf.TraceMemberJoin: "member-join", serf.TraceMemberLeave: "member-leave",
	serf.TraceMemberFailed: "member-failed", serf.TraceMemberFlap: "flap",
	serf.TraceRestartAway: "restart-away",
}

// historyVerdict is the verdict in a record of a kind whose N is a wire.Verdict.
func historyVerdict(t *swim.Trace) string {
	switch t.Kind {
	case swim.TraceSuspect, swim.TraceAccused, swim.TraceConfirmed, swim.TraceToldDead:
		return wire.Verdict(t.N).String()
	}
	return ""
}

// note keeps a record if it is of a kind that is kept.
func (h *history) note(now time.Time, t *swim.Trace) {
	kind, ok := historyKinds[t.Kind]
	if !ok {
		return
	}
	r := rpc.HistoryRecord{At: now.UnixNano(), Kind: kind, Node: t.Node, From: t.From,
		Incarnation: t.Incarnation, Verdict: historyVerdict(t), Took: int64(t.Dur)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.records) < historySize {
		h.records = append(h.records, r)
		return
	}
	h.records[h.next] = r
	h.next = (h.next + 1) % historySize
}

// of returns the records about a member and those of when this node did not run or heard
// nobody, newest first. own: the member is this node, and what it had against others belongs
// to the account: who is cut off suspects everybody.
func (h *history) of(node string, own bool) []rpc.HistoryRecord {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []rpc.HistoryRecord
	n := len(h.records)
	for i := range n {
		r := &h.records[(h.next+n-1-i)%n]
		if r.Node == node || r.Kind == "slept" || r.Kind == "deaf" || own && r.Kind == "suspect" {
			out = append(out, *r)
		}
	}
	return out
}
