package wire

import (
	"reflect"
	"testing"
)

// The native keys come back as they were written, and the peers' library reads
// the same message as if they were not there. (P190)
func TestP190_NativeKeys(t *testing.T) {
	for _, m := range []message{
		&Ping{Seq: 7, Node: "b", Source: v4, SourceNode: "a", Native: 1, Link: true},
		&Ping{Seq: 7, Node: "b", Native: 200},
		&Ack{Seq: 7, Payload: []byte("x"), Native: 1},
		&Ack{Seq: 7, Native: 1, Wait: 90},
		&Suspect{Incarnation: 1, Node: "b", From: "a", Verdict: VerdictHung},
		&Dead{Incarnation: 1, Node: "b", From: "a", Verdict: VerdictCrashed},
		&Alive{Incarnation: 1, Node: "b", Addr: v4, Meta: []byte{1}, Versions: Versions{1, 5, 2, 2, 5, 5}, Native: 1},
	} {
		body := m.AppendTo(nil)[1:]
		back := reflect.New(reflect.TypeOf(m).Elem()).Interface().(message)
		if err := back.Decode(body, nil); err != nil || !reflect.DeepEqual(back, m) {
			t.Errorf("%+v comes back as %+v, %v", m, back, err)
		}
		peer := reflect.New(reflect.TypeOf(toPeer(m)).Elem()).Interface()
		if _, err := peerDecode(body, peer); err != nil {
			t.Errorf("%+v: the peers' library says %v", m, err)
		}
		if want := toPeer(withoutNative(m)); !reflect.DeepEqual(peer, want) {
			t.Errorf("%+v: the peers' library reads %+v, want %+v", m, peer, want)
		}
	}
	n := PushNodeState{Name: "b", Addr: v4, Incarnation: 3, State: StateDead, Native: 1, Verdict: VerdictSilent}
	b := AppendPushNodeState(AppendPushPullHeader(nil, PushPullHeader{Nodes: 1}), &n)
	pp, err := ReadPushPull(b[1:], nil)
	var got PushNodeState
	if ok, err2 := pp.Next(&got); err != nil || err2 != nil || !ok || got.Native != 1 || got.Verdict != VerdictSilent || got.Name != "b" {
		t.Errorf("%+v comes back as %+v, %v, %v", n, got, err, err2)
	}
}

// Whatever else somebody keeps under our keys means nothing, and the message
// is read all the same. (P139, P190)
func TestNativeKeysOfOthers(t *testing.T) {
	for _, v := range []string{"\xa1x", "\xc0", "\xcd\x01\x00", "\xff", "\x92\x01\x02", "\xcb00000000", "\xd0\x80"} {
		var p Ping
		if err := p.Decode([]byte("\x83\xa1N"+v+"\xa1L"+v+"\xa5SeqNo\x07"), nil); err != nil || p.Seq != 7 || p.Native != 0 {
			t.Errorf("%q: %+v, %v", v, p, err)
		}
		var s Suspect
		if err := s.Decode([]byte("\x82\xa1E"+v+"\xa4Node\xa1b"), nil); err != nil || s.Node != "b" || s.Verdict != VerdictNone {
			t.Errorf("%q: %+v, %v", v, s, err)
		}
	}
	var s Suspect
	if err := s.Decode([]byte("\x82\xa1E\x09\xa4Node\xa1b"), nil); err != nil || s.Verdict != VerdictNone {
		t.Errorf("an unknown verdict: %+v, %v", s, err)
	}
}
