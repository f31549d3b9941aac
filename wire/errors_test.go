package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// fault is an error, what it has to be, and under what name it is counted.
type fault struct {
	name   string
	err    error
	want   error
	reason string
}

func messageFaults() []fault {
	decode := func(m message, body string) error { return m.Decode([]byte(body), nil) }
	return []fault{
		{"nothing wrong", nil, nil, ""},
		{"empty body", decode(&Ping{}, ""), ErrTruncated, "truncated"},
		{"map of more pairs than bytes", decode(&Ping{}, "\xdf\xff\xff\xff\xff"), ErrTruncated, "truncated"},
		{"string beyond the end", decode(&Ping{}, "\x81\xa4Node\xdb\xff\xff\xff\xff"), ErrTruncated, "truncated"},
		{"empty filter", second(DecodeFilter(nil)), ErrTruncated, "truncated"},
		{"empty ack payload", new(Coordinate).Decode(nil), ErrTruncated, "truncated"},
		{"metadata too long", decode(&Alive{}, "\x81\xa4Meta\xda\x02\x01"+strings.Repeat("m", 513)), ErrLimit, "limit"},
		{"value nested too deep", decode(&Ping{}, "\x81\xa1x"+strings.Repeat("\x91", maxDepth+1)+"\x01"), ErrLimit, "limit"},
		{"too many filters", decode(&Query{}, "\x81\xa7Filters\xdc\x01\x01"+strings.Repeat("\xc0", 257)), ErrLimit, "limit"},
		{"too many members", second(ReadPushPull([]byte("\x81\xa5Nodes\xce\x00\x10\x00\x01"), nil)), ErrLimit, "limit"},
		{"fewer than no members", second(ReadPushPull([]byte("\x81\xa5Nodes\xff"), nil)), ErrLimit, "limit"},
		{"too much state", second(ReadPushPull([]byte("\x81\xacUserStateLen\xce\x01\x40\x00\x01"), nil)), ErrLimit, "limit"},
		{"zone too long", decode(&Relay{}, "\x81\xa8DestAddr\x81\xa4Zone\xda\x00\x41"+strings.Repeat("z", 65)), ErrLimit, "limit"},
		{"unknown filter", second(DecodeFilter([]byte{2, 0x80})), ErrType, "type"},
		{"no map", decode(&Ping{}, "\xa1x"), ErrValue, "value"},
		{"a byte that begins nothing", decode(&Ping{}, "\x81\xa1x\xc1"), ErrValue, "value"},
		{"number for a string", decode(&Ping{}, "\x81\xa4Node\x01"), ErrValue, "value"},
		{"string for a number", decode(&Ping{}, "\x81\xa5SeqNo\xa11"), ErrValue, "value"},
		{"negative number", decode(&Ping{}, "\x81\xa5SeqNo\xff"), ErrValue, "value"},
		{"number too large", decode(&Ping{}, "\x81\xa5SeqNo\xcf\x00\x00\x00\x01\x00\x00\x00\x00"), ErrValue, "value"},
		{"port too large", decode(&Alive{}, "\x81\xa4Port\xce\x00\x01\x00\x00"), ErrValue, "value"},
		{"two for a bool", decode(&Leave{}, "\x81\xa5Prune\x02"), ErrValue, "value"},
		{"map for a list", decode(&KeyResponse{}, "\x81\xa4Keys\x80"), ErrValue, "value"},
		{"empty key", decode(&Ping{}, "\x81\xa0\x01"), ErrValue, "value"},
		{"unknown ack payload", new(Coordinate).Decode([]byte{2, 0x80}), ErrPingVersion, "ping-version"},
	}
}

// faultFrame seals with a key, and other is another one.
func faultFrame(t *testing.T) (sealing Frame, other Key, ping, nonce []byte) {
	sealing = Frame{Keys: []Key{mustKey(t, make([]byte, 16))}, EncryptionVersion: 1, VerifyIncoming: true, VerifyOutgoing: true}
	return sealing, mustKey(t, bytes.Repeat([]byte{1}, 32)), (&Ping{Seq: 1, Node: "b"}).AppendTo(nil), make([]byte, NonceSize)
}

