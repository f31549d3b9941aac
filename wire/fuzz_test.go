package wire

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// agree decodes body both ways. What we accept the peers' library must accept
// too, with the same content, and encode to what we encode.
func agree(t *testing.T, m message, body []byte) {
	if m.Decode(body, nil) != nil {
		return
	}
	first := m.AppendTo(nil)
	again := reflect.New(reflect.TypeOf(m).Elem()).Interface().(message)
	if err := again.Decode(first[1:], nil); err != nil {
		t.Fatalf("%+v encoded cannot be read: %v", m, err)
	}
	if second := again.AppendTo(nil); !bytes.Equal(first, second) {
		t.Fatalf("unstable:\n%q\n%q", first, second)
	}
	if unusual(body) {
		return
	}
	peer := reflect.New(reflect.TypeOf(toPeer(m)).Elem()).Interface()
	rest, err := peerDecode(body, peer)
	if err != nil {
		t.Fatalf("accepted, but the peers' library says %v", err)
	}
	normal(peer)
	want, got := peerEncode(t, nil, peer), peerEncode(t, nil, toPeer(m))
	if !bytes.Equal(want, got) {
		t.Fatalf("read\n     %q\n got %q\nwant %q", body, got, want)
	}
	if s, ok := m.(*SerfState); ok && repeatsNames(s) {
		return
	}
	if r, ok := m.(*Relay); ok {
		if !bytes.Equal(r.Message, rest) {
			t.Fatalf("message in the relay: %q, want %q", r.Message, rest)
		}
		got = append(got, rest...)
	}
	if s, ok := m.(*SerfState); !ok || len(s.Status) < 2 {
		if first = withoutNative(m).AppendTo(nil); !bytes.Equal(first[1:], got) {
			t.Fatalf("encoded\n got %q\nwant %q", first[1:], got)
		}
	}
}

func repeatsNames(s *SerfState) bool {
	seen := map[string]bool{}
	for _, e := range s.Status {
		seen[e.Node] = true
	}
	return len(seen) < len(s.Status)
}

// unusual reports what no peer writes and where its library is not to be
// compared with: a key twice in one map (its values then melt into one another),
// and extensions, of which it insists to understand times.
func unusual(body []byte) bool {
	r := reader{b: body}
	return r.unusual(0)
}

func (r *reader) unusual(depth int) bool {
	t := r.token()
	if depth > 2*maxDepth || r.err != nil {
		return true
	}
	switch t.kind {
	case kindExt:
		return true
	case kindArray:
		for range t.n {
			if r.unusual(depth + 1) {
				return true
			}
		}
	case kindMap:
		seen := map[string]bool{}
		for range t.n {
			start := r.pos
			if r.unusual(depth + 1) {
				return true
			}
			k := reader{b: r.b[start:r.pos]}
			key := string(k.bytes())
			if seen[key] {
				return true
			}
			seen[key] = true
			if r.unusual(depth + 1) {
				return true
			}
		}
	default:
		r.take(t.n)
	}
	return false
}

func fuzzMessage[T any, P interface {
	*T
	message
}](f *testing.F) {
	for _, s := range samples() {
		if _, ok := s.m.(P); ok {
			f.Add(s.m.AppendTo(nil)[1:])
		}
	}
	f.Add([]byte{0xc0})
	f.Add([]byte{0x80})
	f.Add([]byte("\x82\xa5000000\xc00")) // an empty key
	f.Add([]byte{0x93, 1, 0xa1, 'x', 0xa1, 'y'})
	f.Add([]byte("\x82\xa5extra\x92\x81\x01\xd9\x01x\xc0\xa4Node\xc4\x01n"))
	f.Fuzz(func(t *testing.T, body []byte) { agree(t, P(new(T)), body) })
}

