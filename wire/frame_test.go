package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// frames are all kinds of outer framing.
func frames(t testing.TB) []Frame {
	t.Helper()
	var all []Frame
	for _, label := range []string{"", "blue", string(bytes.Repeat([]byte("l"), LabelMax))} {
		all = append(all, Frame{Label: label})
		for _, size := range []int{16, 24, 32} {
			for version := range uint8(2) {
				all = append(all, Frame{Label: label, EncryptionVersion: version, VerifyIncoming: true, VerifyOutgoing: true,
					Keys: []Key{mustKey(t, bytes.Repeat([]byte{9}, size)), mustKey(t, make([]byte, 16))}})
			}
		}
	}
	return all
}

// What is sealed opens to what it was, within the overhead promised, also with a
// key that is no longer the first, and on no other frame. (P130–P133)
func TestSealAndOpen(t *testing.T) {
	nonce := []byte("nonce, used.")
	all := frames(t)
	for i := range all {
		f := &all[i]
		t.Run(fmt.Sprintf("%d", i), func(t *testing.T) {
			for _, n := range []int{1, 2, 15, 16, 17, 1000} {
				msg := append((&Ping{}).AppendTo(nil), make([]byte, n)...)
				packet := f.SealPacket([]byte("x"), msg, nonce)[1:]
				if extra := len(packet) - len(msg); extra > f.Overhead() {
					t.Fatalf("%d bytes more, promised at most %d", extra, f.Overhead())
				}
				turned := *f
				if len(f.Keys) > 1 {
					turned.Keys = []Key{f.Keys[1], f.Keys[0]}
				}
				for _, g := range []*Frame{f, &turned} {
					got, err := g.OpenPacket(make([]byte, 5, 2000), packet)
					if err != nil || !bytes.Equal(got, msg) {
						t.Fatalf("opened to %q, %v", got, err)
					}
				}
				if f.Label != "" {
					other := *f
					other.Label = "red"
					if _, err := other.OpenPacket(nil, packet); Reason(err) != "label" {
						t.Fatalf("another label: %v", err)
					}
				}
			}
		})
	}
}

// No way of printing a frame shows its keys.
func TestKeysAreNotPrinted(t *testing.T) {
	f := Frame{Keys: []Key{mustKey(t, []byte("secretsecretsecr"))}}
	for _, s := range []string{fmt.Sprint(f), fmt.Sprintf("%+v", f), fmt.Sprintf("%#v", f), fmt.Sprint(f.Keys[0])} {
		if strings.Contains(s, "secret") {
			t.Errorf("printed %q", s)
		}
	}
	if string(f.Keys[0].Bytes()) != "secretsecretsecr" || !f.Keys[0].Equal(f.Keys[0]) || f.Keys[0].Equal(mustKey(t, make([]byte, 16))) {
		t.Error("not the key that was given")
	}
}

// A changed bit anywhere in a sealed packet is noticed.
func TestTamperedPacket(t *testing.T) {
	f := Frame{Label: "blue", Keys: []Key{mustKey(t, make([]byte, 32))}, EncryptionVersion: 1, VerifyIncoming: true, VerifyOutgoing: true}
	packet := f.SealPacket(nil, (&Ping{Node: "b"}).AppendTo(nil), make([]byte, NonceSize))
	for i := range packet {
		bad := bytes.Clone(packet)
		bad[i] ^= 4
		if msg, err := f.OpenPacket(nil, bad); err == nil {
			t.Fatalf("byte %d changed, opened to %q", i, msg)
		}
	}
}

// While a cluster changes over to encryption, plain packets and sealed ones are
// read side by side, and so are streams. (P134; what is refused is in the table of errors)
func TestChangeOver(t *testing.T) {
	key := mustKey(t, make([]byte, 16))
	sealing := Frame{Keys: []Key{key}, EncryptionVersion: 1, VerifyOutgoing: true, VerifyIncoming: true}
	lenient := Frame{Keys: []Key{key}, EncryptionVersion: 1}
	msg := (&Ping{Seq: 1, Node: "a longer name, so that it could be sealed"}).AppendTo(nil)
	nonce := make([]byte, NonceSize)
	for name, packet := range map[string][]byte{"sealed": sealing.SealPacket(nil, msg, nonce), "plain": lenient.SealPacket(nil, msg, nil)} {
		if got, err := lenient.OpenPacket(nil, packet); err != nil || !bytes.Equal(got, msg) {
			t.Errorf("%s packet: %q, %v", name, got, err)
		}
	}
	for name, stream := range map[string][]byte{"sealed": sealing.SealStream(nil, msg, nonce), "plain": lenient.SealStream(nil, msg, nil)} {
		if got, err := lenient.ReadStream(bytes.NewReader(stream), nil); err != nil || !bytes.Equal(got, msg) {
			t.Errorf("%s stream: %q, %v", name, got, err)
		}
	}
}