func packetFaults(t *testing.T) []fault {
	sealing, other, ping, nonce := faultFrame(t)
	unpack := func(msg string) error {
		var u Unpacker
		return u.Unpack([]byte(msg), func([]byte) {})
	}
	open := func(f Frame, packet string) error {
		_, err := f.OpenPacket(nil, []byte(packet))
		return err
	}
	return []fault{
		{"empty packet", unpack(""), ErrTruncated, "truncated"},
		{"empty compound", unpack("\x07"), ErrTruncated, "truncated"},
		{"compound without lengths", unpack("\x07\x02\x00\x01"), ErrTruncated, "truncated"},
		{"compound's part beyond the end", unpack("\x07\x01\x00\x09x"), ErrTruncated, "truncated"},
		{"compound's part of no bytes", unpack("\x07\x01\x00\x00"), ErrTruncated, "truncated"},
		{"checksum cut short", unpack("\x0c\x00\x00"), ErrTruncated, "truncated"},
		{"label cut short", open(Frame{}, "\xf4\x09blue"), ErrTruncated, "truncated"},
		{"label's length missing", open(Frame{}, "\xf4"), ErrTruncated, "truncated"},
		{"sealed packet too short", open(sealing, "\x01short"), ErrTruncated, "truncated"},
		{"empty sealed packet", open(sealing, ""), ErrTruncated, "truncated"},
		{"compounds nested too deep", unpack(nested(MaxPacketNesting + 1)), ErrLimit, "limit"},
		{"packet that inflates too far", unpack(string(appendCompressed(nil, make([]byte, MaxInflated+1)))), ErrLimit, "limit"},
		{"unknown type in a packet", unpack("\x20"), ErrType, "type"},
		{"push/pull in a packet", unpack("\x06\x80"), ErrType, "type"},
		{"checksum inside a compound", unpack("\x07\x01\x00\x05\x0c\x00\x00\x00\x00"), ErrType, "type"},
		{"wrong checksum", unpack("\x0c\x00\x00\x00\x00" + string(ping)), ErrCRC, "crc"},
		{"unknown compression", unpack("\x09\x82\xa4Algo\x01\xa3Buf\xa1x"), ErrCompression, "compression"},
		{"not compressed at all", unpack("\x09\x82\xa4Algo\x00\xa3Buf\xa3\xff\xff\xff"), ErrCompression, "compression"},
		{"nothing compressed", unpack("\x09\x82\xa4Algo\x00\xa3Buf\xc0"), ErrCompression, "compression"},
		{"label where none is wanted", open(Frame{}, "\xf4\x04blue"+string(ping)), ErrLabel, "label"},
		{"no label where one is wanted", open(Frame{Label: "blue"}, string(ping)), ErrLabel, "label"},
		{"another label", open(Frame{Label: "blue"}, "\xf4\x03red"+string(ping)), ErrLabel, "label"},
		{"empty label", open(Frame{}, "\xf4\x00"+string(ping)), ErrLabel, "label"},
		{"label behind one that removes them", open(Frame{Label: "blue", SkipInboundLabelCheck: true}, "\xf4\x04blue"+string(ping)), ErrLabel, "label"},
		{"another key", open(Frame{Keys: []Key{other}, VerifyIncoming: true}, string(sealing.SealPacket(nil, ping, nonce))), ErrDecrypt, "decrypt"},
		{"plain packet", open(sealing, "\x02"+strings.Repeat("x", 40)), ErrNotEncrypted, "not-encrypted"},
	}
}

func streamFaults(t *testing.T) []fault {
	sealing, other, ping, nonce := faultFrame(t)
	read := func(f Frame, stream string) error {
		_, err := f.ReadStream(strings.NewReader(stream), nil)
		return err
	}
	return []fault{
		{"stream cut short", read(Frame{}, string(ping[:5])), ErrTruncated, "truncated"},
		{"user message too long", read(Frame{}, "\x08\x81\xaaUserMsgLen\xce\x01\x40\x00\x01"), ErrLimit, "limit"},
		{"sealed stream too long", read(sealing, "\x0a\x01\x40\x00\x01"), ErrLimit, "limit"},
		{"string longer than any stream", read(Frame{}, "\x00\x81\xa1x\xdb\xff\xff\xff\xff"), ErrLimit, "limit"},
		{"compound on a stream", read(Frame{}, "\x07\x00"), ErrType, "type"},
		{"no label on a stream", read(Frame{Label: "blue"}, string(ping)), ErrLabel, "label"},
		{"empty label on a stream", read(Frame{}, "\xf4\x00"), ErrLabel, "label"},
		{"another key's stream", read(Frame{Keys: []Key{other}, VerifyIncoming: true}, string(sealing.SealStream(nil, ping, nonce))), ErrDecrypt, "decrypt"},
		{"plain stream", read(sealing, string(ping)), ErrNotEncrypted, "not-encrypted"},
		{"sealed stream without keys", read(Frame{}, string(sealing.SealStream(nil, ping, nonce))), ErrUnexpectedEncryption, "unexpected-encryption"},
		{"key of 15 bytes", second(NewKey(make([]byte, 15))), ErrKeySize, "key-size"},
		{"stream that never began", read(Frame{}, ""), io.EOF, "eof"},
		{"an error of the reader", second(new(Frame).ReadStream(brokenReader{}, nil)), errBroken, "other"},
	}
}

