package wire

import (
	"bytes"
	"math"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// The peers' own structs, by field names and kinds, for their library to fill.
type (
	peerPing struct {
		SeqNo      uint32
		Node       string
		SourceAddr []byte `codec:",omitempty"`
		SourcePort uint16 `codec:",omitempty"`
		SourceNode string `codec:",omitempty"`
	}
	peerIndirectPing struct {
		SeqNo      uint32
		Target     []byte
		Port       uint16
		Node       string
		Nack       bool
		SourceAddr []byte `codec:",omitempty"`
		SourcePort uint16 `codec:",omitempty"`
		SourceNode string `codec:",omitempty"`
	}
	peerAck struct {
		SeqNo   uint32
		Payload []byte
	}
	peerNack      struct{ SeqNo uint32 }
	peerErr       struct{ Error string }
	peerSuspicion struct {
		Incarnation uint32
		Node, From  string
	}
	peerAlive struct {
		Incarnation uint32
		Node        string
		Addr        []byte
		Port        uint16
		Meta        []byte
		Vsn         []uint8
	}
	peerHeader struct {
		Nodes        int
		UserStateLen int
		Join         bool
	}
	peerNode struct {
		Name        string
		Addr        []byte
		Port        uint16
		Meta        []byte
		Incarnation uint32
		State       int
		Vsn         []uint8
	}
	peerUserStream struct{ UserMsgLen int }
	peerJoin       struct {
		LTime uint64
		Node  string
	}
	peerLeave struct {
		LTime uint64
		Node  string
		Prune bool
	}
	peerState struct {
		LTime        uint64
		StatusLTimes map[string]uint64
		LeftMembers  []string
		EventLTime   uint64
		Events       []*peerEventsAt
		QueryLTime   uint64
	}
	peerEventsAt struct {
		LTime  uint64
		Events []peerStateEvent
	}
	peerStateEvent struct {
		Name    string
		Payload []byte
	}
	peerUserEvent struct {
		LTime   uint64
		Name    string
		Payload []byte
		CC      bool
	}
	peerQuery struct {
		LTime       uint64
		ID          uint32
		Addr        []byte
		Port        uint16
		SourceNode  string
		Filters     [][]byte
		Flags       uint32
		RelayFactor uint8
		Timeout     time.Duration
		Name        string
		Payload     []byte
	}
	peerResponse struct {
		LTime   uint64
		ID      uint32
		From    string
		Flags   uint32
		Payload []byte
	}
	peerMember struct {
		Name        string
		Addr        net.IP
		Port        uint16
		Tags        map[string]string
		Status      int
		ProtocolMin uint8
		ProtocolMax uint8
		ProtocolCur uint8
		DelegateMin uint8
		DelegateMax uint8
		DelegateCur uint8
	}
	peerKeyRequest  struct{ Key []byte }
	peerKeyResponse struct {
		Result     bool
		Message    string
		Keys       []string
		PrimaryKey string
	}
	peerRelay struct {
		DestAddr net.UDPAddr
		DestName string
	}
	peerTagFilter  struct{ Tag, Expr string }
	peerCoordinate struct {
		Vec                       []float64
		Error, Adjustment, Height float64
	}
)

// peerEncode encodes as the peers do, except that maps are in order.
func peerEncode(t testing.TB, prefix []byte, v any) []byte {
	t.Helper()
	buf := bytes.NewBuffer(slices.Clone(prefix))
	h := codec.MsgpackHandle{}
	h.Canonical = true
	h.TimeNotBuiltin = true
	if err := codec.NewEncoder(buf, &h).Encode(v); err != nil {
		t.Fatalf("the peers' library cannot encode %+v: %v", v, err)
	}
	return buf.Bytes()
}

// peerDecode decodes as the peers do and returns what follows the value.
func peerDecode(b []byte, v any) (rest []byte, err error) {
	r := bytes.NewReader(b)
	err = codec.NewDecoder(r, &codec.MsgpackHandle{}).Decode(v)
	return b[len(b)-r.Len():], err
}

// message is what all messages are to these tests.
type message interface {
	AppendTo(dst []byte) []byte
	Decode(body []byte, in Interner) error
}

// The native keys are passed over: the peers do not know them.
func toPeer(m message) any {
	switch m := m.(type) {
	case *Ping:
		return &peerPing{m.Seq, m.Node, ipBytes(m.Source), m.Source.Port(), m.SourceNode}
	case *IndirectPing:
		return &peerIndirectPing{m.Seq, ipBytes(m.Target), m.Target.Port(), m.Node, m.Nack,
			ipBytes(m.Source), m.Source.Port(), m.SourceNode}
	case *Ack:
		return &peerAck{m.Seq, m.Payload}
	case *Nack:
		return &peerNack{m.Seq}
	case *Err:
		return &peerErr{m.Error}
	case *Suspect:
		return &peerSuspicion{m.Incarnation, m.Node, m.From}
	case *Dead:
		return &peerSuspicion{m.Incarnation, m.Node, m.From}
	case *Alive:
		return &peerAlive{m.Incarnation, m.Node, ipBytes(m.Addr), m.Addr.Port(), m.Meta, vsn(m.Versions)}
	case *Join:
		return &peerJoin{uint64(m.LTime), m.Node}
	case *Leave:
		return &peerLeave{uint64(m.LTime), m.Node, m.Prune}
	case *UserEvent:
		return &peerUserEvent{uint64(m.LTime), m.Name, m.Payload, m.Coalesce}
	case *Query:
		return &peerQuery{uint64(m.LTime), m.ID, ipBytes(m.Source), m.Source.Port(), m.SourceNode, m.Filters,
			m.Flags, m.RelayFactor, m.Timeout, m.Name, m.Payload}
	case *QueryResponse:
		return &peerResponse{uint64(m.LTime), m.ID, m.From, m.Flags, m.Payload}
	case *SerfState:
		return stateToPeer(m)
	case *ConflictResponse:
		return &peerMember{m.Name, m.Addr.AsSlice(), m.Port, tagsToMap(m.Tags), m.Status, m.ProtocolMin,
			m.ProtocolMax, m.ProtocolCur, m.DelegateMin, m.DelegateMax, m.DelegateCur}
	case *KeyRequest:
		return &peerKeyRequest{m.Key}
	case *KeyResponse:
		return &peerKeyResponse{m.Result, m.Message, m.Keys, m.PrimaryKey}
	case *Relay:
		a := m.Dest.Addr()
		return &peerRelay{net.UDPAddr{IP: a.AsSlice(), Port: int(m.Dest.Port()), Zone: a.Zone()}, m.DestName}
	case *coordinateMessage:
		return &peerCoordinate{m.Vec, m.Error, m.Adjustment, m.Height}
	}
	panic("no struct of the peers for this message")
}

// coordinateMessage is a Coordinate with the methods of a message.
type coordinateMessage struct{ Coordinate }

func (m *coordinateMessage) Decode(body []byte, _ Interner) error {
	return m.Coordinate.Decode(append([]byte{PingPayloadVersion}, body...))
}

func ipBytes(a netip.AddrPort) []byte { return a.Addr().AsSlice() }

func vsn(v Versions) []uint8 {
	if v == (Versions{}) {
		return nil
	}
	return []uint8{v.PMin, v.PMax, v.PCur, v.DMin, v.DMax, v.DCur}
}

func stateToPeer(m *SerfState) *peerState {
	p := &peerState{LTime: uint64(m.LTime), EventLTime: uint64(m.EventLTime), QueryLTime: uint64(m.QueryLTime),
		StatusLTimes: map[string]uint64{}, LeftMembers: append([]string{}, m.Left...), Events: []*peerEventsAt{}}
	for _, s := range m.Status {
		p.StatusLTimes[s.Node] = uint64(s.LTime)
	}
	for _, e := range m.Events {
		at := &peerEventsAt{LTime: uint64(e.LTime)}
		if e.Events != nil {
			at.Events = []peerStateEvent{}
		}
		for _, s := range e.Events {
			at.Events = append(at.Events, peerStateEvent(s))
		}
		p.Events = append(p.Events, at)
	}
	return p
}

func tagsToMap(tags []Tag) map[string]string {
	if tags == nil {
		return nil
	}
	m := map[string]string{}
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}

// normal turns what the peers' library read into what we make of it: addresses
// and versions of impossible lengths, empty ring slots.
func normal(v any) {
	switch p := v.(type) {
	case *peerPing:
		p.SourceAddr = normalIP(p.SourceAddr)
	case *peerIndirectPing:
		p.SourceAddr, p.Target = normalIP(p.SourceAddr), normalIP(p.Target)
	case *peerAlive:
		p.Addr, p.Vsn = normalIP(p.Addr), normalVsn(p.Vsn)
	case *peerNode:
		p.Addr, p.Vsn = normalIP(p.Addr), normalVsn(p.Vsn)
		if p.State < 0 || p.State > 3 {
			p.State = int(NodeStateUnknown)
		}
	case *peerQuery:
		p.Addr = normalIP(p.Addr)
	case *peerMember:
		p.Addr = normalIP(p.Addr)
	case *peerRelay:
		ip := normalIP(p.DestAddr.IP)
		p.DestAddr.IP = ip
		if len(ip) != 16 {
			p.DestAddr.Zone = ""
		}
	case *peerState:
		p.Events = slices.DeleteFunc(p.Events, func(e *peerEventsAt) bool { return e == nil })
		if p.Events == nil {
			p.Events = []*peerEventsAt{}
		}
		if p.LeftMembers == nil {
			p.LeftMembers = []string{}
		}
		if p.StatusLTimes == nil {
			p.StatusLTimes = map[string]uint64{}
		}
	}
}

func normalIP(b []byte) []byte {
	if len(b) != 4 && len(b) != 16 {
		return nil
	}
	return b
}

func normalVsn(b []byte) []byte {
	if len(b) < 6 || bytes.Equal(b[:6], make([]byte, 6)) {
		return nil
	}
	return b[:6]
}

var (
	v4    = netip.MustParseAddrPort("10.1.2.3:7946")
	v6    = netip.MustParseAddrPort("[2001:db8::7]:65535")
	v4in6 = netip.MustParseAddrPort("[::ffff:10.1.2.3]:80")
	zoned = netip.MustParseAddrPort("[fe80::1%eth0]:1")
	long  = string(bytes.Repeat([]byte("n"), 300))
)

// samples are messages of every type, with their type byte: usual ones, empty
// ones, and the edges of what they can hold.
// withoutNative is what a peer would make of m.
func withoutNative(m message) message {
	switch m := m.(type) {
	case *Ping:
		c := *m
		c.Native, c.Link = 0, false
		return &c
	case *Ack:
		c := *m
		c.Native, c.Wait = 0, 0
		return &c
	case *Alive:
		c := *m
		c.Native = 0
		return &c
	case *Suspect:
		c := *m
		c.Verdict = 0
		return &c
	case *Dead:
		c := *m
		c.Verdict = 0
		return &c
	}
	return m
}

func samples() []struct {
	prefix byte
	m      message
} {
	vs := Versions{1, 5, 2, 2, 5, 4}
	return []struct {
		prefix byte
		m      message
	}{
		{0, &Ping{}},
		{0, &Ping{Seq: 7, Node: "b", Source: v4, SourceNode: "a"}},
		{0, &Ping{Seq: math.MaxUint32, Node: long, Source: v6, SourceNode: "a:1/x"}},
		{0, &Ping{Seq: 127, Source: netip.AddrPortFrom(netip.Addr{}, 9)}},
		{0, &Ping{Seq: 128, Source: netip.AddrPortFrom(v4in6.Addr(), 0)}},
		{1, &IndirectPing{}},
		{1, &IndirectPing{Seq: 300, Target: v4, Node: "c", Nack: true, Source: v4in6, SourceNode: "a"}},
		{2, &Ack{}},
		{2, &Ack{Seq: 65535, Payload: []byte{}}},
		{2, &Ack{Seq: 65536, Payload: []byte("payload")}},
		{11, &Nack{Seq: 9}},
		{13, &Err{Error: "no"}},
		{3, &Suspect{Incarnation: 3, Node: "b", From: "a"}},
		{5, &Dead{Incarnation: 255, Node: "b", From: "b"}},
		{4, &Alive{}},
		{4, &Alive{Incarnation: 1, Node: "b", Addr: v4, Meta: []byte{255, 0x80}, Versions: vs}},
		{4, &Alive{Incarnation: 1 << 31, Node: "b", Addr: v4in6, Meta: make([]byte, MetaMax), Versions: vs}},
		{1, &Join{LTime: 1, Node: "a"}},
		{0, &Leave{LTime: math.MaxUint64, Node: "a", Prune: true}},
		{3, &UserEvent{LTime: 70000, Name: "my-event", Payload: []byte("my-data"), Coalesce: true}},
		{3, &UserEvent{Name: long, Payload: make([]byte, 70000)}},
		{4, &Query{}},
		{4, &Query{LTime: 5, ID: 1 << 31, Source: v4, SourceNode: "a", Filters: [][]byte{{0, 0x90}, nil, {}},
			Flags: QueryFlagAck | QueryFlagNoBroadcast, RelayFactor: 200, Timeout: 15 * time.Second,
			Name: "q", Payload: []byte("p")}},
		{4, &Query{Timeout: -1, Filters: make([][]byte, 20)}},
		{4, &Query{Timeout: math.MinInt64, Filters: [][]byte{}}},
		{5, &QueryResponse{LTime: 5, ID: 77, From: "b", Flags: QueryFlagAck}},
		{5, &QueryResponse{LTime: 5, ID: 77, From: "b", Payload: []byte("answer")}},
		{2, &SerfState{}},
		{2, &SerfState{LTime: 9, Status: []StatusLTime{{"a", 1}, {"b", 200}}, Left: []string{"c"}, EventLTime: 3,
			Events: []EventsAt{{LTime: 1, Events: []StateEvent{{"e", nil}, {"f", []byte("x")}}}, {LTime: 2}}, QueryLTime: 4}},
		{6, &ConflictResponse{}},
		{6, &ConflictResponse{Name: "a", Addr: v4.Addr(), Port: 7946, Tags: []Tag{{"k", "v"}, {"role", ""}}, Status: 1,
			ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5}},
		{6, &ConflictResponse{Addr: v6.Addr(), Tags: []Tag{}, Status: -1}},
		{7, &KeyRequest{Key: make([]byte, 16)}},
		{8, &KeyResponse{Result: true, Keys: []string{"x", ""}, PrimaryKey: "x"}},
		{8, &KeyResponse{Message: "no"}},
		{9, &Relay{Dest: v4, DestName: "a", Message: []byte{5, 0x80}}},
		{9, &Relay{Dest: zoned, Message: []byte{}}},
		{9, &Relay{Dest: v4in6, Message: []byte("x")}},
		{PingPayloadVersion, &coordinateMessage{}},
		{PingPayloadVersion, &coordinateMessage{Coordinate{[]float64{0, -1.5, math.Inf(1)}, 1, -0.25, 1e-5}}},
	}
}
