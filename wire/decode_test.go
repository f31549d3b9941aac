package wire

import (
	"reflect"
	"testing"
)

// All forms that a peer may choose for the same ping are read alike. (P139)
func TestDecodeIsLenient(t *testing.T) {
	want := Ping{Seq: 7, Node: "b"}
	for name, body := range map[string]string{
		"as we write it":     "\x82\xa4Node\xa1b\xa5SeqNo\x07",
		"other order":        "\x82\xa5SeqNo\x07\xa4Node\xa1b",
		"wide heads":         "\xdf\x00\x00\x00\x02\xda\x00\x04Node\xdb\x00\x00\x00\x01b\xa5SeqNo\xce\x00\x00\x00\x07",
		"map 16, str8, bin8": "\xde\x00\x02\xd9\x04Node\xc4\x01b\xa5SeqNo\xcc\x07",
		"bin16, int8":        "\x82\xa4Node\xc5\x00\x01b\xa5SeqNo\xd0\x07",
		"bin32, int16":       "\x82\xa4Node\xc6\x00\x00\x00\x01b\xa5SeqNo\xd1\x00\x07",
		"int32":              "\x82\xa4Node\xa1b\xa5SeqNo\xd2\x00\x00\x00\x07",
		"int64":              "\x82\xa4Node\xa1b\xa5SeqNo\xd3\x00\x00\x00\x00\x00\x00\x00\x07",
		"uint16":             "\x82\xa4Node\xa1b\xa5SeqNo\xcd\x00\x07",
		"uint64":             "\x82\xa4Node\xa1b\xa5SeqNo\xcf\x00\x00\x00\x00\x00\x00\x00\x07",
		"nil for the rest":   "\x85\xa4Node\xa1b\xaaSourceAddr\xc0\xaaSourceNode\xc0\xaaSourcePort\xc0\xa5SeqNo\x07",
		"unknown keys":       "\x84\xa1x\x92\x81\xa1y\xc7\x02\x05ab\xca\x00\x00\x00\x00\xa4Node\xa1b\xa1z\xd8\x00" + "0123456789abcdef" + "\xa5SeqNo\x07",
		"an array":           "\x92\x07\xa1b",
		"a longer array":     "\xdc\x00\x07\x07\xa1b\xc0\xc0\xc0\x91\x01\x80",
		"bytes as an array":  "\x82\xa4Node\x91\x62\xa5SeqNo\x07",
		"something after it": "\x82\xa4Node\xa1b\xa5SeqNo\x07\xc1\xc1",
		"a key twice":        "\x83\xa4Node\xa1b\xa5SeqNo\x09\xa5SeqNo\x07",
	} {
		t.Run(name, func(t *testing.T) {
			m := Ping{Seq: 1, Node: "old", SourceNode: "old", Source: v4}
			if err := m.Decode([]byte(body), nil); err != nil || m != want {
				t.Fatalf("got %+v, %v", m, err)
			}
			if name == "bytes as an array" || name == "something after it" {
				return
			}
			var p peerPing
			if _, err := peerDecode([]byte(body), &p); err != nil || p.SeqNo != 7 || p.Node != "b" {
				t.Fatalf("the peers' library reads %+v, %v", p, err)
			}
		})
	}
}

// Nil or nothing for a whole message is a message of zero values, even into a
// message that was used before.
func TestDecodeOverwrites(t *testing.T) {
	for _, s := range samples() {
		for _, body := range []string{"\xc0", "\x80", "\x90"} {
			m := reflect.New(reflect.TypeOf(s.m).Elem()).Interface().(message)
			if err := m.Decode(s.m.AppendTo(nil)[1:], nil); err != nil {
				t.Fatal(err)
			}
			if err := m.Decode([]byte(body), nil); err != nil {
				t.Fatalf("%T: %v", m, err)
			}
			empty := reflect.New(reflect.TypeOf(s.m).Elem()).Interface().(message)
			if got, want := string(m.AppendTo(nil)), string(empty.AppendTo(nil)); got != want {
				t.Fatalf("%T from %q: left %q, want %q", m, body, got, want)
			}
		}
	}
}

// A failed decoding of a list does not show what was there before.
func TestSerfStateSlicesAreUsedAgain(t *testing.T) {
	var m SerfState
	if err := m.Decode(bigState(50).AppendTo(nil)[1:], nil); err != nil {
		t.Fatal(err)
	}
	small := &SerfState{Status: []StatusLTime{{"x", 1}}, Events: []EventsAt{{LTime: 4}, {LTime: 5, Events: []StateEvent{{Name: "e"}}}}}
	if err := m.Decode(small.AppendTo(nil)[1:], nil); err != nil {
		t.Fatal(err)
	}
	if len(m.Status) != 1 || len(m.Left) != 0 || len(m.Events) != 2 || len(m.Events[0].Events) != 0 || m.Events[1].Events[0].Name != "e" {
		t.Fatalf("got %+v", m)
	}
}

