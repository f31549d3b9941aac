package agent

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/printable"
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

const (
	// historyAnswer is how long one member has to tell.
	historyAnswer = 2 * time.Second
	// historyMost is how many members are asked: those who watch a member are few, and
	// every answer is a packet.
	historyMost = 256
	// historyRoom is what an answer's envelope takes of its limit, in bytes, the name of
	// the node apart.
	historyRoom = 64
)

// historyAsks is how many members may wait for this one's account.
const historyAsks = 16

// queueHistoryAsk hands a member's question to tellHistory. A flood of them is dropped.
func (a *Agent) queueHistoryAsk(ask serf.HistoryAsk) {
	select {
	case a.historyAsks <- ask:
	default:
		a.faults.note("history", "queue-full", netip.AddrPort{}, nil)
	}
}

// tellHistory answers members that ask, beside the loop: packing takes a while.
func (a *Agent) tellHistory() {
	for {
		select {
		case ask := <-a.historyAsks:
			if err := a.answerHistory(&ask); err != nil {
				a.logger.Warn("agent: Cannot tell what is known of a member", "asker", printable.Line(ask.From), "err", err)
			}
		case <-a.loopDone:
			return
		}
	}
}

func (a *Agent) answerHistory(ask *serf.HistoryAsk) error {
	h := a.ownHistory(ask.Node)
	limit := 0
	err := a.doErr(func(time.Time) error {
		h.Health, limit = a.machine.Swim().Health(), a.machine.ResponseLimit()
		return nil
	})
	if err != nil {
		return err
	}
	packed, err := h.Pack(limit - historyRoom - len(a.cfg.Name))
	if err != nil {
		return err
	}
	return a.doErr(func(now time.Time) error { return a.machine.Respond(now, ask.ID, packed) })
}

// ownHistory is what this node has to say of a member, but for its health, which the
// loop knows.
func (a *Agent) ownHistory(node string) rpc.History {
	return rpc.History{From: a.cfg.Name, Started: a.began.UnixNano(), Now: time.Now().UnixNano(), Alive: a.alive(),
		Records: a.history.of(node, node == a.cfg.Name)}
}

// OwnHistory is what this agent itself has seen of a member, and 0 for its health.
func (a *Agent) OwnHistory(node string) rpc.History { return a.ownHistory(node) }

// History implements rpc.Historian. Only natives are asked, each alone, so that no
// agent of Serf's sees the query. What those have said is in what the natives heard.
func (b backend) History(ctx context.Context, node string) ([]rpc.History, int, error) {
	known := slices.ContainsFunc(b.Agent.Members(), func(m serf.Member) bool { return m.Name == node })
	if !known {
		return nil, 0, serf.ErrUnknownMember
	}
	own := b.ownHistory(node)
	records := make(chan rpc.QueryRecord, 4*historyMost)
	running := 0
	err := b.doErr(func(now time.Time) error {
		own.Health = b.machine.Swim().Health()
		for _, name := range b.machine.Natives(historyMost) {
			id, err := b.machine.QueryMember(now, name, internalPrefix+serf.HistoryQuery, []byte(node), historyAnswer)
			if err != nil {
				continue // it is gone
			}
			running++
			b.queries.add(id, queued(records))
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	all, err := b.collectHistory(ctx, records, running)
	return append([]rpc.History{own}, all...), running + 1, err
}

// collectHistory returns when asked members have answered, or their time is over.
func (a *Agent) collectHistory(ctx context.Context, records <-chan rpc.QueryRecord, asked int) ([]rpc.History, error) {
	var all []rpc.History
	for ended, answered := 0, 0; ended < asked && answered < asked; {
		select {
		case r := <-records:
			switch r.Type {
			case rpc.QueryRecordDone:
				ended++
			case rpc.QueryRecordResponse:
				answered++
				h, err := rpc.UnpackHistory(r.Payload)
				if err != nil {
					a.logger.Warn("agent: A member's account cannot be read", "member", printable.Line(r.From), "err", err)
					continue
				}
				h.From = r.From
				all = append(all, h)
			}
		case <-ctx.Done():
			return all, ctx.Err()
		case <-a.loopDone:
			return all, ErrStopped
		}
	}
	return all, nil
}
