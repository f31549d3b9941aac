package writelog

import "fmt"

// Answer is what a server said to its share of a write: opaque to the log but for its
// return code.
type Answer struct {
	Code   int    // 0 is success
	Status int    // of HTTP
	Type   string // the media type of Body
	Body   []byte
}

// Applied is the answer of a server to the entry at an index.
type Applied struct {
	Index  uint64
	Answer Answer
}

// ServerReport is how a server stands that a member applies entries to.
type ServerReport struct {
	Server  string
	Prefix  uint64 // everything up to this index that is for it has been applied
	Durable uint64 // and everything up to this one is on its disk
	Down    bool   // it cannot be given writes now, or may not be read from
	Answers []Applied
	Life    uint64 // another number: its database may be another one, and what it answered before says nothing of it
}

// Report is what a member tells the leader.
type Report struct {
	Term      uint64
	Boot      uint64 // names the process of the member: later ones have greater numbers
	Seq       uint64 // counts its reports; names the lease that it asks for
	Confirmed uint64 // the member goes by the read set as of this index
	Ask       bool   // it asks for a lease
	Servers   []ServerReport
	Catalogs  bool // the member knows what a catalog in the log is
}

// Reply is what the leader answers.
type Reply struct {
	Term    uint64
	Boot    uint64   // the process that it is for
	Got     []uint64 // these reports have arrived
	Granted uint64   // the lease that was asked for with this report is granted; 0 is none
	Safe    uint64   // entries up to this index are on the disk of every server and member
}

// Message is what members say to each other beside Raft.
type Message struct {
	To     uint64
	From   uint64
	Report *Report
	Reply  *Reply
}

// Encode renders a message.
func (m *Message) Encode() []byte { return encode(m) }

// DecodeMessage reads what Encode wrote.
func DecodeMessage(b []byte) (*Message, error) {
	m := new(Message)
	if err := decode(b, m); err != nil {
		return nil, fmt.Errorf("message of a gateway: %w", err)
	}
	return m, nil
}