func TestSerfStateLimits(t *testing.T) {
	slots := appendArray([]byte("\x81\xa6Events"), MaxEventSlots+1)
	var events []byte
	for range 5 {
		events = append(append(events, "\x81\xa6Events"...), appendArray(nil, MaxStateEvents/4)...)
		for range MaxStateEvents / 4 {
			events = append(events, 0xc0)
		}
	}
	left := appendArray([]byte("\x81\xabLeftMembers"), MaxStatus+1)
	status := appendMap([]byte("\x81\xacStatusLTimes"), MaxStatus+1)
	for name, body := range map[string][]byte{
		"slots":  append(slots, make([]byte, MaxEventSlots+1)...),
		"events": append([]byte("\x81\xa6Events\x95"), events...),
		"left":   append(left, make([]byte, MaxStatus+1)...),
		"status": append(status, make([]byte, 2*MaxStatus+2)...),
	} {
		var m SerfState
		if err := m.Decode(body, nil); Reason(err) != "limit" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMetadata(t *testing.T) {
	for _, c := range []struct {
		meta string
		want []Tag
		err  string
	}{
		{"", []Tag{{"role", ""}}, ""},
		{"web", []Tag{{"role", "web"}}, ""},
		{"\xff\x80", []Tag{}, ""},
		{"\xff\xc0", nil, ""},
		{"\xff\x82\xa1b\xa12\xa1a\xa11", []Tag{{"a", "1"}, {"b", "2"}}, ""},
		{"\xff\x82\xa1a\xa11\xa1a\xa12", []Tag{{"a", "2"}}, ""},
		{"\xff\x81\xa1a\xc0", []Tag{{"a", ""}}, ""},
		{"\xff\x82\xa1a\xa11\xa1b", []Tag{{"a", "1"}}, "truncated"},
		{"\xff\x82\xa1a\xa11\xa1b\x01", []Tag{{"a", "1"}}, "value"},
		{"\xff", nil, "truncated"},
	} {
		got, err := DecodeTags([]byte(c.meta), nil)
		if Reason(err) != c.err || len(got) != len(c.want) || len(got) > 0 && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %v, %v", c.meta, got, err)
		}
	}
	tags := []Tag{{"zone", "n"}, {"role", "web"}}
	if a, b := AppendTags(nil, tags), AppendTags(nil, []Tag{tags[1], tags[0]}); string(a) != string(b) {
		t.Errorf("equal tags differ: %q, %q", a, b)
	}
	if tags[0].Key != "zone" {
		t.Error("the caller's tags were sorted")
	}
	if got := string(AppendRole(nil, tags)); got != "web" {
		t.Errorf("role %q", got)
	}
	if got := AppendRole(nil, nil); len(got) != 0 {
		t.Errorf("role %q of no tags", got)
	}
}

// A node that does not know the name answers with nil, as Serf does.
func TestConflictResponseOfNobody(t *testing.T) {
	var nobody *ConflictResponse
	b := nobody.AppendTo(nil)
	if string(b) != "\x06\xc0" {
		t.Fatalf("got %q", b)
	}
	got := ConflictResponse{Name: "old"}
	if err := got.Decode(b[1:], nil); err != nil || got.Name != "" || got.Addr.IsValid() {
		t.Fatalf("got %+v, %v", got, err)
	}
}

// P143
func TestUserStream(t *testing.T) {
	for _, msg := range []string{"", "x", long} {
		got, err := ReadUserStream(AppendUserStream(nil, []byte(msg))[1:])
		if err != nil || string(got) != msg {
			t.Errorf("%d bytes came back as %q, %v", len(msg), got, err)
		}
	}
	if _, err := ReadUserStream(AppendUserStream(nil, []byte("cut"))[1:15]); Reason(err) != "truncated" {
		t.Errorf("cut short: %v", err)
	}
}

func TestPushPullShortOfMembers(t *testing.T) {
	msg := samplePushPull()
	if _, err := ReadPushPull(msg[1:40], nil); Reason(err) != "truncated" {
		t.Errorf("less than one byte a member: %v", err)
	}
	p, err := ReadPushPull(msg[1:120], nil)
	if err != nil {
		t.Fatal(err)
	}
	var n PushNodeState
	read := 0
	for ok := true; ok; {
		if ok, err = p.Next(&n); ok {
			read++
		}
	}
	if read == 3 || Reason(err) != "truncated" {
		t.Errorf("read %d members, %v", read, err)
	}
	if _, again := p.Next(&n); again != err {
		t.Errorf("the error does not stay: %v", again)
	}
	if _, err := p.UserState(); Reason(err) != "truncated" {
		t.Errorf("state: %v", err)
	}
}

// A member with too much metadata is marked, and costs the others nothing.
func TestPushPullOversizeMetadata(t *testing.T) {
	msg := AppendPushPullHeader(nil, PushPullHeader{Nodes: 3})
	for i, meta := range []int{MetaMax, MetaMax + 1, 0} {
		msg = AppendPushNodeState(msg, &PushNodeState{Name: string(rune('a' + i)), Meta: make([]byte, meta), State: StateLeft})
	}
	p, err := ReadPushPull(msg[1:], nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []PushNodeState{
		{Name: "a", Meta: make([]byte, MetaMax), State: StateLeft},
		{Name: "b", State: NodeStateUnknown},
		{Name: "c", Meta: []byte{}, State: StateLeft},
	} {
		var n PushNodeState
		if ok, err := p.Next(&n); !ok || err != nil || !reflect.DeepEqual(n, want) {
			t.Fatalf("got %+v, %v, %v", n, ok, err)
		}
	}
}
