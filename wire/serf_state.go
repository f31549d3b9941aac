package wire

import "slices"

var (
	serfStateFields  = []string{"LTime", "StatusLTimes", "LeftMembers", "EventLTime", "Events", "QueryLTime"}
	eventsAtFields   = []string{"LTime", "Events"}
	stateEventFields = []string{"Name", "Payload"}
)

// AppendTo appends the message with its type byte: what PushPull calls the user
// state. It writes Status in the order it is in.
func (m *SerfState) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(SerfPushPull), 0x86)
	dst = appendUint(appendStr(dst, "EventLTime"), uint64(m.EventLTime))
	dst = appendArray(appendStr(dst, "Events"), len(m.Events))
	for i := range m.Events {
		dst = m.Events[i].appendTo(dst)
	}
	dst = appendUint(appendStr(dst, "LTime"), uint64(m.LTime))
	dst = appendArray(appendStr(dst, "LeftMembers"), len(m.Left))
	for _, name := range m.Left {
		dst = appendStr(dst, name)
	}
	dst = appendUint(appendStr(dst, "QueryLTime"), uint64(m.QueryLTime))
	dst = appendMap(appendStr(dst, "StatusLTimes"), len(m.Status))
	for i := range m.Status {
		dst = appendStr(dst, m.Status[i].Node)
		dst = appendUint(dst, uint64(m.Status[i].LTime))
	}
	return dst
}

func (e *EventsAt) appendTo(dst []byte) []byte {
	dst = append(dst, 0x82)
	dst = appendStr(dst, "Events")
	if e.Events == nil {
		dst = appendNil(dst)
	} else {
		dst = appendArray(dst, len(e.Events))
	}
	for i := range e.Events {
		dst = append(dst, 0x82)
		dst = appendStr(appendStr(dst, "Name"), e.Events[i].Name)
		dst = appendRaw(appendStr(dst, "Payload"), e.Events[i].Payload)
	}
	return appendUint(appendStr(dst, "LTime"), uint64(e.LTime))
}

// Decode reads the message without its type byte. It uses m's slices again, so
// what was read before is gone. Status is in the order of the message; should it
// hold a name twice, the later one counts.
func (m *SerfState) Decode(body []byte, in Interner) error {
	*m = SerfState{Status: m.Status[:0], Left: m.Left[:0], Events: m.Events[:0]}
	r := reader{b: body, in: in}
	for f := r.open(serfStateFields); f.next(); {
		switch f.name {
		case "LTime":
			m.LTime = r.ltime()
		case "StatusLTimes":
			m.Status = r.statusLTimes(m.Status)
		case "LeftMembers":
			m.Left = r.strList(m.Left, MaxStatus)
		case "EventLTime":
			m.EventLTime = r.ltime()
		case "Events":
			m.Events = r.eventSlots(m.Events)
		case "QueryLTime":
			m.QueryLTime = r.ltime()
		}
	}
	return r.err
}

// statusesAtOnce is for how many there is room from the beginning: what is declared
// need not be true.
const statusesAtOnce = 1024

func (r *reader) statusLTimes(reuse []StatusLTime) []StatusLTime {
	n, _ := r.pairs(MaxStatus)
	list := slices.Grow(reuse[:0], min(n, statusesAtOnce))
	for range n {
		if r.err != nil {
			break
		}
		s := StatusLTime{Node: r.str()}
		if !r.tryNil() {
			s.LTime = r.ltime()
		}
		list = append(list, s)
	}
	return list
}

// eventSlots reads Serf's ring of recent events, whose empty slots are nil.
func (r *reader) eventSlots(reuse []EventsAt) []EventsAt {
	n, _ := r.list(MaxEventSlots)
	list := reuse[:0]
	total := 0
	for range n {
		if r.err != nil {
			break
		}
		if r.tryNil() {
			continue
		}
		// The slot's own slice may be left from the message before.
		list = slices.Grow(list, 1)
		list = list[:len(list)+1]
		e := &list[len(list)-1]
		r.eventsAt(e, MaxStateEvents-total)
		total += len(e.Events)
	}
	return list
}

func (r *reader) eventsAt(e *EventsAt, limit int) {
	*e = EventsAt{Events: e.Events[:0]}
	for f := r.open(eventsAtFields); f.next(); {
		switch f.name {
		case "LTime":
			e.LTime = r.ltime()
		case "Events":
			e.Events = r.stateEvents(e.Events, limit)
		}
	}
}

func (r *reader) stateEvents(reuse []StateEvent, limit int) []StateEvent {
	n, _ := r.list(limit)
	list := reuse[:0]
	for range n {
		if r.err != nil {
			break
		}
		var e StateEvent
		for f := r.open(stateEventFields); f.next(); {
			switch f.name {
			case "Name":
				e.Name = r.str()
			case "Payload":
				e.Payload = r.bytes()
			}
		}
		list = append(list, e)
	}
	return list
}