// Every error, by what causes it and under what name it is counted: the bounds of
// P56, P140 and P143, labels (P131), what is plain or sealed and should not be
// (P134, P135), checksums (P136), compression (P138), nesting (P144).
func TestErrorsAndReasons(t *testing.T) {
	for _, c := range slices.Concat(messageFaults(), packetFaults(t), streamFaults(t)) {
		t.Run(c.name, func(t *testing.T) {
			if !errors.Is(c.err, c.want) {
				t.Fatalf("got %v, want %v", c.err, c.want)
			}
			if got := Reason(c.err); got != c.reason {
				t.Fatalf("counted as %q, want %q", got, c.reason)
			}
			if c.err == nil {
				return
			}
			if got := Reason(fmt.Errorf("from 10.0.0.1: %w", c.err)); got != c.reason {
				t.Fatalf("wrapped, counted as %q, want %q", got, c.reason)
			}
		})
	}
}

// Every error of the package has a reason of its own.
func TestReasonsAreDistinct(t *testing.T) {
	seen := map[string]error{}
	for _, r := range reasons {
		if before := seen[r.text]; before != nil || r.text == "" || r.text == "other" {
			t.Errorf("%v and %v are both counted as %q", before, r.err, r.text)
		}
		seen[r.text] = r.err
		if got := Reason(r.err); got != r.text {
			t.Errorf("%v is counted as %q, not %q", r.err, got, r.text)
		}
	}
}

func second[T any](_ T, err error) error { return err }

var errBroken = errors.New("broken")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

// nested is a ping inside n compounds.
func nested(n int) string {
	msg := (&Ping{}).AppendTo(nil)
	for range n {
		msg = AppendCompound(nil, msg)
	}
	return string(msg)
}

// What is just within a limit is accepted.
func TestAtTheLimit(t *testing.T) {
	for _, m := range []message{
		&Alive{Meta: make([]byte, MetaMax)},
		&Query{Filters: make([][]byte, MaxFilters)},
		&KeyResponse{Keys: make([]string, MaxKeys)},
		&Relay{Dest: netip.AddrPortFrom(v6.Addr().WithZone(strings.Repeat("z", maxZone)), 1)},
		&coordinateMessage{Coordinate{Vec: make([]float64, MaxDimensions)}},
		&SerfState{Status: make([]StatusLTime, MaxStatus), Left: make([]string, MaxStatus), Events: make([]EventsAt, MaxEventSlots)},
		&SerfState{Events: []EventsAt{{Events: make([]StateEvent, MaxStateEvents)}}},
	} {
		if err := m.Decode(m.AppendTo(nil)[1:], nil); err != nil {
			t.Errorf("%T: %v", m, err)
		}
	}
	if f, err := DecodeFilter(AppendNodeFilter(nil, make([]string, MaxFilterNodes))); err != nil || len(f.Nodes) != MaxFilterNodes {
		t.Errorf("filter: %v", err)
	}
	var u Unpacker
	if err := u.Unpack([]byte(nested(MaxPacketNesting)), func([]byte) {}); err != nil {
		t.Errorf("nesting: %v", err)
	}
	full := append((&Ack{}).AppendTo(nil), make([]byte, MaxInflated)...)[:MaxInflated]
	if err := u.Unpack(appendCompressed(nil, full), func([]byte) {}); err != nil {
		t.Errorf("inflating: %v", err)
	}
	if err := new(Ping).Decode([]byte("\x81\xa1x"+strings.Repeat("\x91", maxDepth-1)+"\x01"), nil); err != nil {
		t.Errorf("depth: %v", err)
	}
}
