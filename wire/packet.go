package wire

import (
	"encoding/binary"
	"hash/crc32"
)

// What a compound adds to its parts in bytes: CompoundHeaderOverhead once and
// CompoundPartOverhead for each part. CRCOverhead is what a checksum adds.
const (
	CompoundHeaderOverhead = 2
	CompoundPartOverhead   = 2
	CRCOverhead            = 5
)

// AppendCompound appends the parts as one compound message. There may be at most
// MaxCompoundParts, each of at most MaxPartSize bytes; more is a bug of the caller.
func AppendCompound(dst []byte, parts ...[]byte) []byte {
	if len(parts) > MaxCompoundParts {
		panic("wire: compound of too many parts")
	}
	dst = append(dst, byte(TypeCompound), byte(len(parts)))
	for _, p := range parts {
		if len(p) > MaxPartSize {
			panic("wire: compound of too long a part")
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(p)))
	}
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

// AppendCRC appends msg behind its checksum. Only members that understand memberlist
// protocol 5 can read that, and only around a whole packet.
func AppendCRC(dst, msg []byte) []byte {
	dst = append(dst, byte(TypeHasCRC))
	dst = binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(msg))
	return append(dst, msg...)
}

// Unpacker takes packets apart. It keeps its memory from one to the next; the zero
// value is ready.
type Unpacker struct {
	inflate *inflater // made when it is first needed: it is large
	buf     []byte    // what was inflated from this packet
	room    int       // how much more may be
	err     error     // the first
}

// Unpack calls each for every plain message in a packet that Frame.OpenPacket
// has opened: the checksum verified, compounds split, compressed parts inflated.
// What is damaged is left out, the rest is delivered; the first error is returned.
// The messages are those a packet may carry, at least their type byte long. They
// alias msg or memory that is u's until the next call.
func (u *Unpacker) Unpack(msg []byte, each func(msg []byte)) error {
	u.buf, u.room, u.err = u.buf[:0], MaxInflated, nil
	if len(msg) > 0 && Type(msg[0]) == TypeHasCRC {
		switch {
		case len(msg) < CRCOverhead:
			return ErrTruncated
		case crc32.ChecksumIEEE(msg[CRCOverhead:]) != binary.BigEndian.Uint32(msg[1:]):
			return ErrCRC
		}
		msg = msg[CRCOverhead:]
	}
	u.one(msg, each, 0)
	return u.err
}

func (u *Unpacker) fail(err error) {
	if u.err == nil {
		u.err = err
	}
}

func (u *Unpacker) one(msg []byte, each func(msg []byte), depth int) {
	if len(msg) == 0 {
		u.fail(ErrTruncated)
		return
	}
	switch Type(msg[0]) {
	case TypePing, TypeIndirectPing, TypeAck, TypeNack, TypeSuspect, TypeAlive, TypeDead, TypeUser:
		each(msg)
	case TypeCompound, TypeCompress:
		if depth == MaxPacketNesting {
			u.fail(ErrLimit)
			return
		}
		if Type(msg[0]) == TypeCompound {
			u.compound(msg[1:], each, depth+1)
		} else {
			u.compressed(msg[1:], each, depth+1)
		}
	default:
		u.fail(ErrType)
	}
}

// compound splits. Where the bytes end early, the parts before are good.
func (u *Unpacker) compound(body []byte, each func(msg []byte), depth int) {
	var c compound
	if err := c.start(body); err != nil {
		u.fail(err)
		return
	}
	for c.next() {
		u.one(c.part, each, depth)
	}
	if c.err != nil {
		u.fail(c.err)
	}
}

// compound walks over the parts of a compound message.
type compound struct {
	lengths []byte // of the parts still to come
	rest    []byte
	part    []byte
	err     error
}

func (c *compound) start(body []byte) error {
	if len(body) == 0 || len(body)-1 < 2*int(body[0]) {
		return ErrTruncated
	}
	n := 1 + 2*int(body[0])
	c.lengths, c.rest = body[1:n], body[n:]
	return nil
}

func (c *compound) next() bool {
	if len(c.lengths) == 0 {
		return false
	}
	n := int(binary.BigEndian.Uint16(c.lengths))
	if n > len(c.rest) {
		c.err = ErrTruncated
		return false
	}
	c.part, c.rest, c.lengths = c.rest[:n:n], c.rest[n:], c.lengths[2:]
	return true
}

func (u *Unpacker) compressed(body []byte, each func(msg []byte), depth int) {
	if u.inflate == nil {
		u.inflate = new(inflater)
	}
	start := len(u.buf)
	buf, err := u.inflate.appendTo(u.buf, body, u.room)
	if err != nil {
		u.fail(err)
		if len(buf) > len(u.buf) {
			u.room = 0 // a second such part would cost as much again
		}
		return
	}
	u.buf = buf
	u.room -= len(buf) - start
	u.one(buf[start:len(buf):len(buf)], each, depth)
}
