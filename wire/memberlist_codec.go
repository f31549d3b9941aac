package wire

import "net/netip"

// The fields of memberlist's messages in the order of their declaration there.
// They are written in the order of the alphabet, as the peers' library does.
// N, L, E and W are not the peers' (P190); they come last, and are left out if zero.
var (
	pingFields      = []string{"SeqNo", "Node", "SourceAddr", "SourcePort", "SourceNode", "N", "L"}
	indirectFields  = []string{"SeqNo", "Target", "Port", "Node", "Nack", "SourceAddr", "SourcePort", "SourceNode"}
	ackFields       = []string{"SeqNo", "Payload", "N", "W"}
	nackFields      = []string{"SeqNo"}
	errFields       = []string{"Error"}
	suspicionFields = []string{"Incarnation", "Node", "From", "E"} // of a suspect and a dead
	aliveFields     = []string{"Incarnation", "Node", "Addr", "Port", "Meta", "Vsn", "N"}
)

// AppendTo appends the message with its type byte.
func (m *Ping) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(TypePing))
	dst = appendMap(dst, 2+sourceFields(m.Source, m.SourceNode)+extra(m.Native)+extra(m.Link))
	if m.Link {
		dst = appendExtra(dst, "L", 1)
	}
	dst = appendExtra(dst, "N", m.Native)
	dst = appendStr(appendStr(dst, "Node"), m.Node)
	dst = appendUint(appendStr(dst, "SeqNo"), uint64(m.Seq))
	return appendSource(dst, m.Source, m.SourceNode)
}

// Decode reads the message without its type byte.
func (m *Ping) Decode(body []byte, in Interner) error {
	*m = Ping{}
	r := reader{b: body, in: in}
	var addr netip.Addr
	var port uint16
	for f := r.open(pingFields); f.next(); {
		switch f.name {
		case "SeqNo":
			m.Seq = r.uint32()
		case "Node":
			m.Node = r.str()
		case "SourceAddr":
			addr = r.addr()
		case "SourcePort":
			port = r.uint16()
		case "SourceNode":
			m.SourceNode = r.str()
		case "N":
			m.Native = r.extra()
		case "L":
			m.Link = r.extra() > 0
		}
	}
	m.Source = netip.AddrPortFrom(addr, port)
	return r.err
}

// sourceFields counts the fields that appendSource writes: empty ones are left out.
func sourceFields(source netip.AddrPort, node string) int {
	n := 0
	if source.Addr().IsValid() {
		n++
	}
	if source.Port() != 0 {
		n++
	}
	if node != "" {
		n++
	}
	return n
}

func appendSource(dst []byte, source netip.AddrPort, node string) []byte {
	if source.Addr().IsValid() {
		dst = appendAddr(appendStr(dst, "SourceAddr"), source.Addr())
	}
	if node != "" {
		dst = appendStr(appendStr(dst, "SourceNode"), node)
	}
	if source.Port() != 0 {
		dst = appendUint(appendStr(dst, "SourcePort"), uint64(source.Port()))
	}
	return dst
}

// AppendTo appends the message with its type byte.
func (m *IndirectPing) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(TypeIndirectPing))
	dst = appendMap(dst, 5+sourceFields(m.Source, m.SourceNode))
	dst = appendBool(appendStr(dst, "Nack"), m.Nack)
	dst = appendStr(appendStr(dst, "Node"), m.Node)
	dst = appendUint(appendStr(dst, "Port"), uint64(m.Target.Port()))
	dst = appendUint(appendStr(dst, "SeqNo"), uint64(m.Seq))
	dst = appendSource(dst, m.Source, m.SourceNode)
	return appendAddr(appendStr(dst, "Target"), m.Target.Addr())
}

// Decode reads the message without its type byte.
func (m *IndirectPing) Decode(body []byte, in Interner) error {
	*m = IndirectPing{}
	r := reader{b: body, in: in}
	var target, source netip.Addr
	var port, sourcePort uint16
	for f := r.open(indirectFields); f.next(); {
		switch f.name {
		case "SeqNo":
			m.Seq = r.uint32()
		case "Target":
			target = r.addr()
		case "Port":
			port = r.uint16()
		case "Node":
			m.Node = r.str()
		case "Nack":
			m.Nack = r.bool()
		case "SourceAddr":
			source = r.addr()
		case "SourcePort":
			sourcePort = r.uint16()
		case "SourceNode":
			m.SourceNode = r.str()
		}
	}
	m.Target = netip.AddrPortFrom(target, port)
	m.Source = netip.AddrPortFrom(source, sourcePort)
	return r.err
}

// AppendTo appends the message with its type byte.
func (m *Ack) AppendTo(dst []byte) []byte {
	dst = appendMap(append(dst, byte(TypeAck)), 2+extra(m.Native)+extra(m.Wait))
	dst = appendExtra(dst, "N", m.Native)
	dst = appendRaw(appendStr(dst, "Payload"), m.Payload)
	dst = appendUint(appendStr(dst, "SeqNo"), uint64(m.Seq))
	return appendExtra(dst, "W", m.Wait)
}

