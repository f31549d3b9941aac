package swim

import "net/netip"

// maxKept bounds how much memory an output keeps for the next one.
const maxKept = 1 << 18

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
	clear(o.Packets)
	clear(o.Dials)
	clear(o.Trace)
	o.Packets, o.Dials, o.Joins, o.Trace = o.Packets[:0], o.Dials[:0], o.Joins[:0], o.Trace[:0]
	o.buf = o.buf[:0]
	if cap(o.buf) > maxKept {
		o.buf = nil
	}
}

// packet notes that what was appended to buf from start on is a packet.
func (o *output) packet(to netip.AddrPort, node string, crc bool, start int) {
	end := len(o.buf)
	o.Packets = append(o.Packets, Packet{To: to, Node: node, CRC: crc, Data: o.buf[start:end:end]})
}

// Output returns what the inputs since the last call produced.
func (m *Machine) Output() *Output {
	m.out.begin()
	m.out.taken = true
	return &m.out.Output
}