// Behind something that has removed the label, the label is still authenticated.
func TestSkipInboundLabelCheck(t *testing.T) {
	f := Frame{Label: "blue", Keys: []Key{mustKey(t, make([]byte, 16))}, EncryptionVersion: 1, VerifyIncoming: true, VerifyOutgoing: true}
	behind := f
	behind.SkipInboundLabelCheck = true
	msg, nonce := (&Ping{}).AppendTo(nil), make([]byte, NonceSize)
	if got, err := behind.OpenPacket(nil, f.SealPacket(nil, msg, nonce)[2+4:]); err != nil || !bytes.Equal(got, msg) {
		t.Fatalf("packet: %q, %v", got, err)
	}
	if got, err := behind.ReadStream(bytes.NewReader(f.SealStream(nil, msg, nonce)[2+4:]), nil); err != nil || !bytes.Equal(got, msg) {
		t.Fatalf("stream: %q, %v", got, err)
	}
}

func streamMessages() map[string][]byte {
	state := bytes.Repeat([]byte("state"), 3000)
	pp := AppendPushPullHeader(nil, PushPullHeader{Nodes: 100, UserStateLen: len(state)})
	for i := range 100 {
		pp = AppendPushNodeState(pp, &PushNodeState{Name: fmt.Sprint("node", i), Addr: v4, Meta: make([]byte, 400)})
	}
	return map[string][]byte{
		"ping":        (&Ping{Seq: 1, Node: "b"}).AppendTo(nil),
		"ack":         (&Ack{Seq: 1, Payload: make([]byte, 200)}).AppendTo(nil),
		"err":         (&Err{Error: "no"}).AppendTo(nil),
		"push/pull":   append(pp, state...),
		"no members":  AppendPushPullHeader(nil, PushPullHeader{}),
		"user":        AppendUserStream(nil, bytes.Repeat([]byte("u"), 70000)),
		"empty user":  AppendUserStream(nil, nil),
		"big headers": AppendUserStream(nil, bytes.Repeat([]byte("u"), 300)),
	}
}

// A stream's message is read whole, plain or sealed or compressed, however it
// trickles in, and not a byte beyond its end. (P130, P135)
func TestReadStream(t *testing.T) {
	all := frames(t)
	for name, msg := range streamMessages() {
		for i := range all {
			f := &all[i]
			for _, packed := range [][]byte{msg, appendCompressed(nil, msg)} {
				for _, reply := range []bool{false, true} {
					seal, read := f.SealStream, f.ReadStream
					if reply {
						seal, read = f.SealReply, f.ReadReply
					}
					stream := append(seal(nil, packed, make([]byte, NonceSize)), "more"...)
					r := bytes.NewReader(stream)
					got, err := read(r, make([]byte, 0, 10))
					if err != nil || !bytes.Equal(got, msg) {
						t.Fatalf("%s, frame %d: %d bytes of %d, %v", name, i, len(got), len(msg), err)
					}
					if r.Len() != len("more") {
						t.Fatalf("%s, frame %d: %d bytes left", name, i, r.Len())
					}
				}
			}
		}
		f := &all[0]
		got, err := f.ReadStream(iotest.OneByteReader(bytes.NewReader(f.SealStream(nil, msg, nil))), nil)
		if err != nil || !bytes.Equal(got, msg) {
			t.Fatalf("%s byte by byte: %d bytes of %d, %v", name, len(got), len(msg), err)
		}
	}
}

// A stream that ends anywhere before its end is truncated, and one that does not
// begin is only an end.
func TestReadStreamCutShort(t *testing.T) {
	f := Frame{Label: "blue"}
	for name, msg := range streamMessages() {
		stream := f.SealStream(nil, msg, nil)
		for n := 0; n < len(stream); n += max(1, min(n, len(stream)-n)/20) {
			want := "truncated"
			if n == 0 {
				want = "eof"
			}
			if _, err := f.ReadStream(bytes.NewReader(stream[:n]), nil); Reason(err) != want {
				t.Fatalf("%s cut to %d of %d bytes: %v", name, n, len(stream), err)
			}
		}
	}
}

// A header that promises the most that is allowed costs next to nothing until
// the bytes come. (P144)
func TestReadStreamMemory(t *testing.T) {
	sealing := Frame{Keys: []Key{mustKey(t, make([]byte, 16))}}
	for name, c := range map[string]struct {
		f    Frame
		head []byte
	}{
		"push/pull": {Frame{}, AppendPushPullHeader(nil, PushPullHeader{Nodes: MaxNodes, UserStateLen: MaxUserState})},
		"state":     {Frame{}, AppendPushPullHeader(nil, PushPullHeader{UserStateLen: MaxUserState})},
		"user":      {Frame{}, AppendUserStream(nil, make([]byte, MaxUserMessage))[:18]},
		"string":    {Frame{}, []byte("\x00\x81\xa1x\xdb\x02\x00\x00\x00")},
		"elements":  {Frame{}, []byte("\x00\x81\xa1x\xdd\xff\xff\xff\xff")},
		"sealed":    {sealing, []byte{byte(TypeEncrypt), 1, 0x40, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			stream := append(bytes.Clone(c.head), make([]byte, 10000)...)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := c.f.ReadStream(bytes.NewReader(stream), nil)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatal("accepted")
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 16*uint64(len(stream)) {
				t.Fatalf("%d bytes allocated for %d received (%v)", used, len(stream), err)
			}
		})
	}
}

