package agent

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/agent/transport"
	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// packetQueue is how many packets may wait between the sockets and the loop, in
// either direction. When the loop is behind, received ones stay in
// the kernel's buffer; those to be sent are dropped, which is always safe.
const packetQueue = 256

// keepPacket is the largest buffer that is kept for another packet, in bytes.
// Packets are of 1400 bytes unless somebody sends us something odd.
const keepPacket = 4096

// packet is one datagram on its way, with buffers that are used again.
type packet struct {
	addr netip.AddrPort // from or to
	crc  bool           // to be sent with a checksum
	data []byte         // as received, or the plain message to send
	open []byte         // memory for data, decrypted
	msg  []byte         // received: the message, in data or open
}

func getPacket(free chan *packet) *packet {
	select {
	case p := <-free:
		return p
	default:
		return &packet{}
	}
}

func putPacket(free chan *packet, p *packet) {
	if cap(p.data) > keepPacket || cap(p.open) > keepPacket {
		return
	}
	select {
	case free <- p:
	default:
	}
}

func (a *Agent) freePacket(p *packet) { putPacket(a.freePackets, p) }

// carryPackets begins to read and to write them.
func (a *Agent) carryPackets() {
	a.transport.OnRefused(a.hint)
	a.wg.Go(a.readPackets)
	a.wg.Go(a.writePackets)
	a.wg.Go(a.tellHistory)
}

// readPackets reads until the transport is closed. It opens the packets, so that
// the loop does not spend its time on decryption.
func (a *Agent) readPackets() {
	var batch [transport.MaxBatch]transport.Datagram
	for i := range batch {
		batch[i].Data = make([]byte, transport.MaxPacket) // of which nearly all is never touched
	}
	for {
		n, err := a.transport.ReadPackets(batch[:])
		if err != nil {
			if errors.Is(err, net.ErrClosed) || a.ctx.Err() != nil {
				return
			}
			// An ICMP error about something we sent, or a passing lack of memory.
			a.faults.note("packet", "read", netip.AddrPort{}, err)
			a.pause(time.Millisecond)
			continue
		}
		for i := range n {
			p := a.openPacket(&batch[i])
			if p == nil {
				continue
			}
			select {
			case a.packets <- p:
			case <-a.loopDone:
				return
			}
		}
	}
}

// openPacket copies a packet and decrypts it; it returns nil if there is nothing in it
// for us.
func (a *Agent) openPacket(d *transport.Datagram) *packet {
	a.meter.count("memberlist.udp.received", float64(len(d.Data)))
	p := getPacket(a.freePackets)
	p.addr = d.Addr
	p.data = append(p.data[:0], d.Data...)
	frame := a.frame.Load()
	var key wire.Key
	var err error
	p.msg, key, err = frame.OpenPacketKey(p.open, p.data)
	if err != nil || len(p.msg) == 0 {
		if err == nil {
			err = wire.ErrTruncated
		}
		a.faults.note("packet", wire.Reason(err), d.Addr, err)
		a.freePacket(p)
		return nil
	}
	if key.Valid() {
		p.open = p.msg[:0]
		a.spoken.heard(time.Now(), d.Addr, key, frame.Keys[0])
	}
	return p
}

// pause waits, unless the agent ends.
func (a *Agent) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-a.ctx.Done():
	}
}

// send copies a packet of the machine's into the queue.
func (a *Agent) send(out *swim.Packet) {
	p := getPacket(a.freeSends)
	p.addr, p.crc = out.To, out.CRC
	p.data = append(p.data[:0], out.Data...)
	select {
	case a.sends <- p:
	default:
		a.faults.note("send", "queue-full", netip.AddrPort{}, nil)
		putPacket(a.freeSends, p)
	}
}

// hint tells the machine that a packet to this address was refused.
func (a *Agent) hint(to netip.AddrPort) {
	if a.cfg.Swim.Plain {
		return // Serf does not hear of it
	}
	select {
	case a.sendFailed <- to:
	default: // it is a hint, no more
	}
}
