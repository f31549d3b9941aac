package writelog

import (
	"encoding/binary"
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
	if err := storage.ApplySnapshot(Found(7, map[uint64]Member{1: {"a"}, 2: {"b"}}, []uint64{1, 2}, nil)); err != nil {
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
	if err := storage.ApplySnapshot(Found(7, map[uint64]Member{1: {"a"}}, []uint64{1}, nil)); err != nil {
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

// Writes are acknowledged without a server that has left the read set as soon as everybody knows it who may answer
// searches. So who asked for a lease before the server left, and does not know it yet, gets none.
func TestNoLeaseForWhoReadsFromAServerThatLeft(t *testing.T) {
	m := &Machine{cfg: Config{Self: 1, Lease: DefaultLease}, state: NewState(1, map[uint64]Member{1: {Name: "a"}, 2: {Name: "b"}}), local: make(map[string]*localServer)}
	m.holder.init(DefaultLease)
	l := newLead(m, 0)
	const now = time.Hour
	for confirmed, want := range map[uint64]bool{4: false, 5: true} { // order-free: each by itself
		m.out, l.members = Output{}, make(map[uint64]*follower)
		m.state.Out["s1"] = 5
		f := l.member(2)
		f.seq, f.confirmed, f.until = 3, confirmed, 0
		l.inRound = map[uint64]uint64{2: 3}
		l.round(m, now, raft.ReadState{RequestCtx: binary.AppendUvarint(nil, l.rounds)})
		if granted := len(m.out.Peer) > 0; granted != want || f.until > now != want {
			t.Errorf("it knows the read set as of entry %d: granted %v, until %v", confirmed, granted, f.until)
		}
	}
}

// Whether a write was executed is looked up when it is applied: when it was proposed, what came before it was not
// known yet. So it may be in the log several times, late, or after the process that sent it has ended.
func TestAWriteIsExecutedOnce(t *testing.T) {
	s := NewState(1, map[uint64]Member{1: {Name: "a"}})
	write := func(boot, number, floor uint64) *Entry {
		return &Entry{Op: OpWrite, ID: WriteID{1, boot, number}, Floor: floor}
	}
	requested := func(number uint64) *Entry {
		e := write(8, number, 1)
		e.Request = "r"
		return e
	}
	for i, c := range []struct {
		e    *Entry
		want Verdict
		of   uint64
	}{
		{write(7, 1, 1), Dropped, 0}, // before its process is known
		{&Entry{Op: OpOpen, ID: WriteID{1, 7, 0}}, 0, 0},
		{write(7, 1, 1), Execute, 3},
		{write(7, 1, 1), Duplicate, 3},
		{write(7, 3, 3), Execute, 5}, // 1 and 2 are over
		{write(7, 2, 2), Dropped, 0},
		{write(7, 1, 1), Dropped, 0},
		{&Entry{Op: OpOpen, ID: WriteID{1, 8, 0}}, 0, 0},
		{write(7, 4, 3), Dropped, 0},                     // of a process that has ended
		{&Entry{Op: OpOpen, ID: WriteID{1, 7, 0}}, 0, 0}, // late: it ends nothing
		{requested(1), Execute, 11},
		{requested(2), Duplicate, 11}, // sent again by its client
		{&Entry{Op: OpFloor, ID: WriteID{1, 8, 0}, Floor: 9}, 0, 0},
		{write(8, 8, 1), Dropped, 0}, // given up
	} {
		if v, of := s.apply(uint64(i+1), c.e); v != c.want || of != c.of {
			t.Errorf("entry %d: %d of %d, want %d of %d", i+1, v, of, c.want, c.of)
		}
	}
}
