package wire

import (
	"net/netip"
	"time"
)

// The fields of Serf's messages in the order of their declaration there.
var (
	joinFields      = []string{"LTime", "Node"}
	leaveFields     = []string{"LTime", "Node", "Prune"}
	userEventFields = []string{"LTime", "Name", "Payload", "CC"}
	queryFields     = []string{"LTime", "ID", "Addr", "Port", "SourceNode", "Filters", "Flags", "RelayFactor",
		"Timeout", "Name", "Payload"}
	responseFields = []string{"LTime", "ID", "From", "Flags", "Payload"}
)

// AppendTo appends the message with its type byte.
func (m *Join) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(SerfJoin), 0x82)
	dst = appendUint(appendStr(dst, "LTime"), uint64(m.LTime))
	return appendStr(appendStr(dst, "Node"), m.Node)
}

// Decode reads the message without its type byte.
func (m *Join) Decode(body []byte, in Interner) error {
	*m = Join{}
	r := reader{b: body, in: in}
	for f := r.open(joinFields); f.next(); {
		switch f.name {
		case "LTime":
			m.LTime = r.ltime()
		case "Node":
			m.Node = r.str()
		}
	}
	return r.err
}

// AppendTo appends the message with its type byte.
func (m *Leave) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(SerfLeave), 0x83)
	dst = appendUint(appendStr(dst, "LTime"), uint64(m.LTime))
	dst = appendStr(appendStr(dst, "Node"), m.Node)
	return appendBool(appendStr(dst, "Prune"), m.Prune)
}

// Decode reads the message without its type byte.
func (m *Leave) Decode(body []byte, in Interner) error {
	*m = Leave{}
	r := reader{b: body, in: in}
	for f := r.open(leaveFields); f.next(); {
		switch f.name {
		case "LTime":
			m.LTime = r.ltime()
		case "Node":
			m.Node = r.str()
		case "Prune":
			m.Prune = r.bool()
		}
	}
	return r.err
}

// AppendTo appends the message with its type byte.
func (m *UserEvent) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(SerfUserEvent), 0x84)
	dst = appendBool(appendStr(dst, "CC"), m.Coalesce)
	dst = appendUint(appendStr(dst, "LTime"), uint64(m.LTime))
	dst = appendStr(appendStr(dst, "Name"), m.Name)
	return appendRaw(appendStr(dst, "Payload"), m.Payload)
}

// Decode reads the message without its type byte.
func (m *UserEvent) Decode(body []byte, in Interner) error {
	*m = UserEvent{}
	r := reader{b: body, in: in}
	for f := r.open(userEventFields); f.next(); {
		switch f.name {
		case "LTime":
			m.LTime = r.ltime()
		case "Name":
			m.Name = r.str()
		case "Payload":
			m.Payload = r.bytes()
		case "CC":
			m.Coalesce = r.bool()
		}
	}
	return r.err
}

// AppendTo appends the message with its type byte.
func (m *Query) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(SerfQuery), 0x8b)
	dst = appendAddr(appendStr(dst, "Addr"), m.Source.Addr())
	dst = appendRawList(appendStr(dst, "Filters"), m.Filters)
	dst = appendUint(appendStr(dst, "Flags"), uint64(m.Flags))
	dst = appendUint(appendStr(dst, "ID"), uint64(m.ID))
	dst = appendUint(appendStr(dst, "LTime"), uint64(m.LTime))
	dst = appendStr(appendStr(dst, "Name"), m.Name)
	dst = appendRaw(appendStr(dst, "Payload"), m.Payload)
	dst = appendUint(appendStr(dst, "Port"), uint64(m.Source.Port()))
	dst = appendUint(appendStr(dst, "RelayFactor"), uint64(m.RelayFactor))
	dst = appendStr(appendStr(dst, "SourceNode"), m.SourceNode)
	return appendInt(appendStr(dst, "Timeout"), int64(m.Timeout))
}

func appendRawList(dst []byte, list [][]byte) []byte {
	if list == nil {
		return appendNil(dst)
	}
	dst = appendArray(dst, len(list))
	for _, b := range list {
		dst = appendRaw(dst, b)
	}
	return dst
}

// Decode reads the message without its type byte. It uses m.Filters again.
func (m *Query) Decode(body []byte, in Interner) error {
	filters := m.Filters
	*m = Query{}
	r := reader{b: body, in: in}
	var addr netip.Addr
	var port uint16
	for f := r.open(queryFields); f.next(); {
		switch f.name {
		case "LTime":
			m.LTime = r.ltime()
		case "ID":
			m.ID = r.uint32()
		case "Addr":
			addr = r.addr()
		case "Port":
			port = r.uint16()
		case "SourceNode":
			m.SourceNode = r.str()
		case "Filters":
			m.Filters = r.rawList(filters)
		case "Flags":
			m.Flags = r.uint32()
		case "RelayFactor":
			m.RelayFactor = r.uint8()
		case "Timeout":
			m.Timeout = time.Duration(r.int())
		case "Name":
			m.Name = r.str()
		case "Payload":
			m.Payload = r.bytes()
		}
	}
	m.Source = netip.AddrPortFrom(addr, port)
	return r.err
}

func (r *reader) rawList(reuse [][]byte) [][]byte {
	n, ok := r.list(MaxFilters)
	if !ok {
		return nil
	}
	list := reuse[:0]
	if list == nil {
		list = [][]byte{}
	}
	for range n {
		list = append(list, r.bytes())
	}
	return list
}

// AppendTo appends the message with its type byte.
func (m *QueryResponse) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(SerfQueryResponse), 0x85)
	dst = appendUint(appendStr(dst, "Flags"), uint64(m.Flags))
	dst = appendStr(appendStr(dst, "From"), m.From)
	dst = appendUint(appendStr(dst, "ID"), uint64(m.ID))
	dst = appendUint(appendStr(dst, "LTime"), uint64(m.LTime))
	return appendRaw(appendStr(dst, "Payload"), m.Payload)
}

// Decode reads the message without its type byte.
func (m *QueryResponse) Decode(body []byte, in Interner) error {
	*m = QueryResponse{}
	r := reader{b: body, in: in}
	for f := r.open(responseFields); f.next(); {
		switch f.name {
		case "LTime":
			m.LTime = r.ltime()
		case "ID":
			m.ID = r.uint32()
		case "From":
			m.From = r.str()
		case "Flags":
			m.Flags = r.uint32()
		case "Payload":
			m.Payload = r.bytes()
		}
	}
	return r.err
}
