package serf

import (
	"iter"
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// layer is the machine as swim sees it. It must not call an input of swim's:
// what needs one waits for Machine.settle.
type layer struct {
	m *Machine
}

var _ swim.Layer = (*layer)(nil)

// Message implements swim.Layer.
func (l *layer) Message(_ time.Time, from netip.AddrPort, msg []byte) {
	l.m.heardFrom = from
	l.m.message(from, msg)
	l.m.heardFrom = netip.AddrPort{}
}

// Broadcasts implements swim.Layer.
func (l *layer) Broadcasts(dst [][]byte, overhead, limit int) [][]byte {
	return l.m.takeBroadcasts(dst, overhead, limit)
}

// Fresh implements swim.Layer.
func (l *layer) Fresh(dst [][]byte, overhead, limit int) [][]byte {
	return l.m.takeFresh(dst, overhead, limit)
}

// Waiting implements swim.Layer.
func (l *layer) Waiting(overhead int) (fresh, all int) { return l.m.queues.waiting(overhead) }

// AppendPart implements swim.Layer.
func (l *layer) AppendPart(dst []byte, in func(string) bool, all bool) []byte {
	return l.m.appendPart(dst, in, all)
}

// Stamp implements swim.Layer.
func (l *layer) Stamp(name string) uint64 { return l.m.stamp(name) }

// Sum implements swim.Layer.
func (l *layer) Sum() uint64 { return l.m.events.sum() }

// Departed implements swim.Layer.
func (l *layer) Departed(left bool) iter.Seq[string] { return l.m.members.departed(left) }

// Cluster implements swim.Layer.
func (l *layer) Cluster(meta []byte) string { return l.m.clusterOf(meta) }

// AppendState implements swim.Layer.
func (l *layer) AppendState(dst []byte, _ bool) []byte { return l.m.appendState(dst) }

// MergeState implements swim.Layer.
func (l *layer) MergeState(_ time.Time, from netip.AddrPort, state []byte, asked bool) {
	l.m.mergeState(from, state, asked)
}

// AppendAckPayload implements swim.Layer.
func (l *layer) AppendAckPayload(dst []byte) []byte { return l.m.coords.append(dst) }

// PingDone implements swim.Layer.
func (l *layer) PingDone(_ time.Time, name string, rtt time.Duration, payload []byte) {
	l.m.observe(name, rtt, payload)
}

// Joined implements swim.Layer. While New runs, this node itself is the only
// one that can be meant, and New tells of it.
func (l *layer) Joined(_ time.Time, sm *swim.Member) {
	if l.m.swim != nil {
		l.m.memberJoined(sm)
	}
}

// Gone implements swim.Layer.
func (l *layer) Gone(_ time.Time, sm *swim.Member) { l.m.memberGone(sm) }

// Ended implements swim.Layer.
func (l *layer) Ended(_ time.Time, sm *swim.Member) { l.m.coalescer.ended(l.m.now, sm.Name) }

// Doubted implements swim.Layer.
func (l *layer) Doubted(_ time.Time, sm *swim.Member) { l.m.memberDoubted(sm) }

// Updated implements swim.Layer.
func (l *layer) Updated(_ time.Time, sm *swim.Member) { l.m.memberUpdated(sm) }

// Conflict implements swim.Layer.
func (l *layer) Conflict(_ time.Time, existing *swim.Member, other netip.AddrPort) {
	l.m.nameConflict(existing, other)
}

// message routes a Serf message by its type; what is new is passed on as the
// bytes it came in (P84).
func (m *Machine) message(from netip.AddrPort, msg []byte) {
	if len(msg) == 0 {
		return
	}
	m.counts.Received++
	m.counts.ReceivedBytes += uint64(len(msg))
	t := wire.SerfType(msg[0])
	var err error
	switch t {
	case wire.SerfLeave:
		err = m.handleLeave(from, msg)
	case wire.SerfJoin:
		err = m.handleJoin(from, msg)
	case wire.SerfUserEvent:
		err = m.handleUserEvent(from, msg)
	case wire.SerfQuery:
		err = m.handleQuery(from, msg)
	case wire.SerfQueryResponse:
		err = m.handleResponse(from, msg)
	case wire.SerfRelay:
		err = m.handleRelay(msg)
	default:
		m.trace(swim.Trace{Kind: TraceMessageUnknown, Level: swim.LevelWarn, Addr: from, N: int(t)})
	}
	if err != nil {
		m.trace(swim.Trace{Kind: TraceMessageBad, Level: swim.LevelError, Addr: from, N: int(t), Err: err})
	}
}

// traceMessage records that a message arrived.
func (m *Machine) traceMessage(t wire.SerfType, from netip.AddrPort, name string) {
	m.trace(swim.Trace{Kind: TraceMessage, Level: swim.LevelDebug, Addr: from, Node: name, N: int(t)})
}

func (m *Machine) handleJoin(from netip.AddrPort, msg []byte) error {
	j := &m.msg.join
	if err := j.Decode(msg[1:], &m.names); err != nil {
		return err
	}
	m.traceMessage(wire.SerfJoin, from, j.Node)
	if ok, err := m.ahead.admits(&m.clock, j.LTime, from, msg); !ok {
		return err
	}
	if m.joinIntent(j, true) {
		m.passOn(&m.queues.intent, j.Node, msg)
	}
	return nil
}

func (m *Machine) handleLeave(from netip.AddrPort, msg []byte) error {
	l := &m.msg.leave
	if err := l.Decode(msg[1:], &m.names); err != nil {
		return err
	}
	m.traceMessage(wire.SerfLeave, from, l.Node)
	if ok, err := m.ahead.admits(&m.clock, l.LTime, from, msg); !ok {
		return err
	}
	if m.leaveIntent(l) {
		m.passOn(&m.queues.intent, l.Node, msg)
	}
	return nil
}
