package swim

import "net/netip"

const (
	// maxKept bounds how many bytes an output keeps for the next one.
	maxKept = 1 << 16
	// maxRecords bounds how many records of each kind it keeps room for: a
	// push/pull that brings ten thousand members leaves as many traces.
	maxRecords = 256
)

// output collects what inputs produce until the driver takes it.
//
// Rule: what was taken stays as it is until the next input begins. Invariant:
// every Packet's Data lies in buf or in an older array that buf has outgrown,
// and no two overlap.
type output struct {
	Output
	buf   []byte
	taken bool
}

// begin is called at each input: it reuses what the driver has had.
func (o *output) begin() {
	if !o.taken {
		return
	}
	o.taken = false
	o.Packets, o.Dials = emptied(o.Packets), emptied(o.Dials)
	o.Joins, o.Trace = emptied(o.Joins), emptied(o.Trace)
	o.Links = emptied(o.Links)
	o.buf = o.buf[:0]
	if cap(o.buf) > maxKept {
		o.buf = nil
	}
}

// emptied is s without its elements, or nil if it has grown too large to keep.
func emptied[T any](s []T) []T {
	if cap(s) > maxRecords {
		return nil
	}
	clear(s)
	return s[:0]
}

// packet notes that what was appended to buf from start on is a packet.
func (o *output) packet(to netip.AddrPort, node string, crc bool, start int) {
	end := len(o.buf)
	o.Packets = append(o.Packets, Packet{To: to, Node: node, CRC: crc, Data: o.buf[start:end:end]})
}

// Output returns what the inputs since the last call produced.
func (m *Machine) Output() *Output {
	m.out.begin()
	m.spreadDue()
	m.out.taken = true
	return &m.out.Output
}
