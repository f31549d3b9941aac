package dashboard

import (
	"context"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/rpc"
)

// follow writes the journal and the histories from what the agent tells, until ctx
// ends. It is always there, so that a client that comes later finds what was.
func (s *Server) follow(ctx context.Context) {
	views := s.agent.Live().Watch(ctx)
	last := &live.View{}
	events, lost, cancel := s.agent.Subscribe()
	defer func() { cancel() }()
	for {
		select {
		case <-ctx.Done():
			return
		case v, ok := <-views:
			if !ok {
				return
			}
			s.compare(time.Now(), last, v)
			last = v
		case e, ok := <-events:
			if ok {
				s.tell(time.Now(), &e)
				continue
			}
			// The stream ended: we were too slow, or the agent has ended.
			n := uint64(lost())
			cancel()
			if n == 0 {
				events = nil
				cancel = func() {}
				continue
			}
			s.journal.add(time.Now(), recordGap, &gapRecord{Reason: "lost", Missed: &n})
			events, lost, cancel = s.agent.Subscribe()
		}
	}
}

// compare tells every node in which two lists differ, sorted by name.
func (s *Server) compare(now time.Time, was, is *live.View) {
	versions := [2]uint64{was.Version(), is.Version()}
	for e := range is.All() {
		old := was.Get(e.Name)
		if old == e {
			continue // views share what did not change
		}
		r := &memberRecord{Member: nodeOf(e), Versions: versions}
		if old != nil {
			r.Was = old.Status.String()
		}
		if r.Was != r.Member.Status {
			s.histories.note(e.Name, change{Time: e.Since.UTC(), From: r.Was, To: r.Member.Status})
		}
		s.journal.add(now, recordMember, r)
	}
	for old := range was.All() {
		if is.Get(old.Name) != nil {
			continue
		}
		gone := nodeOf(old)
		r := &memberRecord{Was: gone.Status, Member: gone, Versions: versions}
		r.Member.Status, r.Member.Since = "forgotten", nil
		s.histories.note(old.Name, change{Time: now.UTC(), From: r.Was})
		s.journal.add(now, recordMember, r)
	}
}

// tell tells user events and queries; what happens to members the list says, and
// at once.
func (s *Server) tell(now time.Time, e *rpc.Event) {
	kind := recordEvent
	switch e.Type {
	case "user":
	case "query":
		kind = recordQuery
	default:
		return
	}
	s.journal.add(now, kind, &eventRecord{Name: e.Name, LTime: e.LTime, Coalesce: e.Coalesce, payload: payloadOf(slices.Clone(e.Payload))})
}
