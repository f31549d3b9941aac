package agent

import (
	"context"
	"iter"

	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
)

// Subscribe delivers every event from now on, in order and as soon as it is known: member events, user events,
// and queries, which Respond answers. The channel is closed when ctx ends, when the
// agent ends, or when the reader is streamLag events behind; Live still has all of it then.
// Whoever does not mean to answer queries uses Observe, so that nobody waits for it.
func (a *Agent) Subscribe(ctx context.Context) <-chan rpc.Event {
	events, _, cancel := a.subs.add(false, serf.Prompt)
	context.AfterFunc(ctx, cancel)
	return events
}

// Respond answers the query of an Event that Subscribe delivered, by its ID, once. It
// returns rpc.ErrInvalidQueryID if the time for that query is over.
func (a *Agent) Respond(id uint64, payload []byte) error { return backend{a}.Respond(id, payload) }

// queryRoom is how many records of a query may wait beyond two of each member.
const queryRoom = 16

// Query asks the members that q's filters name; no filter: all of them, this one too. It
// returns when the query was sent. The records are news as it comes: answers, and
// acknowledgements if asked for. The last one is rpc.QueryRecordDone, which comes
// when all have answered, else when the query's time is over. They end without
// it if ctx or the agent ends first. They can be read once, or not at all.
func (a *Agent) Query(ctx context.Context, q rpc.QueryRequest) (iter.Seq[rpc.QueryRecord], error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	records := make(chan rpc.QueryRecord, 2*len(a.Members())+queryRoom)
	err := backend{a}.Query(q, func(r rpc.QueryRecord) {
		if r.Type == rpc.QueryRecordDone || len(records) < cap(records)-1 { // the end always has room
			records <- r
		}
	})
	if err != nil {
		return nil, err
	}
	return func(yield func(rpc.QueryRecord) bool) {
		for {
			select {
			case r := <-records:
				if !yield(r) || r.Type == rpc.QueryRecordDone {
					return
				}
			case <-ctx.Done():
				return
			case <-a.loopDone:
				return
			}
		}
	}, nil
}
