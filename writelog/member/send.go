package member

import (
	"context"
	"sync"
	"time"
)

const (
	// maxQueued bounds what waits to be sent to a member, in messages and bytes. What is
	// more is dropped: Raft sends it again.
	maxQueued      = 4096
	maxQueuedBytes = 64 << 20
	// maxBatch is about how many bytes are sent at a time.
	maxBatch = 4 << 20
	// sendTimeout is how long a member may take to take a batch, and longTimeout one of more
	// than longBatch bytes.
	sendTimeout = 500 * time.Millisecond
	longTimeout = 10 * time.Second
	longBatch   = 64 << 10
)

// queued is a message that waits.
type queued struct {
	raft, peer []byte
	snapshot   bool
}

// sender sends to one member, a batch at a time.
type sender struct {
	m    *Member
	id   uint64
	name string

	mu    sync.Mutex
	queue []queued
	bytes int
	more  chan struct{}
	stop  context.CancelFunc
}

// sender returns the one for a member; nil for one that is none. It is the loop's.
func (m *Member) sender(id uint64) *sender {
	name := m.machine.State().Members[id].Name
	if name == "" { // who has just joined knows those only that it has heard
		m.mu.Lock()
		name = m.heard[id]
		m.mu.Unlock()
	}
	s := m.peers[id]
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
	m.peers[id] = s
	m.start(func() { s.run(ctx) })
	return s
}

func (s *sender) push(q queued) {
	s.mu.Lock()
	n := len(q.raft) + len(q.peer)
	if len(s.queue) < maxQueued && s.bytes+n <= maxQueuedBytes {
		s.queue = append(s.queue, q)
		s.bytes += n
	}
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
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
		q := s.queue[n]
		if q.raft != nil {
			r.Raft = append(r.Raft, q.raft)
		} else {
			r.Peer = append(r.Peer, q.peer)
		}
		snapshot = snapshot || q.snapshot
		size += len(q.raft) + len(q.peer)
		n++
	}
	s.queue = append(s.queue[:0:0], s.queue[n:]...)
	s.bytes -= size
	return r, snapshot
}

func (s *sender) run(ctx context.Context) {
	for {
		r, snapshot := s.take()
		if r == nil {
			select {
			case <-ctx.Done():
				return
			case <-s.more:
			}
			continue
		}
		body, limit := encodeRequest(r), sendTimeout
		if len(body) > longBatch {
			limit = longTimeout
		}
		asking, cancel := context.WithTimeout(ctx, limit)
		answer, refused, err := s.m.cfg.Transport.Ask(asking, s.name, body)
		cancel()
		if err == nil {
			_, err = decodeReply(answer)
		}
		if ctx.Err() != nil {
			return
		}
		s.m.reached(s.name, err == nil)
		s.done(err, refused, snapshot)
	}
}

// done tells the machine what became of a batch.
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
