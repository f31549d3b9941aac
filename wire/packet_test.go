package wire

import (
	"bytes"
	"reflect"
	"testing"
)

func unpackAll(t testing.TB, u *Unpacker, msg []byte) (parts []string, err error) {
	t.Helper()
	err = u.Unpack(msg, func(m []byte) { parts = append(parts, string(m)) })
	return parts, err
}

// appendCompressed is Compressor.Append without state to keep.
func appendCompressed(dst, msg []byte) []byte {
	var c Compressor
	return c.Append(dst, msg)
}

// Whatever is inside what, the plain messages come out in their order. (P130, P137)
func TestUnpackNesting(t *testing.T) {
	a, b, c := (&Ping{Node: "a"}).AppendTo(nil), (&Nack{Seq: 2}).AppendTo(nil), (&Ack{Seq: 3}).AppendTo(nil)
	zip := func(m []byte) []byte { return appendCompressed(nil, m) }
	all := []string{string(a), string(b), string(c)}
	for name, msg := range map[string][]byte{
		"compound":                        AppendCompound(nil, a, b, c),
		"checksum":                        AppendCRC(nil, AppendCompound(nil, a, b, c)),
		"compressed":                      zip(AppendCompound(nil, a, b, c)),
		"checksum of compressed":          AppendCRC(nil, zip(AppendCompound(nil, a, b, c))),
		"compressed parts":                AppendCompound(nil, zip(a), zip(b), zip(c)),
		"compressed parts, the end plain": AppendCompound(nil, zip(AppendCompound(nil, a, b)), c),
		"a compound in a compound":        AppendCompound(nil, a, AppendCompound(nil, b, c)),
		"compressed twice":                zip(zip(AppendCompound(nil, a, b, c))),
	} {
		t.Run(name, func(t *testing.T) {
			var u Unpacker
			for range 2 { // the second time with used memory
				got, err := unpackAll(t, &u, msg)
				if err != nil || !reflect.DeepEqual(got, all) {
					t.Fatalf("got %q, %v", got, err)
				}
			}
		})
	}
}

// A damaged part does not cost the others, and the first error is the one
// reported. (P137, P145)
func TestUnpackDeliversTheRest(t *testing.T) {
	a, b := (&Ping{Node: "a"}).AppendTo(nil), (&Nack{Seq: 2}).AppendTo(nil)
	var u Unpacker
	got, err := unpackAll(t, &u, AppendCompound(nil, a, []byte{99}, appendCompressed(nil, nil)[:4], b))
	if Reason(err) != "type" || !reflect.DeepEqual(got, []string{string(a), string(b)}) {
		t.Fatalf("got %q, %v", got, err)
	}
	cut := AppendCompound(nil, a, b)
	got, err = unpackAll(t, &u, cut[:len(cut)-1])
	if Reason(err) != "truncated" || !reflect.DeepEqual(got, []string{string(a)}) {
		t.Fatalf("cut: got %q, %v", got, err)
	}
}

// Messages of one packet stay valid until the next, whatever is inflated after them.
func TestUnpackedMessagesStay(t *testing.T) {
	var parts [][]byte
	for i := range 200 {
		parts = append(parts, appendCompressed(nil, (&UserEvent{LTime: LTime(i), Payload: bytes.Repeat([]byte{byte(i)}, 100)}).AppendTo([]byte{byte(TypeUser)})))
	}
	var got [][]byte
	var u Unpacker
	if err := u.Unpack(AppendCompound(nil, parts...), func(m []byte) { got = append(got, m) }); err != nil {
		t.Fatal(err)
	}
	for i, m := range got {
		var e UserEvent
		if err := e.Decode(m[2:], nil); err != nil || e.LTime != LTime(i) || e.Payload[99] != byte(i) {
			t.Fatalf("message %d became %+v, %v", i, e, err)
		}
	}
}

// All that one packet inflates to is bounded together, and so is what is spent on
// parts that come to nothing. (P144)
func TestInflatedTogether(t *testing.T) {
	bomb := appendCompressed(nil, make([]byte, MaxInflated/2+1))
	ok := (&Nack{Seq: 1}).AppendTo(nil)
	var u Unpacker
	got, err := unpackAll(t, &u, AppendCompound(nil, bomb, bomb, bomb, bomb, ok))
	if len(got) != 2 || Reason(err) != "limit" { // the first of the four, and the last part
		t.Fatalf("got %d messages, %v", len(got), err)
	}
	if cap(u.buf) > 4*MaxInflated {
		t.Fatalf("%d bytes of memory for %d", cap(u.buf), MaxInflated)
	}
}

func TestCompoundTooLarge(t *testing.T) {
	for name, parts := range map[string][][]byte{
		"parts": make([][]byte, MaxCompoundParts+1),
		"bytes": {make([]byte, MaxPartSize+1)},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("too many %s: no panic", name)
				}
			}()
			AppendCompound(nil, parts...)
		}()
	}
	AppendCompound(nil, make([][]byte, MaxCompoundParts)...)
}

// FuzzUnpack: never a panic, each delivered message is one a packet may carry,
// and the same input gives the same output with used memory.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte(nested(3)))
	f.Add(AppendCRC(nil, appendCompressed(nil, []byte(nested(2)))))
	f.Add(AppendCompound(nil, (&Ping{}).AppendTo(nil), appendCompressed(nil, (&Ack{}).AppendTo(nil))))
	for _, g := range goldens(f) {
		if msg, err := g.frame.OpenPacket(nil, g.bytes); err == nil && g.form == "packet" {
			f.Add(msg)
		}
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		var u Unpacker
		first, err := unpackAll(t, &u, msg)
		for _, m := range first {
			if m == "" || Type(m[0]) > TypeNack || Type(m[0]) == TypeCompound || Type(m[0]) == TypeCompress {
				t.Fatalf("delivered %q", m)
			}
		}
		again, err2 := unpackAll(t, &u, msg)
		if !reflect.DeepEqual(first, again) || err != err2 {
			t.Fatalf("again: %q, %v instead of %q, %v", again, err2, first, err)
		}
		if len(u.buf) > MaxInflated+512 {
			t.Fatalf("inflated to %d bytes", len(u.buf))
		}
	})
}

// FuzzCompound: what is split is what was joined.
func FuzzCompound(f *testing.F) {
	f.Add([]byte("\x02\x00\x01\x00\x02abb"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var c compound
		if c.start(body) != nil {
			return
		}
		var parts [][]byte
		for c.next() {
			parts = append(parts, c.part)
		}
		if joined := AppendCompound(nil, parts...); c.err == nil && !bytes.HasPrefix(body, joined[1:]) {
			t.Fatalf("%q joined is %q", parts, joined)
		}
	})
}

// FuzzCompress: what is compressed inflates to what it was.
func FuzzCompress(f *testing.F) {
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaaa"))
	f.Add([]byte{})
	var c Compressor
	var in inflater
	f.Fuzz(func(t *testing.T, msg []byte) {
		packed := c.Append(nil, msg)
		back, err := in.appendTo([]byte("x"), packed[1:], len(msg))
		if err != nil || !bytes.Equal(back[1:], msg) {
			t.Fatalf("%q came back as %q, %v", msg, back, err)
		}
	})
}
