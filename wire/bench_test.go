package wire

import (
	"fmt"
	"reflect"
	"testing"
)

// names is an Interner that knows some names.
type names map[string]string

func (n names) Intern(b []byte) string {
	if s, ok := n[string(b)]; ok {
		return s
	}
	return string(b)
}

func knownNames(n int) names {
	known := names{}
	for _, s := range []string{"a", "b", "c", "node-a", "my-event"} {
		known[s] = s
	}
	for i := range n {
		s := fmt.Sprintf("node-%d", i)
		known[s] = s
	}
	return known
}

// usual are the messages of a quiet cluster and a busy one, as they are there.
func usual() []message {
	vs := Versions{1, 5, 2, 2, 5, 5}
	coordinate := (&Coordinate{Vec: make([]float64, 8), Error: 1.5}).AppendTo(nil)
	meta := AppendTags(nil, []Tag{{"role", "web"}, {"zone", "north"}})
	return []message{
		&Ping{Seq: 70000, Node: "node-a", Source: v4, SourceNode: "b"},
		&IndirectPing{Seq: 9, Target: v4, Node: "node-a", Nack: true, Source: v4, SourceNode: "b"},
		&Ack{Seq: 70000, Payload: coordinate},
		&Nack{Seq: 9},
		&Suspect{Incarnation: 4, Node: "node-a", From: "b"},
		&Alive{Incarnation: 5, Node: "node-a", Addr: v4, Meta: meta, Versions: vs},
		&Dead{Incarnation: 5, Node: "node-a", From: "b"},
		&Join{LTime: 6, Node: "node-a"},
		&Leave{LTime: 7, Node: "node-a"},
		&UserEvent{LTime: 8, Name: "my-event", Payload: make([]byte, 100), Coalesce: true},
		&Query{LTime: 9, ID: 1 << 30, Source: v4, SourceNode: "node-a", Flags: QueryFlagAck, Timeout: 1e9, Name: "my-event",
			Payload: make([]byte, 20), Filters: [][]byte{AppendNodeFilter(nil, []string{"a"})}},
		&QueryResponse{LTime: 9, ID: 1 << 30, From: "node-a", Payload: make([]byte, 100)},
		&Relay{Dest: v4, DestName: "node-a", Message: make([]byte, 100)},
		&KeyRequest{Key: make([]byte, 32)},
		&coordinatePayload{Coordinate: Coordinate{Vec: make([]float64, 8), Error: 1.5}},
		bigState(100),
	}
}

// coordinatePayload is a Coordinate with its version byte counted as the type.
type coordinatePayload struct {
	Coordinate
	payload []byte
}

func (m *coordinatePayload) Decode(body []byte, _ Interner) error {
	m.payload = append(append(m.payload[:0], PingPayloadVersion), body...)
	return m.Coordinate.Decode(m.payload)
}

func bigState(n int) *SerfState {
	s := &SerfState{LTime: 5, Left: []string{"a"}}
	for i := range n {
		s.Status = append(s.Status, StatusLTime{fmt.Sprintf("node-%d", i), LTime(i)})
	}
	for i := range 20 {
		s.Events = append(s.Events, EventsAt{LTime(i), []StateEvent{{"my-event", []byte("data")}}})
	}
	return s
}

func bigPushPull(n int) []byte {
	state := bigState(n).AppendTo(nil)
	msg := AppendPushPullHeader(nil, PushPullHeader{Nodes: n, UserStateLen: len(state)})
	meta := AppendTags(nil, []Tag{{"role", "web"}})
	for i := range n {
		msg = AppendPushNodeState(msg, &PushNodeState{Name: fmt.Sprintf("node-%d", i), Addr: v4, Meta: meta,
			Incarnation: uint32(i), Versions: Versions{1, 5, 2, 2, 5, 5}})
	}
	return append(msg, state...)
}

