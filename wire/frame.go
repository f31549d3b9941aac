package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"slices"
)

// NonceSize is the length of a nonce in bytes. Every sealed message needs a fresh one.
const NonceSize = 12

const (
	tagSize   = 16 // of AES-GCM
	blockSize = aes.BlockSize
	// sealHead is the version byte and the nonce.
	sealHead = 1 + NonceSize
	// streamHead is the type byte and the length of a sealed stream message.
	streamHead = 5
	// maxSealVersion is the newest encryption version: 0 pads, 1 does not.
	maxSealVersion = 1
)

// Key is an encryption key made ready for use.
type Key struct {
	aead  cipher.AEAD
	bytes string
}

// NewKey prepares a key of 16, 24 or 32 bytes (AES-128, -192 or -256).
func NewKey(b []byte) (Key, error) {
	block, err := aes.NewCipher(b)
	if err != nil {
		return Key{}, ErrKeySize
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("wire: no GCM for AES: " + err.Error())
	}
	return Key{aead, string(b)}, nil
}

// Bytes returns a copy of the key's bytes.
func (k Key) Bytes() []byte { return []byte(k.bytes) }

// String does not show the key.
func (k Key) String() string { return "key" }

// GoString does not show the key.
func (k Key) GoString() string { return "wire.Key" }

// Equal reports whether both are the same key.
func (k Key) Equal(other Key) bool { return k.bytes == other.bytes }

// Valid reports whether k is a key at all: the zero Key stands for none.
func (k Key) Valid() bool { return k.aead != nil }

// Frame is the outer framing that one node puts around packets and streams
// and expects on them.
type Frame struct {
	// Label keeps clusters apart; at most LabelMax bytes, empty for none.
	Label string
	// Keys are the keys that open; the first one also seals. Empty: no encryption.
	Keys []Key
	// EncryptionVersion is 0 (memberlist protocol 1) or 1, for what is sealed.
	// Both are opened.
	EncryptionVersion uint8
	// VerifyIncoming refuses what is not sealed, VerifyOutgoing seals. Without
	// them a cluster can change over to encryption while it runs.
	VerifyIncoming, VerifyOutgoing bool
	// SkipInboundLabelCheck: something in front of this node has checked and removed the label.
	SkipInboundLabelCheck bool

	sealer int // which of Keys seals; see Speaking
}

// Speaking returns a frame that seals with key, if that is one of f's keys, and
// is like f otherwise: for a peer that does not know the first key.
func (f *Frame) Speaking(key Key) Frame {
	g := *f
	g.sealer = max(0, slices.IndexFunc(f.Keys, key.Equal))
	return g
}

func (f *Frame) seals() bool { return len(f.Keys) > 0 && f.VerifyOutgoing }

// Overhead returns how many bytes SealPacket adds to a message at most.
func (f *Frame) Overhead() int {
	n := 0
	if f.Label != "" {
		n = 2 + len(f.Label)
	}
	if f.seals() {
		n += sealHead + tagSize
		if f.EncryptionVersion == 0 {
			n += blockSize
		}
	}
	return n
}

// SealPacket appends msg as a packet: label, and encryption if the frame has keys
// and seals what goes out. nonce is NonceSize bytes, never used before with this
// key; nil if nothing is sealed.
func (f *Frame) SealPacket(dst, msg, nonce []byte) []byte {
	dst = slices.Grow(dst, f.Overhead()+len(msg))
	start := len(dst)
	dst = f.appendLabel(dst)
	if !f.seals() {
		return append(dst, msg...)
	}
	// The label is authenticated too; it has just been written.
	return f.seal(dst, msg, nonce, dst[min(start+2, len(dst)):])
}

func (f *Frame) appendLabel(dst []byte) []byte {
	if f.Label == "" {
		return dst
	}
	if len(f.Label) > LabelMax {
		panic("wire: label is too long")
	}
	return append(append(dst, byte(TypeLabel), byte(len(f.Label))), f.Label...)
}

// seal appends the version byte, the nonce and the ciphertext with its tag.
func (f *Frame) seal(dst, msg, nonce, authenticated []byte) []byte {
	if len(nonce) != NonceSize {
		panic("wire: nonce of a wrong length")
	}
	aead := f.Keys[f.sealer].aead
	dst = append(append(dst, f.EncryptionVersion), nonce...)
	if f.EncryptionVersion != 0 {
		return aead.Seal(dst, nonce, msg, authenticated)
	}
	start := len(dst)
	dst = append(dst, msg...)
	pad := blockSize - len(msg)%blockSize
	for range pad {
		dst = append(dst, byte(pad))
	}
	return aead.Seal(dst[:start], nonce, dst[start:], authenticated)
}

