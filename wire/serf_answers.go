package wire

import "net/netip"

// The messages that travel inside a query's payload or answer, and the relay
// around one.

var (
	memberFields = []string{"Name", "Addr", "Port", "Tags", "Status", "ProtocolMin", "ProtocolMax", "ProtocolCur",
		"DelegateMin", "DelegateMax", "DelegateCur"}
	keyRequestFields  = []string{"Key"}
	keyResponseFields = []string{"Result", "Message", "Keys", "PrimaryKey"}
	relayFields       = []string{"DestAddr", "DestName"}
	udpAddrFields     = []string{"IP", "Port", "Zone"}
)

// AppendTo appends the message with its type byte. A nil m is the answer of a
// node that does not know the name.
func (m *ConflictResponse) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(SerfConflictResponse))
	if m == nil {
		return appendNil(dst)
	}
	dst = append(dst, 0x8b)
	dst = appendAddr(appendStr(dst, "Addr"), m.Addr)
	dst = appendUint(appendStr(dst, "DelegateCur"), uint64(m.DelegateCur))
	dst = appendUint(appendStr(dst, "DelegateMax"), uint64(m.DelegateMax))
	dst = appendUint(appendStr(dst, "DelegateMin"), uint64(m.DelegateMin))
	dst = appendStr(appendStr(dst, "Name"), m.Name)
	dst = appendUint(appendStr(dst, "Port"), uint64(m.Port))
	dst = appendUint(appendStr(dst, "ProtocolCur"), uint64(m.ProtocolCur))
	dst = appendUint(appendStr(dst, "ProtocolMax"), uint64(m.ProtocolMax))
	dst = appendUint(appendStr(dst, "ProtocolMin"), uint64(m.ProtocolMin))
	dst = appendInt(appendStr(dst, "Status"), int64(m.Status))
	return appendTagMap(appendStr(dst, "Tags"), m.Tags)
}

// Decode reads the message without its type byte. The answer of a node that does
// not know the name gives zero values.
func (m *ConflictResponse) Decode(body []byte, in Interner) error {
	*m = ConflictResponse{}
	r := reader{b: body, in: in}
	for f := r.open(memberFields); f.next(); {
		switch f.name {
		case "Name":
			m.Name = r.str()
		case "Addr":
			m.Addr = r.addr()
		case "Port":
			m.Port = r.uint16()
		case "Tags":
			m.Tags = r.tagMap()
		case "Status":
			m.Status = int(r.int())
		case "ProtocolMin":
			m.ProtocolMin = r.uint8()
		case "ProtocolMax":
			m.ProtocolMax = r.uint8()
		case "ProtocolCur":
			m.ProtocolCur = r.uint8()
		case "DelegateMin":
			m.DelegateMin = r.uint8()
		case "DelegateMax":
			m.DelegateMax = r.uint8()
		case "DelegateCur":
			m.DelegateCur = r.uint8()
		}
	}
	return r.err
}

// AppendTo appends the message with its type byte.
func (m *KeyRequest) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(SerfKeyRequest), 0x81)
	return appendRaw(appendStr(dst, "Key"), m.Key)
}

// Decode reads the message without its type byte.
func (m *KeyRequest) Decode(body []byte, in Interner) error {
	*m = KeyRequest{}
	r := reader{b: body, in: in}
	for f := r.open(keyRequestFields); f.next(); {
		m.Key = r.bytes()
	}
	return r.err
}

// AppendTo appends the message with its type byte.
func (m *KeyResponse) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(SerfKeyResponse), 0x84)
	dst = appendStrList(appendStr(dst, "Keys"), m.Keys)
	dst = appendStr(appendStr(dst, "Message"), m.Message)
	dst = appendStr(appendStr(dst, "PrimaryKey"), m.PrimaryKey)
	return appendBool(appendStr(dst, "Result"), m.Result)
}

// appendStrList writes nil for a nil list.
func appendStrList(dst []byte, list []string) []byte {
	if list == nil {
		return appendNil(dst)
	}
	dst = appendArray(dst, len(list))
	for _, s := range list {
		dst = appendStr(dst, s)
	}
	return dst
}

// Decode reads the message without its type byte. It uses m.Keys again.
func (m *KeyResponse) Decode(body []byte, in Interner) error {
	keys := m.Keys
	*m = KeyResponse{}
	r := reader{b: body, in: in}
	for f := r.open(keyResponseFields); f.next(); {
		switch f.name {
		case "Result":
			m.Result = r.bool()
		case "Message":
			m.Message = r.str()
		case "Keys":
			m.Keys = r.strList(keys, MaxKeys)
		case "PrimaryKey":
			m.PrimaryKey = r.str()
		}
	}
	return r.err
}

func (r *reader) strList(reuse []string, limit int) []string {
	n, ok := r.list(limit)
	if !ok {
		return nil
	}
	list := reuse[:0]
	if list == nil {
		list = []string{}
	}
	for range n {
		if r.err != nil {
			break
		}
		list = append(list, r.str())
	}
	return list
}

// AppendTo appends the message with its type byte.
func (m *Relay) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(SerfRelay), 0x82)
	dst = append(appendStr(dst, "DestAddr"), 0x83)
	dst = appendAddr(appendStr(dst, "IP"), m.Dest.Addr().WithZone(""))
	dst = appendInt(appendStr(dst, "Port"), int64(m.Dest.Port()))
	dst = appendStr(appendStr(dst, "Zone"), m.Dest.Addr().Zone())
	dst = appendStr(appendStr(dst, "DestName"), m.DestName)
	return append(dst, m.Message...)
}

// Decode reads the message without its type byte.
func (m *Relay) Decode(body []byte, in Interner) error {
	*m = Relay{}
	r := reader{b: body, in: in}
	for f := r.open(relayFields); f.next(); {
		switch f.name {
		case "DestAddr":
			m.Dest = r.udpAddr()
		case "DestName":
			m.DestName = r.str()
		}
	}
	m.Message = r.b[r.pos:]
	return r.err
}

// udpAddr reads Go's net.UDPAddr, in which Serf names a relay's destination.
func (r *reader) udpAddr() netip.AddrPort {
	var addr netip.Addr
	var port uint16
	var zone string
	for f := r.open(udpAddrFields); f.next(); {
		switch f.name {
		case "IP":
			addr = r.addr()
		case "Port":
			port = r.uint16()
		case "Zone":
			zone = r.zone()
		}
	}
	if zone != "" && addr.Is6() {
		addr = addr.WithZone(zone)
	}
	return netip.AddrPortFrom(addr, port)
}

func (r *reader) zone() string {
	b := r.bytes()
	if len(b) > maxZone {
		r.fail(ErrLimit)
		return ""
	}
	return string(b)
}