func FuzzPing(f *testing.F)             { fuzzMessage[Ping](f) }
func FuzzIndirectPing(f *testing.F)     { fuzzMessage[IndirectPing](f) }
func FuzzAck(f *testing.F)              { fuzzMessage[Ack](f) }
func FuzzNack(f *testing.F)             { fuzzMessage[Nack](f) }
func FuzzErr(f *testing.F)              { fuzzMessage[Err](f) }
func FuzzSuspect(f *testing.F)          { fuzzMessage[Suspect](f) }
func FuzzAlive(f *testing.F)            { fuzzMessage[Alive](f) }
func FuzzDead(f *testing.F)             { fuzzMessage[Dead](f) }
func FuzzJoin(f *testing.F)             { fuzzMessage[Join](f) }
func FuzzLeave(f *testing.F)            { fuzzMessage[Leave](f) }
func FuzzUserEvent(f *testing.F)        { fuzzMessage[UserEvent](f) }
func FuzzQuery(f *testing.F)            { fuzzMessage[Query](f) }
func FuzzQueryResponse(f *testing.F)    { fuzzMessage[QueryResponse](f) }
func FuzzSerfState(f *testing.F)        { fuzzMessage[SerfState](f) }
func FuzzConflictResponse(f *testing.F) { fuzzMessage[ConflictResponse](f) }
func FuzzKeyRequest(f *testing.F)       { fuzzMessage[KeyRequest](f) }
func FuzzKeyResponse(f *testing.F)      { fuzzMessage[KeyResponse](f) }
func FuzzRelay(f *testing.F)            { fuzzMessage[Relay](f) }
func FuzzCoordinate(f *testing.F)       { fuzzMessage[coordinateMessage](f) }

// A push/pull: every member and the state agree with the peers' library.
func FuzzPushPull(f *testing.F) {
	f.Add(samplePushPull()[1:])
	f.Add(AppendPushPullHeader(nil, PushPullHeader{})[1:])
	f.Add(nativePushPull()[1:])
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := ReadPushPull(body, nil)
		if err != nil {
			return
		}
		var h peerHeader
		rest, err := peerDecode(body, &h)
		strange := unusual(body)
		if !strange && (err != nil || h != (peerHeader{p.Header.Nodes, p.Header.UserStateLen, p.Header.Join})) {
			t.Fatalf("header %+v, the peers read %+v, %v", p.Header, h, err)
		}
		skipping := p
		var n PushNodeState
		for {
			ok, err := p.Next(&n)
			if err != nil {
				return
			}
			if !ok {
				break
			}
			strange = strange || unusual(rest)
			if strange {
				continue
			}
			var want peerNode
			if rest, err = peerDecode(rest, &want); err != nil {
				t.Fatalf("accepted %+v, but the peers' library says %v", n, err)
			}
			normal(&want)
			if len(want.Meta) > MetaMax {
				want.Meta, want.State = nil, int(NodeStateUnknown)
			}
			n.Native, n.Verdict = 0, VerdictNone // the peers have no such keys
			if got := AppendPushNodeState(nil, &n); !bytes.Equal(got, peerEncode(t, nil, &want)) {
				t.Fatalf("member %+v, the peers read %+v", n, want)
			}
		}
		state, err := p.UserState()
		if err == nil && !strange && !bytes.HasPrefix(rest, state) {
			t.Fatalf("state %q is not at the beginning of %q", state, rest)
		}
		if s, err2 := skipping.UserState(); (err == nil) != (err2 == nil) || !bytes.Equal(s, state) {
			t.Fatalf("skipping gives %q, %v; reading %q, %v", s, err2, state, err)
		}
	})
}

func samplePushPull() []byte {
	vs := Versions{1, 5, 2, 2, 5, 4}
	state := (&SerfState{LTime: 3, Status: []StatusLTime{{"a", 1}}}).AppendTo(nil)
	msg := AppendPushPullHeader(nil, PushPullHeader{Nodes: 3, UserStateLen: len(state), Join: true})
	msg = AppendPushNodeState(msg, &PushNodeState{Name: "a", Addr: v4, Meta: AppendTags(nil, []Tag{{"k", "v"}}), Incarnation: 1, Versions: vs})
	msg = AppendPushNodeState(msg, &PushNodeState{Name: "b", Addr: v6, Incarnation: 300, State: StateLeft, Versions: vs})
	msg = AppendPushNodeState(msg, &PushNodeState{Name: "c", Addr: v4in6, State: StateDead})
	return append(msg, state...)
}