// The largest message that a real node may send is read.
func TestReadStreamLargest(t *testing.T) {
	var f Frame
	msg := AppendPushPullHeader(nil, PushPullHeader{UserStateLen: MaxUserState})
	msg = append(msg, make([]byte, MaxUserState)...)
	got, err := f.ReadStream(bytes.NewReader(msg), nil)
	if err != nil || len(got) != len(msg) {
		t.Fatalf("%d bytes of %d, %v", len(got), len(msg), err)
	}
	p, err := ReadPushPull(got[1:], nil)
	if err != nil {
		t.Fatal(err)
	}
	if state, err := p.UserState(); err != nil || len(state) != MaxUserState {
		t.Fatalf("%d bytes of state, %v", len(state), err)
	}
}

// What may be inflated is bounded to the byte, and nothing near the bound on
// streams is refused. (P138)
func TestInflateLimit(t *testing.T) {
	var in inflater
	for n, want := range map[int]string{999: "", 1000: "", 1001: "limit", 100000: "limit"} {
		if _, err := in.appendTo([]byte("before"), appendCompressed(nil, make([]byte, n))[1:], 1000); Reason(err) != want {
			t.Errorf("%d bytes where 1000 are allowed: %v", n, err)
		}
	}
	if testing.Short() {
		t.Skip("short: not inflating 40 MiB")
	}
	var f Frame
	if _, err := f.ReadStream(bytes.NewReader(appendCompressed(nil, make([]byte, MaxStream+1))), nil); !errors.Is(err, ErrLimit) {
		t.Fatalf("one byte more than may be inflated: %v", err)
	}
}

func FuzzOpenPacket(f *testing.F) {
	all := frames(f)
	for i := range all {
		f.Add(byte(i), all[i].SealPacket(nil, (&Ping{}).AppendTo(nil), make([]byte, NonceSize)))
	}
	for _, g := range goldens(f) {
		f.Add(byte(0), g.bytes)
	}
	f.Fuzz(func(t *testing.T, which byte, packet []byte) {
		frame := all[int(which)%len(all)]
		before := bytes.Clone(packet)
		for _, frame.VerifyIncoming = range []bool{true, false} {
			for _, frame.SkipInboundLabelCheck = range []bool{false, true} {
				msg, err := frame.OpenPacket(nil, packet)
				if err == nil && len(msg) > len(packet) {
					t.Fatalf("%d bytes opened to %d", len(packet), len(msg))
				}
			}
		}
		if !bytes.Equal(packet, before) {
			t.Fatal("the packet was changed")
		}
	})
}

// FuzzReadStream: never a panic, never more memory than what came justifies, and the
// same result whether the bytes come at once or one at a time.
func FuzzReadStream(f *testing.F) {
	all := frames(f)
	for _, msg := range streamMessages() {
		f.Add(byte(0), msg[:min(len(msg), 5000)])
		f.Add(byte(0), appendCompressed(nil, msg))
		f.Add(byte(3), all[3].SealStream(nil, msg, make([]byte, NonceSize)))
	}
	for _, g := range goldens(f) {
		if g.form != "packet" {
			f.Add(byte(0), g.bytes)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, stream []byte) {
		frame := all[int(which)%len(all)]
		frame.VerifyIncoming = which < 128
		msg, err := frame.ReadStream(bytes.NewReader(stream), nil)
		slow, err2 := frame.ReadStream(iotest.OneByteReader(bytes.NewReader(stream)), nil)
		if !bytes.Equal(msg, slow) || err != err2 {
			t.Fatalf("at once %q, %v; slowly %q, %v", msg, err, slow, err2)
		}
		if err == nil && len(msg) == 0 {
			t.Fatal("an empty message")
		}
		if err == nil && bytes.HasPrefix(stream, msg) {
			checkWhole(t, msg)
		}
		if _, err := frame.ReadReply(bytes.NewReader(stream), nil); errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal("not an error of this package")
		}
	})
}

// checkWhole checks that what was found to be the end of a message is its end.
func checkWhole(t *testing.T, msg []byte) {
	t.Helper()
	switch Type(msg[0]) {
	case TypePing:
		if err := new(Ping).Decode(msg[1:], nil); errors.Is(err, ErrTruncated) {
			t.Fatalf("a ping that is not whole: %q", msg)
		}
	case TypePushPull:
		p, err := ReadPushPull(msg[1:], nil)
		if err == nil {
			_, err = p.UserState()
		}
		if err != nil {
			t.Fatalf("a push/pull that is not whole: %q, %v", msg, err)
		}
	case TypeUser:
		if _, err := ReadUserStream(msg[1:]); err != nil {
			t.Fatalf("a user message that is not whole: %q, %v", msg, err)
		}
	}
}