// Decode reads the message without its type byte.
func (m *Ack) Decode(body []byte, in Interner) error {
	*m = Ack{}
	r := reader{b: body, in: in}
	for f := r.open(ackFields); f.next(); {
		switch f.name {
		case "SeqNo":
			m.Seq = r.uint32()
		case "Payload":
			m.Payload = r.bytes()
		case "N":
			m.Native = r.extra()
		case "W":
			m.Wait = r.extra()
		}
	}
	return r.err
}

// AppendTo appends the message with its type byte.
func (m *Nack) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(TypeNack), 0x81)
	return appendUint(appendStr(dst, "SeqNo"), uint64(m.Seq))
}

// Decode reads the message without its type byte.
func (m *Nack) Decode(body []byte, in Interner) error {
	*m = Nack{}
	r := reader{b: body, in: in}
	for f := r.open(nackFields); f.next(); {
		m.Seq = r.uint32()
	}
	return r.err
}

// AppendTo appends the message with its type byte.
func (m *Err) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(TypeErr), 0x81)
	return appendStr(appendStr(dst, "Error"), m.Error)
}

// Decode reads the message without its type byte.
func (m *Err) Decode(body []byte, in Interner) error {
	*m = Err{}
	r := reader{b: body, in: in}
	for f := r.open(errFields); f.next(); {
		m.Error = r.str()
	}
	return r.err
}

// appendSuspicion writes what a suspect and a dead have in common: all of it.
func appendSuspicion(dst []byte, t Type, m *Suspect) []byte {
	dst = appendMap(append(dst, byte(t)), 3+extra(m.Verdict))
	dst = appendExtra(dst, "E", uint8(m.Verdict))
	dst = appendStr(appendStr(dst, "From"), m.From)
	dst = appendUint(appendStr(dst, "Incarnation"), uint64(m.Incarnation))
	return appendStr(appendStr(dst, "Node"), m.Node)
}

func decodeSuspicion(body []byte, in Interner) (m Suspect, err error) {
	r := reader{b: body, in: in}
	for f := r.open(suspicionFields); f.next(); {
		switch f.name {
		case "Incarnation":
			m.Incarnation = r.uint32()
		case "Node":
			m.Node = r.str()
		case "From":
			m.From = r.str()
		case "E":
			m.Verdict = r.verdict()
		}
	}
	return m, r.err
}

// AppendTo appends the message with its type byte.
func (m *Suspect) AppendTo(dst []byte) []byte {
	return appendSuspicion(dst, TypeSuspect, m)
}

// Decode reads the message without its type byte.
func (m *Suspect) Decode(body []byte, in Interner) (err error) {
	*m, err = decodeSuspicion(body, in)
	return err
}

// AppendTo appends the message with its type byte.
func (m *Dead) AppendTo(dst []byte) []byte {
	return appendSuspicion(dst, TypeDead, (*Suspect)(m))
}

// Decode reads the message without its type byte.
func (m *Dead) Decode(body []byte, in Interner) error {
	s, err := decodeSuspicion(body, in)
	*m = Dead(s)
	return err
}

// AppendTo appends the message with its type byte.
func (m *Alive) AppendTo(dst []byte) []byte {
	dst = appendMap(append(dst, byte(TypeAlive)), 6+extra(m.Native))
	dst = appendAddr(appendStr(dst, "Addr"), m.Addr.Addr())
	dst = appendUint(appendStr(dst, "Incarnation"), uint64(m.Incarnation))
	dst = appendRaw(appendStr(dst, "Meta"), m.Meta)
	dst = appendExtra(dst, "N", m.Native)
	dst = appendStr(appendStr(dst, "Node"), m.Node)
	dst = appendUint(appendStr(dst, "Port"), uint64(m.Addr.Port()))
	return appendVersions(appendStr(dst, "Vsn"), m.Versions)
}

// Decode reads the message without its type byte.
func (m *Alive) Decode(body []byte, in Interner) error {
	*m = Alive{}
	r := reader{b: body, in: in}
	var addr netip.Addr
	var port uint16
	for f := r.open(aliveFields); f.next(); {
		switch f.name {
		case "Incarnation":
			m.Incarnation = r.uint32()
		case "Node":
			m.Node = r.str()
		case "Addr":
			addr = r.addr()
		case "Port":
			port = r.uint16()
		case "Meta":
			m.Meta = r.meta()
		case "Vsn":
			m.Versions = r.versions()
		case "N":
			m.Native = r.extra()
		}
	}
	m.Addr = netip.AddrPortFrom(addr, port)
	return r.err
}

// meta reads a node's metadata.
func (r *reader) meta() []byte {
	b := r.bytes()
	if len(b) > MetaMax {
		r.fail(ErrLimit)
		return nil
	}
	return b
}