// Encoding into a buffer and decoding what known members send allocates nothing.
func TestSteadyStateAllocations(t *testing.T) {
	known := knownNames(100)
	check := func(name string, f func()) {
		t.Helper()
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	buf := make([]byte, 0, 1<<16)
	for _, m := range usual() {
		check(fmt.Sprintf("encode %T", m), func() { buf = m.AppendTo(buf[:0]) })
		body := m.AppendTo(nil)[1:]
		into := reflect.New(reflect.TypeOf(m).Elem()).Interface().(message)
		check(fmt.Sprintf("decode %T", m), func() {
			if err := into.Decode(body, known); err != nil {
				t.Fatal(err)
			}
		})
	}
	pp := bigPushPull(100)
	check("push/pull", func() { readAll(t, pp, known) })

	parts := gossip()
	var scratch [3][]byte
	copy(scratch[:], parts)
	check("compound", func() { buf = AppendCompound(buf[:0], scratch[:]...) })
	plain := AppendCompound(nil, parts...)
	check("checksum", func() { buf = AppendCRC(buf[:0], plain) })
	var c Compressor
	check("compress", func() { buf = c.Append(buf[:0], plain) })
	var u Unpacker
	packed, count := AppendCRC(nil, appendCompressed(nil, plain)), 0
	each := func([]byte) { count++ }
	check("unpack", func() {
		if err := u.Unpack(packed, each); err != nil {
			t.Fatal(err)
		}
	})
	all := frames(t)
	nonce, out := make([]byte, NonceSize), make([]byte, 0, 1<<16)
	for i := range all {
		f := &all[i]
		check(fmt.Sprintf("seal, frame %d", i), func() { buf = f.SealPacket(buf[:0], packed, nonce) })
		check(fmt.Sprintf("open, frame %d", i), func() {
			msg, err := f.OpenPacket(out, buf)
			if err != nil || len(msg) != len(packed) {
				t.Fatal(len(msg), err)
			}
		})
	}
}

func readAll(t testing.TB, msg []byte, in Interner) {
	p, err := ReadPushPull(msg[1:], in)
	var n PushNodeState
	for ok := err == nil; ok; {
		ok, err = p.Next(&n)
	}
	if err == nil {
		_, err = p.UserState()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// gossip is what one packet of a probe carries: a ping with two broadcasts.
func gossip() [][]byte {
	m := usual()
	return [][]byte{m[0].AppendTo(nil), m[5].AppendTo(nil), m[9].AppendTo([]byte{byte(TypeUser)})}
}

func BenchmarkEncode(b *testing.B) {
	for _, m := range usual() {
		b.Run(reflect.TypeOf(m).Elem().Name(), func(b *testing.B) {
			buf := m.AppendTo(nil)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf = m.AppendTo(buf[:0])
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	known := knownNames(100)
	for _, m := range usual() {
		b.Run(reflect.TypeOf(m).Elem().Name(), func(b *testing.B) {
			body := m.AppendTo(nil)[1:]
			into := reflect.New(reflect.TypeOf(m).Elem()).Interface().(message)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := into.Decode(body, known); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPushPullRead(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			msg, known := bigPushPull(n), knownNames(n)
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				readAll(b, msg, known)
			}
		})
	}
}

// BenchmarkPacket is one gossip packet out and in, with all the framing a cluster may have.
func BenchmarkPacket(b *testing.B) {
	parts, nonce := gossip(), make([]byte, NonceSize)
	key := mustKey(b, make([]byte, 32))
	for _, v := range []struct {
		name     string
		f        Frame
		compress bool
	}{
		{"plain", Frame{}, false},
		{"compressed", Frame{}, true},
		{"sealed", Frame{Label: "blue", Keys: []Key{key}, EncryptionVersion: 1, VerifyIncoming: true, VerifyOutgoing: true}, false},
	} {
		var c Compressor
		plain, packed, crc, packet := []byte(nil), []byte(nil), []byte(nil), []byte(nil)
		out := func() {
			plain = AppendCompound(plain[:0], parts...)
			if v.compress {
				packed = c.Append(packed[:0], plain)
			} else {
				packed = plain
			}
			crc = AppendCRC(crc[:0], packed)
			packet = v.f.SealPacket(packet[:0], crc, nonce)
		}
		b.Run("out-"+v.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				out()
			}
		})
		out()
		b.Run("in-"+v.name, func(b *testing.B) {
			var u Unpacker
			dst, count := make([]byte, 0, 2000), 0
			each := func([]byte) { count++ }
			b.ReportAllocs()
			for b.Loop() {
				msg, err := v.f.OpenPacket(dst, packet)
				if err == nil {
					err = u.Unpack(msg, each)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
