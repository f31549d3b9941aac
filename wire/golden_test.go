package wire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// golden is one packet or one direction of a stream of real nodes. How they
// were taken: interop/capture.
type golden struct {
	file  string
	form  string // "packet", "stream", "reply"
	frame Frame
	bytes []byte
	parts []string // Describe of the plain messages
}

func goldens(t testing.TB) []golden {
	t.Helper()
	dir := filepath.Join("testdata", "golden")
	f, err := os.Open(filepath.Join(dir, "index.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []golden
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if part, ok := strings.CutPrefix(line, "\t"); ok {
			g := &all[len(all)-1]
			g.parts = append(g.parts, part)
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		w := strings.Fields(line)
		g := golden{file: w[0], form: w[1], bytes: readHex(t, filepath.Join(dir, w[0]))}
		g.frame = Frame{VerifyIncoming: true, VerifyOutgoing: true}
		if w[2] != "-" {
			g.frame.Label = w[2]
		}
		if w[3] != "-" {
			b, err := hex.DecodeString(w[3])
			if err != nil {
				t.Fatal(err)
			}
			g.frame.Keys = []Key{mustKey(t, b)}
		}
		all = append(all, g)
	}
	if len(all) < 100 {
		t.Fatalf("only %d golden files", len(all))
	}
	return all
}

func readHex(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

func mustKey(t testing.TB, b []byte) Key {
	t.Helper()
	k, err := NewKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// What real nodes sent is read as the index says, agrees with what their own
// library reads, and is built again to the same bytes, all framing included.
// (P130, P132, P135–P138, P149)
func TestGolden(t *testing.T) {
	rebuilt := 0
	for _, g := range goldens(t) {
		t.Run(g.file, func(t *testing.T) {
			g.checkParts(t)
			msg := g.open(t)
			if again, same := rebuild(t, msg); same {
				rebuilt++
				sealed := g.seal(again)
				if strings.HasPrefix(g.file, "old-") && !bytes.Equal(sealed, g.bytes) {
					// An older library wrote signed numbers as unsigned ones where they
					// are positive. The newer form has to mean the same.
					g.bytes = sealed
					g.checkParts(t)
				} else if !bytes.Equal(sealed, g.bytes) {
					t.Fatalf("built again\n got %x\nwant %x", sealed, g.bytes)
				}
			}
		})
	}
	if rebuilt < 100 {
		t.Fatalf("only %d could be built again", rebuilt)
	}
}

// open removes the outer framing only.
func (g *golden) open(t *testing.T) []byte {
	t.Helper()
	rest := g.bytes
	if g.form != "reply" {
		_, msg, err := splitLabel(g.bytes)
		if err != nil {
			t.Fatal(err)
		}
		rest = msg
	}
	if g.form == "packet" {
		msg, err := g.frame.OpenPacket(nil, g.bytes)
		if err != nil {
			t.Fatal(err)
		}
		return msg
	}
	if len(g.frame.Keys) == 0 {
		return rest
	}
	msg, _, err := g.frame.open(nil, rest[streamHead:], append(bytes.Clone(rest[:streamHead]), g.frame.Label...))
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// seal puts the outer framing around msg with the nonce that was used.
func (g *golden) seal(msg []byte) []byte {
	f := g.frame
	var nonce []byte
	if len(f.Keys) > 0 {
		at := 0
		if f.Label != "" && g.form != "reply" {
			at = 2 + len(f.Label)
		}
		if g.form != "packet" {
			at += streamHead
		}
		f.EncryptionVersion = g.bytes[at]
		nonce = g.bytes[at+1 : at+1+NonceSize]
	}
	switch g.form {
	case "packet":
		return f.SealPacket(nil, msg, nonce)
	case "stream":
		return f.SealStream(nil, msg, nonce)
	default:
		return f.SealReply(nil, msg, nonce)
	}
}

// checkParts reads the whole thing as the driver does.
func (g *golden) checkParts(t *testing.T) {
	t.Helper()
	var got []string
	switch g.form {
	case "packet":
		msg, err := g.frame.OpenPacket(nil, g.bytes)
		if err != nil {
			t.Fatal(err)
		}
		var u Unpacker
		if err := u.Unpack(msg, func(msg []byte) { got = append(got, Describe(msg)) }); err != nil {
			t.Fatal(err)
		}
	case "stream", "reply":
		read := g.frame.ReadStream
		if g.form == "reply" {
			read = g.frame.ReadReply
		}
		msg, err := read(bytes.NewReader(g.bytes), nil)
		if err != nil {
			t.Fatal(err)
		}
		text := Describe(msg)
		if Type(msg[0]) == TypeUser {
			text = "user-stream"
		}
		got = append(got, text)
	}
	if !reflect.DeepEqual(got, g.parts) {
		t.Fatalf("holds\n got %q\nwant %q", got, g.parts)
	}
}

// rebuild takes a message apart and builds it again; same is false if it holds
// something that has more than one right form: empty slots in Serf's event ring.
func rebuild(t *testing.T, msg []byte) (again []byte, same bool) {
	t.Helper()
	body := msg[1:]
	same = true
	switch Type(msg[0]) {
	case TypeHasCRC:
		again, same = rebuild(t, msg[CRCOverhead:])
		return AppendCRC(nil, again), same
	case TypeCompound:
		var c compound
		if err := c.start(body); err != nil {
			t.Fatal(err)
		}
		var parts [][]byte
		for c.next() {
			part, ok := rebuild(t, c.part)
			parts, same = append(parts, part), same && ok
		}
		return AppendCompound(nil, parts...), same && c.err == nil
	case TypeCompress:
		var f inflater
		plain, err := f.appendTo(nil, body, MaxStream)
		if err != nil {
			t.Fatal(err)
		}
		again, same = rebuild(t, plain)
		return appendCompressed(nil, again), same
	case TypePushPull:
		return rebuildPushPull(t, body)
	case TypeUser:
		// On a stream a length precedes it; no Serf message begins like that length's map.
		if len(body) > 0 && body[0] == 0x81 {
			user, err := ReadUserStream(body)
			if err != nil {
				t.Fatal(err)
			}
			return AppendUserStream(nil, user), true
		}
		again, same = rebuildSerf(t, body)
		return append([]byte{byte(TypeUser)}, again...), same
	}
	m := map[Type]message{TypePing: &Ping{}, TypeIndirectPing: &IndirectPing{}, TypeAck: &Ack{}, TypeNack: &Nack{},
		TypeErr: &Err{}, TypeSuspect: &Suspect{}, TypeAlive: &Alive{}, TypeDead: &Dead{}}[Type(msg[0])]
	if m == nil {
		t.Fatalf("message of type %d", msg[0])
	}
	checkPayload(t, m, body)
	return m.AppendTo(nil), true
}

// checkPayload decodes, compares with the peers' library, and looks into what is carried.
func checkPayload(t *testing.T, m message, body []byte) {
	t.Helper()
	agree(t, m, body)
	if err := m.Decode(body, nil); err != nil {
		t.Fatal(err)
	}
	if ack, ok := m.(*Ack); ok && len(ack.Payload) > 0 {
		var c coordinateMessage
		agree(t, &c, ack.Payload[1:])
		if again := c.AppendTo(nil); !bytes.Equal(again, ack.Payload) {
			t.Fatalf("coordinate\n got %x\nwant %x", again, ack.Payload)
		}
	}
	if a, ok := m.(*Alive); ok && len(a.Meta) > 0 && a.Meta[0] == tagMagic {
		tags, err := DecodeTags(a.Meta, nil)
		if again := AppendTags(nil, tags); err != nil || len(again) != len(a.Meta) {
			t.Fatalf("tags %v (%v) in %x, from %x", tags, err, again, a.Meta)
		}
	}
}

func rebuildSerf(t *testing.T, msg []byte) (again []byte, same bool) {
	t.Helper()
	m := map[SerfType]message{SerfLeave: &Leave{}, SerfJoin: &Join{}, SerfPushPull: &SerfState{}, SerfUserEvent: &UserEvent{},
		SerfQuery: &Query{}, SerfQueryResponse: &QueryResponse{}, SerfConflictResponse: &ConflictResponse{},
		SerfKeyRequest: &KeyRequest{}, SerfKeyResponse: &KeyResponse{}, SerfRelay: &Relay{}}[SerfType(msg[0])]
	if m == nil {
		return msg, true // user data of memberlist alone
	}
	checkPayload(t, m, msg[1:])
	switch m := m.(type) {
	case *Query:
		for _, f := range m.Filters {
			checkFilter(t, f)
		}
		if strings.HasPrefix(m.Name, "_serf_") && len(m.Payload) > 1 && m.Payload[0] == byte(SerfKeyRequest) {
			m.Payload, _ = rebuildSerf(t, m.Payload)
		}
	case *QueryResponse:
		if len(m.Payload) > 1 && m.Payload[0] < 10 {
			m.Payload, _ = rebuildSerf(t, m.Payload)
		}
	case *Relay:
		m.Message, _ = rebuildSerf(t, m.Message)
	case *ConflictResponse:
		if m.Name == "" {
			m = nil
			return m.AppendTo(nil), true
		}
	case *SerfState:
		return m.AppendTo(nil), !bytes.Contains(msg, []byte{0xc0, 0xc0})
	}
	return m.AppendTo(nil), true
}

func checkFilter(t *testing.T, b []byte) {
	t.Helper()
	f, err := DecodeFilter(b)
	if err != nil {
		t.Fatal(err)
	}
	again := AppendTagFilter(nil, f.Tag, f.Expr)
	if f.Type == FilterNode {
		again = AppendNodeFilter(nil, f.Nodes)
	}
	if !bytes.Equal(again, b) {
		t.Fatalf("filter\n got %x\nwant %x", again, b)
	}
}

func rebuildPushPull(t *testing.T, body []byte) (again []byte, same bool) {
	t.Helper()
	p, err := ReadPushPull(body, nil)
	if err != nil {
		t.Fatal(err)
	}
	again = AppendPushPullHeader(nil, p.Header)
	var n PushNodeState
	for {
		ok, err := p.Next(&n)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		again = AppendPushNodeState(again, &n)
	}
	state, err := p.UserState()
	if err != nil {
		t.Fatal(err)
	}
	if len(state) > 0 {
		state, same = rebuildSerf(t, state)
	}
	return append(again, state...), same
}
