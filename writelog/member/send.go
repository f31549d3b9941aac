package member

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/ibuki-dev/ibuki/writelog"
)

const (
	// maxQueued bounds what waits to be sent to a member, in messages and bytes. What is
	// more is dropped: Raft sends it again, and so does the gateway that waits for a write.
	maxQueued      = 4096
	maxQueuedBytes = 64 << 20
	// maxBatch is about how many bytes are sent at a time.
	maxBatch = 4 << 20
	// dialTimeout is how long a member may take to answer at all.
	dialTimeout = 500 * time.Millisecond
)

// queued is a message that waits.
type queued struct {
	raft, peer, write []byte
	outcome           *outcome
	snapshot          bool
}

func (q *queued) size() int { return len(q.raft) + len(q.peer) + len(q.write) + q.outcome.size() }

// sender sends to one member, batch after batch on one stream.
type sender struct {
	m    *Member
	id   uint64
	name string

	mu    sync.Mutex
	queue []queued
	bytes int
	more  chan struct{}
	stop  context.CancelFunc

	acked struct{ term, index uint64 } // what Raft's leader was told last to be on the disk; the loop's
}

// senders are those to the other members. The loop makes them.
type senders struct {
	mu   sync.Mutex
	list map[uint64]*sender
}

func (l *senders) add(s *sender) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list[s.id] = s
}

// to is the sender to a member; nil if there is none.
func (l *senders) to(id uint64) *sender {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list[id]
}

// hurry sends what could wait until now: at each tick.
func (l *senders) hurry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.list { // order-free: each by itself
		s.mu.Lock()
		waits := len(s.queue) > 0
		s.mu.Unlock()
		if waits {
			s.hurry()
		}
	}
}

// sender returns the one for a member; nil for one that is none. It is the loop's.
func (m *Member) sender(id uint64) *sender {
	name := m.machine.State().Members[id].Name
	if name == "" { // who has just joined knows those only that it has heard
		m.mu.Lock()
		name = m.heard[id]
		m.mu.Unlock()
	}
	s := m.peers.to(id)
	switch {
	case id == m.id || name == "" && s == nil:
		return nil
	case s != nil && (name == "" || s.name == name):
		return s
	case s != nil:
		s.stop()
	}
	ctx, stop := context.WithCancel(m.ctx)
	s = &sender{m: m, id: id, name: name, more: make(chan struct{}, 1), stop: stop}
	m.peers.add(s)
	m.start(func() { s.run(ctx) })
	return s
}

func (s *sender) push(q queued) {
	s.put(q)
	s.hurry()
}

// put has a message sent with the next one, or at the next tick.
func (s *sender) put(q queued) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := q.size()
	if len(s.queue) < maxQueued && s.bytes+n <= maxQueuedBytes {
		s.queue = append(s.queue, q)
		s.bytes += n
	}
}

// hurry has sent what waits.
func (s *sender) hurry() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// canWait reports whether a message of Raft's tells its receiver nothing that anybody waits for:
// that a heartbeat has come, or once more what is on the disk.
func (s *sender) canWait(msg *raftpb.Message) bool {
	switch msg.GetType() {
	case raftpb.MsgHeartbeatResp:
		return len(msg.GetContext()) == 0
	case raftpb.MsgAppResp:
		known := !msg.GetReject() && s.acked.term == msg.GetTerm() && s.acked.index == msg.GetIndex()
		s.acked.term, s.acked.index = msg.GetTerm(), msg.GetIndex()
		return known
	}
	return false
}

// take returns the next batch.
func (s *sender) take() (r *request, snapshot bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil, false
	}
	id, _ := s.m.store.Identity()
	r = &request{From: s.m.id, Name: s.m.cfg.Name, Cluster: id.Cluster}
	n, size := 0, 0
	for n < len(s.queue) && (n == 0 || size < maxBatch) {
		q := &s.queue[n]
		switch {
		case q.raft != nil:
			r.Raft = append(r.Raft, q.raft)
		case q.peer != nil:
			r.Peer = append(r.Peer, q.peer)
		case q.write != nil:
			r.Writes = append(r.Writes, q.write)
		default:
			r.Outcomes = append(r.Outcomes, q.outcome)
		}
		snapshot = snapshot || q.snapshot
		size += q.size()
		n++
	}
	s.queue = append(s.queue[:0:0], s.queue[n:]...)
	s.bytes -= size
	return r, snapshot
}

// run keeps a stream to the member. When it breaks, another one is tried at once: whether
// that is refused tells that the member's process has ended.
func (s *sender) run(ctx context.Context) {
	for broken := false; ctx.Err() == nil; {
		if !broken {
			select {
			case <-ctx.Done():
				return
			case <-s.more:
			}
		}
		dialling, cancel := context.WithTimeout(ctx, dialTimeout)
		stream, refused, err := s.m.cfg.Transport.Stream(dialling, s.name)
		cancel()
		if ctx.Err() != nil {
			if err == nil {
				stream.Close()
			}
			return
		}
		s.m.reached(s.name, err == nil)
		if err == nil {
			err = s.feed(ctx, stream)
			stream.Close()
			s.m.reached(s.name, false)
			broken = true
		} else {
			broken = false
		}
		_, snapshot := s.take() // what waited is old by now
		s.done(err, refused, snapshot)
	}
}

// errBroken ends a stream.
var errBroken = errors.New("the stream to the gateway is broken")

// feed sends what there is until the stream is broken.
func (s *sender) feed(ctx context.Context, stream Stream) error {
	for {
		for r, snapshot := s.take(); r != nil; r, snapshot = s.take() {
			err := stream.Send(encodeRequest(r))
			if snapshot {
				s.done(err, false, true)
			}
			if err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-stream.Done():
			return errBroken
		case <-s.more:
		}
	}
}

// done tells the machine what became of what was sent.
func (s *sender) done(err error, refused, snapshot bool) {
	if err == nil && !snapshot {
		return
	}
	s.m.do(func(now time.Duration) {
		if s.m.machine == nil {
			return
		}
		if snapshot {
			s.m.machine.SnapshotSent(s.id, err == nil)
		}
		if err == nil {
			return
		}
		s.m.machine.Unreachable(s.id)
		if refused && s.m.machine.Leader() == s.id {
			s.m.machine.LeaderLost(now, s.m.turn())
		}
	})
}

// outcome is how a write ended, as it is sent to the gateway that waits for it.
type outcome struct {
	ID      writelog.WriteID
	Answers []writelog.Answer
	Code    int // of faults; 0 is none
}

func (o *outcome) size() int {
	if o == nil {
		return 0
	}
	n := 64
	for i := range o.Answers {
		n += 32 + len(o.Answers[i].Body)
	}
	return n
}
