package agent

import (
	crand "crypto/rand"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

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
	buf := make([]byte, maxPacket)
	for {
		n, from, err := a.transport.ReadPacket(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) || a.ctx.Err() != nil {
				return
			}
			// An ICMP error about something we sent, or a passing lack of memory.
			a.faults.note("packet", "read", from, err)
			a.pause(time.Millisecond)
			continue
		}
		a.meter.count("memberlist.udp.received", float64(n))
		p := getPacket(a.freePackets)
		p.addr = from
		p.data = append(p.data[:0], buf[:n]...)
		frame := a.frame.Load()
		var key wire.Key
		p.msg, key, err = frame.OpenPacketKey(p.open, p.data)
		if err != nil || len(p.msg) == 0 {
			if err == nil {
				err = wire.ErrTruncated
			}
			a.faults.note("packet", wire.Reason(err), from, err)
			a.freePacket(p)
			continue
		}
		if key.Valid() {
			p.open = p.msg[:0]
			a.spoken.heard(time.Now(), from, key, frame.Keys[0])
		}
		select {
		case a.packets <- p:
		case <-a.loopDone:
			return
		}
	}
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

// minCompress is the shortest message that compression is tried on, in bytes.
// LZW begins with nine bits a byte and its envelope costs some 15 bytes:
// what is shorter never gets smaller.
const minCompress = 100

// sender turns plain messages into what goes out.
type sender struct {
	frames   *atomic.Pointer[wire.Frame]
	other    wire.Frame // one that seals with another key
	compress bool
	lzw      wire.Compressor
	buf, crc []byte
	out      []byte
	nonce    [wire.NonceSize]byte
}

// plain compresses if that is on and helps.
func (s *sender) plain(msg []byte) []byte {
	if !s.compress || len(msg) < minCompress {
		return msg
	}
	s.buf = s.lzw.Append(s.buf[:0], msg)
	if len(s.buf) < len(msg) {
		return s.buf
	}
	return msg
}

// freshNonce is random; with 96 bits of it and keys that are changed now and
// then no two are the same.
func (s *sender) freshNonce(f *wire.Frame) []byte {
	if len(f.Keys) == 0 {
		return nil
	}
	_, _ = crand.Read(s.nonce[:]) // never fails
	return s.nonce[:]
}

// frame is the one to speak that key in, if it is a valid one.
func (s *sender) frame(key wire.Key) *wire.Frame {
	f := s.frames.Load()
	if !key.Valid() {
		return f
	}
	s.other = f.Speaking(key)
	return &s.other
}

func (s *sender) packet(p *packet, key wire.Key) []byte {
	msg := s.plain(p.data)
	if p.crc {
		s.crc = wire.AppendCRC(s.crc[:0], msg)
		msg = s.crc
	}
	f := s.frame(key)
	s.out = f.SealPacket(s.out[:0], msg, s.freshNonce(f))
	return s.out
}

// stream is a message that opens a stream, reply one that answers on it.
func (s *sender) stream(msg []byte, key wire.Key) []byte {
	f := s.frame(key)
	return f.SealStream(nil, s.plain(msg), s.freshNonce(f))
}

func (s *sender) reply(msg []byte, key wire.Key) []byte {
	f := s.frame(key)
	return f.SealReply(nil, s.plain(msg), s.freshNonce(f))
}

func (a *Agent) newSender() sender {
	return sender{frames: &a.frame, compress: !a.cfg.NoCompression}
}

// writePackets sends until the queue is closed.
func (a *Agent) writePackets() {
	defer close(a.loop.sent)
	s := a.newSender()
	for p := range a.sends {
		key, both := a.spoken.toward(time.Now(), p.addr)
		err := a.writePacket(s.packet(p, key), p.addr)
		if both && err == nil {
			err = a.writePacket(s.packet(p, wire.Key{}), p.addr)
		}
		if err != nil && a.ctx.Err() == nil {
			a.faults.note("send", "failed", netip.AddrPort{}, err)
			select {
			case a.sendFailed <- p.addr:
			default: // a hint, no more
			}
		}
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

func (a *Agent) writePacket(b []byte, to netip.AddrPort) error {
	a.meter.count("memberlist.udp.sent", float64(len(b)))
	return a.transport.WritePacket(b, to)
}