// nativePushPull is a state in which natives say that they are, in the form that
// they write and in one of another order.
func nativePushPull() []byte {
	member := PushNodeState{Name: "a", Addr: v4, Incarnation: 1, Native: NativeVersion}
	msg := AppendPushPullHeader(nil, PushPullHeader{Nodes: 3, Digest: []byte("digest")})
	msg = AppendPushNodeState(msg, &member)
	msg = append(msg, "\x82\xa4Name\xa1b\xa1N0"...)
	member.State, member.Verdict = StateDead, VerdictCrashed
	return AppendPushNodeState(msg, &member)
}

func FuzzUserStream(f *testing.F) {
	f.Add(AppendUserStream(nil, []byte("hello"))[1:])
	f.Fuzz(func(t *testing.T, body []byte) {
		msg, err := ReadUserStream(body)
		if err != nil || unusual(body) {
			return
		}
		var h peerUserStream
		rest, err := peerDecode(body, &h)
		if err != nil || h.UserMsgLen != len(msg) || !bytes.HasPrefix(rest, msg) {
			t.Fatalf("message %q, the peers read %+v and then %q, %v", msg, h, rest, err)
		}
	})
}

func FuzzTags(f *testing.F) {
	f.Add(AppendTags(nil, []Tag{{"role", "web"}, {"a", ""}}))
	f.Add([]byte("web"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, meta []byte) {
		tags, err := DecodeTags(meta, nil)
		if err != nil {
			return
		}
		want := map[string]string{}
		if len(meta) == 0 || meta[0] != tagMagic {
			want["role"] = string(meta)
		} else if _, err := peerDecode(meta[1:], &want); err != nil {
			t.Fatalf("accepted %v, but the peers' library says %v", tags, err)
		}
		if got := tagsToMap(tags); len(got) != len(want) || len(got) != len(tags) || len(got) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("tags %v, want %v", tags, want)
		}
		if back, err := DecodeTags(AppendTags(nil, tags), nil); err != nil || len(back) != len(tags) || len(tags) > 0 && !reflect.DeepEqual(back, tags) {
			t.Fatalf("tags %v come back as %v, %v", tags, back, err)
		}
	})
}

func FuzzFilter(f *testing.F) {
	f.Add(AppendNodeFilter(nil, []string{"a", "b"}))
	f.Add(AppendTagFilter(nil, "role", "web.*"))
	f.Fuzz(func(t *testing.T, b []byte) {
		flt, err := DecodeFilter(b)
		if err != nil || unusual(b[1:]) {
			return
		}
		switch flt.Type {
		case FilterNode:
			var want []string
			if _, err := peerDecode(b[1:], &want); err != nil || !reflect.DeepEqual(want, flt.Nodes) {
				t.Fatalf("nodes %q, want %q, %v", flt.Nodes, want, err)
			}
		case FilterTag:
			var want peerTagFilter
			if _, err := peerDecode(b[1:], &want); err != nil || want != (peerTagFilter{flt.Tag, flt.Expr}) {
				t.Fatalf("tag %q %q, want %q, %v", flt.Tag, flt.Expr, want, err)
			}
		default:
			t.Fatalf("type %d", flt.Type)
		}
	})
}

// Describe renders anything on one printable line, the same each time.
func FuzzDescribe(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.m.AppendTo(nil))
		f.Add(s.m.AppendTo([]byte{byte(TypeUser)}))
	}
	f.Add(samplePushPull())
	f.Fuzz(func(t *testing.T, msg []byte) {
		s := Describe(msg)
		if s == "" || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Fatalf("not one printable line: %q", s)
		}
		if again := Describe(msg); again != s {
			t.Fatalf("twice different: %q, %q", s, again)
		}
	})
}
