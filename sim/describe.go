package sim

import (
	"fmt"
	"strings"

	"github.com/ibuki-dev/ibuki/wire"
)

// describe turns one plain message into words, and says what it belongs to.
func (t *transcript) describe(c *Cluster, msg []byte) (show, string) {
	if len(msg) == 0 {
		return showProbes, "empty"
	}
	body := msg[1:]
	switch k := wire.Type(msg[0]); k {
	case wire.TypePing, wire.TypeIndirectPing, wire.TypeAck, wire.TypeNack:
		return showProbes, describeProbe(k, body)
	case wire.TypeAlive, wire.TypeSuspect, wire.TypeDead:
		return showGossip, describeGossip(c, k, body)
	case wire.TypePushPull:
		return showStreams, describePushPull(body)
	case wire.TypeUser:
		return showSerf, describeUser(c, body)
	case wire.TypeErr:
		var m wire.Err
		err := m.Decode(body, nil)
		return showStreams, words(err, "err %q", m.Error)
	default:
		return showProbes, fmt.Sprintf("type %d", k)
	}
}

// words formats, or says that the message could not be decoded.
func words(err error, format string, args ...any) string {
	if err != nil {
		return "undecodable: " + err.Error()
	}
	return fmt.Sprintf(format, args...)
}

func describeProbe(k wire.Type, body []byte) string {
	switch k {
	case wire.TypePing:
		var m wire.Ping
		err := m.Decode(body, nil)
		return words(err, "ping seq=%d", m.Seq)
	case wire.TypeIndirectPing:
		var m wire.IndirectPing
		err := m.Decode(body, nil)
		nack := ""
		if m.Nack {
			nack = " nack"
		}
		return words(err, "indirect-ping seq=%d %s%s", m.Seq, m.Node, nack)
	case wire.TypeAck:
		var m wire.Ack
		err := m.Decode(body, nil)
		return words(err, "ack seq=%d", m.Seq)
	default:
		var m wire.Nack
		err := m.Decode(body, nil)
		return words(err, "nack seq=%d", m.Seq)
	}
}

func describeGossip(c *Cluster, k wire.Type, body []byte) string {
	switch k {
	case wire.TypeAlive:
		var m wire.Alive
		err := m.Decode(body, nil)
		return words(err, "alive %s%s inc=%d", m.Node, c.at(m.Node, m.Addr), m.Incarnation)
	case wire.TypeSuspect:
		var m wire.Suspect
		err := m.Decode(body, nil)
		return words(err, "suspect %s inc=%d by %s", m.Node, m.Incarnation, m.From)
	default:
		var m wire.Dead
		err := m.Decode(body, nil)
		if m.From == m.Node {
			return words(err, "left %s inc=%d", m.Node, m.Incarnation)
		}
		return words(err, "dead %s inc=%d by %s", m.Node, m.Incarnation, m.From)
	}
}

var stateWords = [...]string{"alive", "suspect", "dead", "left"}

func describePushPull(body []byte) string {
	p, err := wire.ReadPushPull(body, nil)
	if err != nil {
		return words(err, "")
	}
	var b strings.Builder
	b.WriteString("push/pull")
	if p.Header.Join {
		b.WriteString(" join")
	}
	for {
		var n wire.PushNodeState
		ok, err := p.Next(&n)
		if err != nil {
			return words(err, "")
		}
		if !ok {
			break
		}
		state := "state?"
		if int(n.State) < len(stateWords) {
			state = stateWords[n.State]
		}
		fmt.Fprintf(&b, " %s=%s/%d", n.Name, state, n.Incarnation)
	}
	user, err := p.UserState()
	if err != nil {
		return words(err, "")
	}
	if len(user) > 0 && wire.SerfType(user[0]) == wire.SerfPushPull {
		var s wire.SerfState
		err := s.Decode(user[1:], nil)
		b.WriteString(words(err, " | ltime=%d", s.LTime))
		for _, st := range s.Status {
			fmt.Fprintf(&b, " %s@%d", st.Node, st.LTime)
		}
		if len(s.Left) > 0 {
			fmt.Fprintf(&b, " left=%s", strings.Join(s.Left, ","))
		}
		for _, at := range s.Events {
			for _, e := range at.Events {
				fmt.Fprintf(&b, " event=%s@%d", e.Name, at.LTime)
			}
		}
	}
	return b.String()
}

// describeUser is a Serf message.
func describeUser(c *Cluster, msg []byte) string {
	if len(msg) == 0 {
		return "empty user message"
	}
	body := msg[1:]
	switch k := wire.SerfType(msg[0]); k {
	case wire.SerfJoin:
		var m wire.Join
		err := m.Decode(body, nil)
		return words(err, "join-intent %s ltime=%d", m.Node, m.LTime)
	case wire.SerfLeave:
		var m wire.Leave
		err := m.Decode(body, nil)
		prune := ""
		if m.Prune {
			prune = " prune"
		}
		return words(err, "leave-intent %s ltime=%d%s", m.Node, m.LTime, prune)
	case wire.SerfUserEvent:
		var m wire.UserEvent
		err := m.Decode(body, nil)
		return words(err, "user-event %s %s ltime=%d", m.Name, quote(m.Payload), m.LTime)
	case wire.SerfQuery, wire.SerfQueryResponse, wire.SerfRelay:
		return describeQuery(c, k, body)
	default:
		return fmt.Sprintf("serf type %d", k)
	}
}

func describeQuery(c *Cluster, k wire.SerfType, body []byte) string {
	switch k {
	case wire.SerfQuery:
		var m wire.Query
		err := m.Decode(body, nil)
		s := words(err, "query %s %s ltime=%d from %s", m.Name, quote(m.Payload), m.LTime, c.who(m.Source))
		if m.Flags&wire.QueryFlagAck != 0 {
			s += " ack"
		}
		if m.RelayFactor > 0 {
			s += fmt.Sprintf(" relay=%d", m.RelayFactor)
		}
		return s + describeFilters(m.Filters)
	case wire.SerfQueryResponse:
		var m wire.QueryResponse
		err := m.Decode(body, nil)
		if m.Flags&wire.QueryFlagAck != 0 {
			return words(err, "query-ack ltime=%d from %s", m.LTime, m.From)
		}
		return words(err, "answer %s ltime=%d from %s", quote(m.Payload), m.LTime, m.From)
	default:
		var m wire.Relay
		err := m.Decode(body, nil)
		if err != nil {
			return words(err, "")
		}
		return "relay to " + c.who(m.Dest) + " (" + describeUser(c, m.Message) + ")"
	}
}

func describeFilters(filters [][]byte) string {
	var b strings.Builder
	for _, raw := range filters {
		f, err := wire.DecodeFilter(raw)
		switch {
		case err != nil:
			b.WriteString(" filter?")
		case f.Type == wire.FilterNode:
			b.WriteString(" node=" + strings.Join(f.Nodes, ","))
		default:
			b.WriteString(" tag " + f.Tag + "=~" + f.Expr)
		}
	}
	return b.String()
}
