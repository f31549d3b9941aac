package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// streamBatch is how many records are written at once.
	streamBatch = 256
	// streamBeat is how often something is written, so that both ends see that the
	// other is there.
	streamBeat = 15 * time.Second
)

// epochOf names a process by when it began, in letters that are short.
func epochOf(begun time.Time) string { return strconv.FormatInt(begun.UnixMilli(), 36) }

// streamer writes one client's stream.
type streamer struct {
	s    *Server
	w    http.ResponseWriter
	c    *http.ResponseController
	next uint64 // the number of the next record for this client
}

// stream writes what happens as server-sent events, from now on, or with the ?last=
// records from before, or from where a client left off that says so (Last-Event-ID). A client that does not read is
// dropped; what it missed is there when it is back, or is said to be missing.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) error {
	ctx, leave := context.WithCancel(r.Context())
	defer leave()
	grant, _, _ := s.grant(r)
	seat := s.streams.Take(addrOf(r), leave)
	defer seat.Free()
	seat.Know(grant.Name != "")
	last, err := lastOf(r)
	if err != nil {
		return err
	}
	t := &streamer{s: s, w: w, c: http.NewResponseController(w), next: s.journal.last(last)}
	_ = t.c.SetReadDeadline(time.Time{})
	gap := t.resume(r.Header.Get("Last-Event-ID"))
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // proxies are to pass it on at once
	t.hello()
	if gap != nil {
		t.gap(gap)
	}
	t.run(ctx.Done(), s.ctx.Done())
	return nil
}

// lastOf is how many records from before a client wants that has none yet.
func lastOf(r *http.Request) (uint64, error) {
	text := r.URL.Query().Get("last")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, badRequest("last is a number of records")
	}
	return n, nil
}

// resume finds where the client left off, and what is missing since.
func (t *streamer) resume(id string) *gapRecord {
	if id == "" {
		return nil
	}
	epoch, number, _ := strings.Cut(id, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || epoch != t.s.epoch || seq >= t.s.journal.end() {
		return &gapRecord{Reason: "restarted"} // numbers of another process
	}
	t.next = seq + 1
	return nil
}

// run writes until the client or the server ends.
func (t *streamer) run(gone, closed <-chan struct{}) {
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	for {
		records, missed, wake := t.s.journal.since(t.next, streamBatch)
		if missed > 0 {
			t.next += missed
			t.gap(&gapRecord{Reason: "too-old", Missed: &missed})
		}
		for _, r := range records {
			t.write(r.seq, r.kind, r.data)
			t.next = r.seq + 1
		}
		if t.flush() != nil {
			return
		}
		if len(records) > 0 {
			continue
		}
		select {
		case <-wake:
		case <-beat.C:
			_, _ = t.w.Write([]byte(":\n\n"))
		case <-gone:
			return
		case <-closed:
			return
		}
	}
}

// write writes one record; seq is what the client is to name when it is back.
func (t *streamer) write(seq uint64, kind string, data []byte) {
	t.deadline()
	fmt.Fprintf(t.w, "id: %s-%d\nevent: %s\ndata: %s\n\n", t.s.epoch, seq, kind, data)
}

// deadline gives the client its time for the next write.
func (t *streamer) deadline() { _ = t.c.SetWriteDeadline(time.Now().Add(t.s.cfg.Patience)) }

func (t *streamer) flush() error {
	t.deadline()
	return t.c.Flush()
}

// gap says that records before the next one are missing.
func (t *streamer) gap(g *gapRecord) {
	g.head = head{Seq: t.next - 1, Time: time.Now().UTC(), Type: recordGap}
	data, _ := json.Marshal(g) // of our own types: it does not fail
	t.write(t.next-1, recordGap, data)
	t.s.meters.gaps.Inc()
}

// hello says where the stream begins.
func (t *streamer) hello() {
	h := helloRecord{head: head{Seq: t.next - 1, Time: time.Now().UTC(), Type: recordHello},
		Node: t.s.cfg.Name, Version: t.s.agent.Live().Current().Version()}
	data, _ := json.Marshal(&h) // of our own types: it does not fail
	t.write(t.next-1, recordHello, data)
}
