package wire

import "fmt"

// serf renders what a user message carries, and what queries carry in payloads.
func (d *describer) serf(msg []byte) {
	if len(msg) == 0 {
		d.WriteString("empty")
		return
	}
	body := msg[1:]
	switch SerfType(msg[0]) {
	case SerfLeave:
		d.leave(body)
	case SerfJoin:
		d.join(body)
	case SerfPushPull:
		d.state(body)
	case SerfUserEvent:
		d.userEvent(body)
	case SerfQuery:
		d.query(body)
	case SerfQueryResponse:
		d.response(body)
	case SerfConflictResponse:
		d.conflict(body)
	case SerfKeyRequest:
		d.keyRequest(body)
	case SerfKeyResponse:
		d.keyResponse(body)
	case SerfRelay:
		d.relay(body)
	default:
		fmt.Fprintf(d, "serf-type=%d %dB", msg[0], len(msg))
	}
}

func (d *describer) leave(body []byte) {
	var m Leave
	err := m.Decode(body, nil)
	d.WriteString("leave")
	d.text("node", m.Node)
	d.num("ltime", uint64(m.LTime))
	d.flag("prune", m.Prune)
	d.bad(err)
}

func (d *describer) join(body []byte) {
	var m Join
	err := m.Decode(body, nil)
	d.WriteString("join")
	d.text("node", m.Node)
	d.num("ltime", uint64(m.LTime))
	d.bad(err)
}

func (d *describer) state(body []byte) {
	var m SerfState
	err := m.Decode(body, nil)
	d.WriteString("state")
	d.num("ltime", uint64(m.LTime))
	d.num("event-ltime", uint64(m.EventLTime))
	d.num("query-ltime", uint64(m.QueryLTime))
	d.WriteString(" status=[")
	for i, s := range m.Status {
		fmt.Fprintf(d, "%s%s:%d", comma(i), quoted(s.Node), s.LTime)
	}
	d.WriteString("] left=[")
	for i, name := range m.Left {
		d.WriteString(comma(i) + quoted(name))
	}
	d.WriteString("] events=[")
	for i := range m.Events {
		d.WriteString(comma(i))
		fmt.Fprintf(d, "%d:", m.Events[i].LTime)
		for j := range m.Events[i].Events {
			e := &m.Events[i].Events[j]
			d.text("name", e.Name)
			d.blob("payload", e.Payload)
		}
	}
	d.WriteByte(']')
	d.bad(err)
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ", "
}

func (d *describer) userEvent(body []byte) {
	var m UserEvent
	err := m.Decode(body, nil)
	d.WriteString("event")
	d.text("name", m.Name)
	d.num("ltime", uint64(m.LTime))
	d.blob("payload", m.Payload)
	d.flag("coalesce", m.Coalesce)
	d.bad(err)
}

func (d *describer) query(body []byte) {
	var m Query
	err := m.Decode(body, nil)
	d.WriteString("query")
	d.text("name", m.Name)
	d.num("ltime", uint64(m.LTime))
	d.num("id", uint64(m.ID))
	d.payload(m.Payload, SerfKeyRequest, SerfKeyRequest)
	d.opt("from", m.SourceNode)
	d.addr("at", m.Source)
	d.flag("ack", m.Flags&QueryFlagAck != 0)
	d.flag("no-broadcast", m.Flags&QueryFlagNoBroadcast != 0)
	d.flag("outcome", m.Flags&QueryFlagOutcome != 0)
	d.flag("say", m.Flags&QueryFlagDecline != 0)
	if m.RelayFactor != 0 {
		d.num("relay", uint64(m.RelayFactor))
	}
	d.text("timeout", m.Timeout.String())
	for _, b := range m.Filters {
		d.filter(b)
	}
	d.bad(err)
}

func (d *describer) filter(b []byte) {
	f, err := DecodeFilter(b)
	switch {
	case err != nil:
		d.text("filter", "!"+Reason(err))
	case f.Type == FilterNode:
		d.text("filter:nodes", fmt.Sprint(f.Nodes))
	default:
		d.text("filter:"+f.Tag, f.Expr)
	}
}

func (d *describer) response(body []byte) {
	var m QueryResponse
	err := m.Decode(body, nil)
	if m.Flags&QueryFlagAck != 0 {
		d.WriteString("query-ack")
	} else {
		d.WriteString("response")
	}
	d.text("from", m.From)
	d.num("ltime", uint64(m.LTime))
	d.num("id", uint64(m.ID))
	d.payload(m.Payload, SerfConflictResponse, SerfKeyResponse)
	d.bad(err)
}

// payload renders what a query or an answer carries: a Serf message if it can be one
// of these two types.
func (d *describer) payload(b []byte, one, other SerfType) {
	if len(b) < 2 || SerfType(b[0]) != one && SerfType(b[0]) != other {
		d.blob("payload", b)
		return
	}
	d.WriteString(" [")
	d.serf(b)
	d.WriteByte(']')
}

func (d *describer) conflict(body []byte) {
	var m ConflictResponse
	err := m.Decode(body, nil)
	d.WriteString("conflict-response")
	d.text("node", m.Name)
	if m.Addr.IsValid() {
		d.text("at", fmt.Sprintf("%s:%d", m.Addr, m.Port))
	}
	d.text("status", fmt.Sprint(m.Status))
	d.tags(m.Tags)
	d.bad(err)
}

// keyRequest does not show the key.
func (d *describer) keyRequest(body []byte) {
	var m KeyRequest
	err := m.Decode(body, nil)
	d.WriteString("key-request")
	d.text("key", fmt.Sprintf("%dB", len(m.Key)))
	d.bad(err)
}

// keyResponse does not show the keys.
func (d *describer) keyResponse(body []byte) {
	var m KeyResponse
	err := m.Decode(body, nil)
	d.WriteString("key-response")
	d.text("result", fmt.Sprint(m.Result))
	d.opt("message", m.Message)
	d.num("keys", uint64(len(m.Keys)))
	d.bad(err)
}

func (d *describer) relay(body []byte) {
	var m Relay
	err := m.Decode(body, nil)
	d.WriteString("relay")
	d.text("to", m.DestName)
	d.addr("at", m.Dest)
	d.bad(err)
	if err == nil {
		d.WriteString(" [")
		if len(m.Message) > 0 && SerfType(m.Message[0]) == SerfRelay {
			fmt.Fprintf(d, "relay %dB", len(m.Message))
		} else {
			d.serf(m.Message)
		}
		d.WriteByte(']')
	}
}