// OpenPacket removes the label after a check and decrypts. The message is in dst's memory if it
// was sealed, and part of packet if not; dst and packet must not overlap.
// Where plain packets are also accepted, one that no key opens is taken for plain,
// as memberlist does; what it holds is then judged by Unpack.
func (f *Frame) OpenPacket(dst, packet []byte) (msg []byte, err error) {
	msg, _, err = f.OpenPacketKey(dst, packet)
	return msg, err
}

// OpenPacketKey is OpenPacket, and tells the key that the packet was sealed with;
// not a valid one if it was not.
func (f *Frame) OpenPacketKey(dst, packet []byte) (msg []byte, key Key, err error) {
	label, sealed, err := splitLabel(packet)
	if err != nil {
		return nil, Key{}, err
	}
	if !f.accepts(label) {
		return nil, Key{}, ErrLabel
	}
	if len(f.Keys) == 0 {
		return sealed, Key{}, nil
	}
	if f.SkipInboundLabelCheck {
		label = []byte(f.Label)
	}
	msg, key, err = f.open(dst[:0], sealed, label)
	if err != nil && !f.VerifyIncoming {
		return sealed, Key{}, nil
	}
	return msg, key, err
}

// accepts reports whether label may be on what comes in. Behind something that
// removes labels, a second one is not ours.
func (f *Frame) accepts(label []byte) bool {
	if f.SkipInboundLabelCheck {
		return len(label) == 0
	}
	return string(label) == f.Label
}

func splitLabel(packet []byte) (label, rest []byte, err error) {
	if len(packet) == 0 || Type(packet[0]) != TypeLabel {
		return nil, packet, nil
	}
	if len(packet) < 2 {
		return nil, nil, ErrTruncated
	}
	n := int(packet[1])
	if n == 0 {
		return nil, nil, ErrLabel
	}
	if len(packet) < 2+n {
		return nil, nil, ErrTruncated
	}
	return packet[2 : 2+n], packet[2+n:], nil
}

// open decrypts into dst's memory, trying every key, and tells which it was.
func (f *Frame) open(dst, sealed, authenticated []byte) ([]byte, Key, error) {
	if len(sealed) == 0 {
		return nil, Key{}, ErrTruncated
	}
	version := sealed[0]
	if version > maxSealVersion {
		return nil, Key{}, ErrNotEncrypted
	}
	least := sealHead + tagSize
	if version == 0 {
		least += blockSize
	}
	if len(sealed) < least {
		return nil, Key{}, ErrTruncated
	}
	nonce, data := sealed[1:sealHead], sealed[sealHead:]
	for i := range f.Keys {
		plain, err := f.Keys[i].aead.Open(dst[:0], nonce, data, authenticated)
		if err != nil {
			continue
		}
		if version == 0 {
			plain, err = unpad(plain)
		}
		return plain, f.Keys[i], err
	}
	return nil, Key{}, ErrDecrypt
}

// unpad removes the padding of version 0: 1 to 16 bytes, each saying how many.
func unpad(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, ErrDecrypt
	}
	pad := int(b[len(b)-1])
	if pad == 0 || pad > blockSize || pad > len(b) {
		return nil, ErrDecrypt
	}
	for _, c := range b[len(b)-pad:] {
		if int(c) != pad {
			return nil, ErrDecrypt
		}
	}
	return b[:len(b)-pad], nil
}

// SealStream appends msg as the first message of a stream that this node
// has opened: label, and encryption as for SealPacket.
func (f *Frame) SealStream(dst, msg, nonce []byte) []byte {
	return f.SealReply(f.appendLabel(dst), msg, nonce)
}

// SealReply appends msg as the answer on a stream that another node has opened. It
// has no label before it; if sealed, the label is authenticated all the same.
func (f *Frame) SealReply(dst, msg, nonce []byte) []byte {
	if !f.seals() {
		return append(dst, msg...)
	}
	n := sealHead + len(msg) + tagSize
	if f.EncryptionVersion == 0 {
		n += blockSize - len(msg)%blockSize
	}
	var head [streamHead + LabelMax]byte
	head[0] = byte(TypeEncrypt)
	binary.BigEndian.PutUint32(head[1:], uint32(n))
	authenticated := append(head[:streamHead], f.Label...)
	dst = slices.Grow(dst, streamHead+n)
	return f.seal(append(dst, head[:streamHead]...), msg, nonce, authenticated)
}
