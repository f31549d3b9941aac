package serf

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// Bounds of the buffer of recent user events; only a flood reaches them.
const (
	maxEventsPerTime = 1024    // that claim one Lamport time
	maxEventBytes    = 8 << 20 // of names and payloads together
)

var errEventSize = errors.New("serf: user event is larger than any node may send")

// eventBuffer remembers the recent user events, by Lamport time modulo its
// size (P88), to know them again (P81) and to hand them on in push/pulls.
type eventBuffer struct {
	slots []wire.EventsAt
	min   wire.LTime // events before it are not delivered (P83)
	bytes int
}

func (b *eventBuffer) init(n int, restored wire.LTime) {
	b.slots = make([]wire.EventsAt, n)
	if restored > 0 && restored < LastTime {
		b.min = restored + 1
	}
}

// eventVerdict says what an eventBuffer makes of an event.
type eventVerdict uint8

const (
	eventNew eventVerdict = iota
	eventSeen
	eventOld
	eventFull
)

// add remembers an event if it is new. now is the clock's time.
func (b *eventBuffer) add(now, t wire.LTime, name string, payload []byte) eventVerdict {
	n := wire.LTime(len(b.slots))
	if now > n && t < now-n {
		return eventOld
	}
	slot := &b.slots[t%n]
	switch {
	case slot.LTime > t:
		return eventOld
	case slot.LTime < t:
		b.drop(slot)
		slot.LTime = t
	}
	for i := range slot.Events {
		if e := &slot.Events[i]; e.Name == name && bytes.Equal(e.Payload, payload) {
			return eventSeen
		}
	}
	if len(slot.Events) >= maxEventsPerTime {
		return eventFull
	}
	slot.Events = append(slot.Events, wire.StateEvent{Name: name, Payload: bytes.Clone(payload)})
	b.bytes += len(name) + len(payload)
	for b.bytes > maxEventBytes {
		b.dropOldest()
	}
	return eventNew
}

// sum is the same for two buffers with the same events.
func (b *eventBuffer) sum() (sum uint64) {
	for i := range b.slots {
		for j := range b.slots[i].Events {
			e := &b.slots[i].Events[j]
			h := uint64(14695981039346656037) // FNV-1a
			for _, c := range e.Payload {
				h = (h ^ uint64(c)) * 1099511628211
			}
			for k := range len(e.Name) {
				h = (h ^ uint64(e.Name[k])) * 1099511628211
			}
			sum += (h ^ uint64(b.slots[i].LTime)) * 1099511628211
		}
	}
	return sum
}

// drop empties a slot.
func (b *eventBuffer) drop(slot *wire.EventsAt) {
	for i := range slot.Events {
		b.bytes -= len(slot.Events[i].Name) + len(slot.Events[i].Payload)
	}
	slot.Events = nil
}

// dropOldest makes room. What is forgotten must not be taken for new later.
func (b *eventBuffer) dropOldest() {
	oldest := -1
	for i := range b.slots {
		if len(b.slots[i].Events) > 0 && (oldest < 0 || b.slots[i].LTime < b.slots[oldest].LTime) {
			oldest = i
		}
	}
	b.raiseMin(b.slots[oldest].LTime + 1)
	b.drop(&b.slots[oldest])
}

func (b *eventBuffer) raiseMin(t wire.LTime) { b.min = max(b.min, t) }

// UserEvent broadcasts a user event and delivers it here too (P80, P85). The
// error texts are Serf's.
func (m *Machine) UserEvent(now time.Time, name string, payload []byte, coalesce bool) error {
	m.now = now
	if m.over() {
		return ErrNotAlive
	}
	limit := m.cfg.UserEventSizeLimit
	if len(name)+len(payload) > limit {
		return fmt.Errorf("user event exceeds configured limit of %d bytes before encoding", limit)
	}
	e := wire.UserEvent{LTime: m.eventClock.time(), Name: name, Payload: payload, Coalesce: coalesce}
	m.buf = append(m.buf[:0], byte(wire.TypeUser))
	m.buf = e.AppendTo(m.buf)
	if len(m.buf)-1 > limit {
		return fmt.Errorf("encoded user event exceeds configured limit of %d bytes after encoding", limit)
	}
	// A larger limit can be configured than a packet has room for. Such an
	// event would wait in the queue for ever: natives have streams for it.
	long := len(m.buf) > m.packetBudget()
	if long && m.cfg.Swim.Plain {
		return fmt.Errorf("encoded user event exceeds packet limit of %d bytes after encoding", m.packetBudget())
	}
	m.eventClock.tick()
	if !long {
		m.push(&m.queues.event, "", m.buf, nil)
	}
	m.takeUserEvent(&e)
	if long { // after it is in what a push/pull tells
		m.swim.SpreadLong(m.buf[1:])
	}
	m.settle()
	return nil
}

func (m *Machine) handleUserEvent(from netip.AddrPort, msg []byte) error {
	e := &m.msg.event
	if err := e.Decode(msg[1:], &m.names); err != nil {
		return err
	}
	if len(e.Name)+len(e.Payload) > maxUserEvent {
		return errEventSize
	}
	m.traceMessage(wire.SerfUserEvent, from, e.Name)
	if ok, err := m.ahead.admits(&m.eventClock, e.LTime, from, msg); !ok {
		return err
	}
	if m.takeUserEvent(e) {
		if 1+len(msg) > m.packetBudget() && !m.cfg.Swim.Plain {
			m.swim.SpreadLong(msg)
		} else {
			m.passOn(&m.queues.event, "", msg)
		}
	}
	return nil
}

// takeUserEvent delivers a user event if it is new, and reports whether it was.
func (m *Machine) takeUserEvent(e *wire.UserEvent) bool {
	m.eventClock.witness(e.LTime)
	if e.LTime < m.events.min {
		return false
	}
	now := m.eventClock.time()
	switch m.events.add(now, e.LTime, e.Name, e.Payload) {
	case eventSeen:
		return false
	case eventOld:
		m.trace(swim.Trace{Kind: TraceEventOld, Level: swim.LevelWarn, Node: e.Name, LTime: e.LTime, N: int(now)})
		return false
	case eventFull:
		m.trace(swim.Trace{Kind: TraceEventFull, Level: swim.LevelWarn, Node: e.Name, LTime: e.LTime})
		return false
	}
	m.counts.Events++
	m.coalescer.user(m.now, Event{
		Type: EventUser, LTime: e.LTime, Name: e.Name,
		Payload: bytes.Clone(e.Payload), Coalesce: e.Coalesce,
	})
	return true
}

// mergeEvents delivers the events of another node's buffer in the order of
// their Lamport times (P86); Serf takes them in the order of the buffer.
func (m *Machine) mergeEvents(list []wire.EventsAt) {
	slices.SortStableFunc(list, func(a, b wire.EventsAt) int {
		switch {
		case a.LTime < b.LTime:
			return -1
		case a.LTime > b.LTime:
			return 1
		}
		return 0
	})
	for i := range list {
		if !m.eventClock.follow(m.now, list[i].LTime) {
			break
		}
		for _, e := range list[i].Events {
			if len(e.Name)+len(e.Payload) <= maxUserEvent {
				m.takeUserEvent(&wire.UserEvent{LTime: list[i].LTime, Name: e.Name, Payload: e.Payload})
			}
		}
	}
}
