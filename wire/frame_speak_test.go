package wire

import (
	"bytes"
	"testing"
)

// testKey is a key of n equal bytes.
func testKey(t *testing.T, b byte, n int) Key {
	t.Helper()
	k, err := NewKey(bytes.Repeat([]byte{b}, n))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// P133: the first key seals unless another one of the ring is asked for; what
// comes tells its key.
func TestP133_SpeakingAnotherKey(t *testing.T) {
	first, second, stranger := testKey(t, 1, 16), testKey(t, 2, 24), testKey(t, 3, 32)
	nonce := make([]byte, NonceSize)
	msg := (&Err{Error: "a message"}).AppendTo(nil)
	for _, version := range []uint8{0, 1} {
		for _, label := range []string{"", "east"} {
			f := &Frame{Label: label, Keys: []Key{first, second}, EncryptionVersion: version, VerifyIncoming: true, VerifyOutgoing: true}
			for _, tc := range []struct{ speak, want Key }{{first, first}, {second, second}, {stranger, first}, {Key{}, first}} {
				g := f.Speaking(tc.speak)
				got, key, err := f.OpenPacketKey(nil, g.SealPacket(nil, msg, nonce))
				if err != nil || !bytes.Equal(got, msg) || !key.Equal(tc.want) {
					t.Errorf("packet, version %d, label %q: %v, key %v", version, label, err, key.bytes)
				}
				got, key, err = f.ReadStreamKey(bytes.NewReader(g.SealStream(nil, msg, nonce)), nil)
				if err != nil || !bytes.Equal(got, msg) || !key.Equal(tc.want) {
					t.Errorf("stream, version %d, label %q: %v, key %v", version, label, err, key.bytes)
				}
				// Who knows only that key understands it.
				only := &Frame{Label: label, Keys: []Key{tc.want}, VerifyIncoming: true}
				if _, err := only.ReadReply(bytes.NewReader(g.SealReply(nil, msg, nonce)), nil); err != nil {
					t.Errorf("reply, version %d, label %q: %v", version, label, err)
				}
			}
			if _, _, err := f.OpenPacketKey(nil, (&Frame{Label: label, Keys: []Key{stranger}, VerifyOutgoing: true}).SealPacket(nil, msg, nonce)); err != ErrDecrypt {
				t.Errorf("another key: %v", err)
			}
		}
	}
}

func TestPlainHasNoKey(t *testing.T) {
	msg := (&Err{Error: "a message"}).AppendTo(nil)
	f := &Frame{Keys: []Key{testKey(t, 1, 16)}}
	if got, key, err := f.OpenPacketKey(nil, msg); err != nil || key.Valid() || !bytes.Equal(got, msg) {
		t.Errorf("%v, %v", key.Valid(), err)
	}
	if _, key, err := f.ReadStreamKey(bytes.NewReader(msg), nil); err != nil || key.Valid() {
		t.Errorf("%v, %v", key.Valid(), err)
	}
	g := f.Speaking(f.Keys[0]) // outgoing messages are plain still
	if got := g.SealPacket(nil, msg, nil); !bytes.Equal(got, msg) {
		t.Error("sealed, though VerifyOutgoing is off")
	}
}
