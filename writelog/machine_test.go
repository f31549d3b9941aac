package writelog

import (
	"testing"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// The engine does not look at whom a message is for. What is for the member that a gateway
// was before it lost its log speaks of entries that this one does not have.
func TestAMessageForAnotherMemberIsPassedOver(t *testing.T) {
	storage := raft.NewMemoryStorage()
	if err := storage.ApplySnapshot(Found(7, map[uint64]Member{1: {"a"}, 2: {"b"}}, []uint64{1, 2})); err != nil {
		t.Fatal(err)
	}
	m, err := New(Config{Self: 1, Storage: storage})
	if err != nil {
		t.Fatal(err)
	}
	heartbeat := func(to uint64) *raftpb.Message {
		return &raftpb.Message{
			Type: raftpb.MsgHeartbeat.Enum(), To: proto.Uint64(to), From: proto.Uint64(2), Term: proto.Uint64(2), Commit: proto.Uint64(1),
		}
	}
	m.Step(0, heartbeat(3))
	if m.Leader() != 0 {
		t.Error("a message for another member was taken")
	}
	m.Hear(0, &Message{To: 3, From: 2, Reply: &Reply{}})
	m.Step(0, heartbeat(1))
	if m.Leader() != 2 {
		t.Errorf("leader is %d, want 2", m.Leader())
	}
}

// That a server enters the read set may be proposed and then be committed late, when writes have
// stopped waiting for it: until then none is acknowledged without it.
func TestNoWriteIsAcknowledgedWithoutAServerThatEnters(t *testing.T) {
	storage := raft.NewMemoryStorage()
	if err := storage.ApplySnapshot(Found(7, map[uint64]Member{1: {"a"}}, []uint64{1})); err != nil {
		t.Fatal(err)
	}
	slice := []string{"s1", "s2"}
	m, err := New(Config{Self: 1, Storage: storage, Slices: [][]string{slice}, Reporters: map[string]string{"s1": "a", "s2": "a"}})
	if err != nil {
		t.Fatal(err)
	}
	l := newLead(m, 0)
	m.lead, l.ready = l, true
	m.state.Out["s1"] = 5
	l.member(1).confirmed = 5
	l.server("s2").prefix = 10
	p := &pending{id: WriteID{1, 1, 1}, shares: []Share{{Servers: slice}}, index: 10, first: make([]time.Duration, 1)}
	l.pending[p.id] = p
	for _, entering := range []bool{true, false} {
		l.server("s1").entering = entering
		l.check(m, time.Hour, p)
		if waits := l.pending[p.id] != nil; waits != entering {
			t.Errorf("entering %v: it waits: %v", entering, waits)
		}
	}
}

// What a server answered before it got another database is remembered as an answer, and says no more what it has: else
// a write could be acknowledged with it that only the old one has.
func TestAnswersOfAnEarlierDatabase(t *testing.T) {
	m := &Machine{cfg: Config{Boot: 7}, state: NewState(1, map[uint64]Member{1: {Name: "a"}}), local: make(map[string]*localServer)}
	l := newLead(m, 0)
	report := func() *remote {
		r := m.server("s").report("s", 1, 0)
		l.takeReport(m, 1, &r)
		return l.server("s")
	}
	m.Progress("s", 3, 3, false)
	m.Applied("s", 5, Answer{Body: []byte("said")})
	if r := report(); !r.has(5) || r.has(4) {
		t.Error("an answer says that the entry is applied")
	}
	m.Exchanged("s")
	m.Progress("s", 4, 4, false)
	if r := report(); r.has(5) || !r.has(4) {
		t.Error("an answer of another database says what this one has")
	}
	if len(m.local["s"].kept) != 0 {
		t.Error("a leader to come hears of it")
	}
	m.Progress("s", 5, 4, false)
	report()
	if a, known, got := l.answer(Share{Servers: []string{"s"}}, 5); !known || !got || string(a.Body) != "said" {
		t.Errorf("the client gets %v %v %v", a, known, got)
	}
}
