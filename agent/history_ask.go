package agent

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/printable"
	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
)

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
	err := a.try(func(time.Time) error {
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
	return a.try(func(now time.Time) error { return a.machine.Respond(now, ask.ID, packed) })
}

// ownHistory is what this node has to say of a member, but for its health, which the
// loop knows.
func (a *Agent) ownHistory(node string) rpc.History {
	return rpc.History{From: a.cfg.Name, Started: a.began.UnixNano(), Records: a.history.of(node, node == a.cfg.Name)}
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
	err := b.try(func(now time.Time) error {
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
