package agent

import (
	crand "crypto/rand"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ibuki-dev/ibuki/agent/transport"
	"github.com/ibuki-dev/ibuki/wire"
)

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

// appendPacket appends what goes out of p in that key.
func (s *sender) appendPacket(dst []byte, p *packet, key wire.Key) []byte {
	msg := s.plain(p.data)
	if p.crc {
		s.crc = wire.AppendCRC(s.crc[:0], msg)
		msg = s.crc
	}
	f := s.frame(key)
	return f.SealPacket(dst, msg, s.freshNonce(f))
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

// packetWriter sends packets, and those that wait meanwhile together.
type packetWriter struct {
	a      *Agent
	sender sender
	batch  [transport.MaxBatch]transport.Datagram
	n      int // of them
}

// writePackets sends until the queue is closed.
func (a *Agent) writePackets() {
	defer close(a.loop.sent)
	w := packetWriter{a: a, sender: a.newSender()}
	for p := range a.sends {
		w.add(p)
		w.addWaiting()
		w.flush()
	}
}

// addWaiting adds what waits, as long as there is room for a packet in two keys.
func (w *packetWriter) addWaiting() {
	for w.n+2 <= len(w.batch) {
		select {
		case p, ok := <-w.a.sends:
			if !ok {
				return
			}
			w.add(p)
		default:
			return
		}
	}
}

func (w *packetWriter) add(p *packet) {
	key, both := w.a.spoken.keyFor(time.Now(), p.addr)
	w.put(p, key)
	if both {
		w.put(p, wire.Key{})
	}
	putPacket(w.a.freeSends, p)
}

func (w *packetWriter) put(p *packet, key wire.Key) {
	d := &w.batch[w.n]
	d.Addr, d.Data = p.addr, w.sender.appendPacket(d.Data[:0], p, key)
	w.a.meter.count("memberlist.udp.sent", float64(len(d.Data)))
	w.n++
}

func (w *packetWriter) flush() {
	for rest := w.batch[:w.n]; len(rest) > 0; {
		n, err := w.a.transport.WritePackets(rest)
		if rest = rest[n:]; err != nil {
			w.a.unsent(rest[0].Addr, err)
			rest = rest[1:]
		}
	}
	for i := range w.n {
		if d := &w.batch[i]; cap(d.Data) > keepPacket {
			d.Data = nil
		}
	}
	w.n = 0
}

// unsent: a packet could not be sent.
func (a *Agent) unsent(to netip.AddrPort, err error) {
	if a.ctx.Err() != nil {
		return
	}
	a.faults.note("send", "failed", netip.AddrPort{}, err)
	select {
	case a.sendFailed <- to:
	default: // a hint, no more
	}
}
