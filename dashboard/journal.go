package dashboard

import (
	"encoding/json"
	"sync"
	"time"
)

const (
	// journalLen is how many records are kept for clients that come back.
	journalLen = 4096
	// journalBytes bounds what they take, in bytes.
	journalBytes = 8 << 20
)

// The types of records.
const (
	recordMember = "member" // a node came, went or changed
	recordEvent  = "event"  // a user event
	recordQuery  = "query"
	recordGap    = "gap"   // something was missed
	recordHello  = "hello" // the first of a stream
)

// record is one thing that happened, as it goes out. It never changes.
type record struct {
	seq  uint64
	kind string
	data []byte // JSON
}

// journal keeps the last records, numbered without a gap from 1 on. Readers hold
// a number each and nothing else: one that does not read costs no memory, and
// learns what it missed.
type journal struct {
	mu    sync.Mutex
	ring  []record // oldest first
	bytes int
	next  uint64        // the number of the next record
	wake  chan struct{} // closed at the next record
}

func newJournal() *journal { return &journal{next: 1, wake: make(chan struct{})} }

// add numbers a record. what is a struct that begins with a head, which is filled in.
func (j *journal) add(now time.Time, kind string, what interface{ begin() *head }) {
	j.mu.Lock()
	defer j.mu.Unlock()
	*what.begin() = head{Seq: j.next, Time: now.UTC(), Type: kind}
	data, err := json.Marshal(what)
	if err != nil { // of our own types: it does not fail
		return
	}
	j.ring = append(j.ring, record{j.next, kind, data})
	j.bytes += len(data)
	j.next++
	for len(j.ring) > journalLen || j.bytes > journalBytes && len(j.ring) > 1 {
		j.bytes -= len(j.ring[0].data)
		j.ring[0] = record{}
		j.ring = j.ring[1:]
	}
	close(j.wake)
	j.wake = make(chan struct{})
}

// since returns up to limit records from number seq on; missed is how many of
// them are not there any more. If there are none yet, wake is closed when there are.
func (j *journal) since(seq uint64, limit int) (records []record, missed uint64, wake <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first := j.next - uint64(len(j.ring))
	if seq < first {
		missed, seq = first-seq, first
	}
	if seq < j.next {
		from := int(seq - first)
		records = append(records, j.ring[from:min(from+limit, len(j.ring))]...)
	}
	return records, missed, j.wake
}

// last is the number of the record with which the last n begin, or as many as there are.
func (j *journal) last(n uint64) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next - min(n, uint64(len(j.ring)))
}

// end is the number of the next record.
func (j *journal) end() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next
}

// head begins every record.
type head struct {
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"`
	Type string    `json:"type"`
}

func (h *head) begin() *head { return h }

// memberRecord says that a node's status, address or tags are others than before.
type memberRecord struct {
	head
	Was    string `json:"was"` // its status before; "" if it was not known
	Member node   `json:"member"`
	// Versions are those of the list between which it changed: more than one apart,
	// several changes have become one.
	Versions [2]uint64 `json:"versions"`
}

// eventRecord is a user event or a query that passed.
type eventRecord struct {
	head
	Name     string `json:"name"`
	LTime    uint64 `json:"ltime"`
	Coalesce bool   `json:"coalesce,omitempty"`
	payload
}

// gapRecord says that records are missing here.
type gapRecord struct {
	head
	Reason string `json:"reason"` // "behind", "too-old", "restarted" or "lost"
	// Missed is how many; null: not known.
	Missed *uint64 `json:"missed"`
}

// helloRecord is the first of each stream: where it begins.
type helloRecord struct {
	head
	Node    string `json:"node"`
	Version uint64 `json:"list_version"`
}
