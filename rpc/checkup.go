package rpc

import "context"

// Checkup is what an agent knows of itself that helps somebody who looks for a fault.
type Checkup struct {
	Node      string
	Started   int64  // Unix nanoseconds
	Now       int64  // the agent's clock when it answered, in Unix nanoseconds
	Addr      string // HOST:PORT that the others are given
	Bound     string // HOST:PORT that it listens at
	Packet    int    // the largest packet that it sends, in bytes
	Encrypted bool
	Plain     bool     // it keeps to what Serf does
	Health    int      // Lifeguard's health score; 0 is well
	Refuted   int      // how often it refuted reports of its own failure
	OpenFiles int      // 0: not known
	MaxFiles  int      // 0: not known
	Seeds     []string // addresses that it was to join by
	Natives   []string // members that can tell what they have seen
	Lists     []string // files of the live-node list
	LeftOut   int      // live nodes that are not in one of them
	Handlers  []HandlerCheckup
	Troubles  []Trouble
	Records   []HistoryRecord // its own, of all members, newest first
}

// HandlerCheckup is how an event handler does.
type HandlerCheckup struct {
	Program                       string // without its arguments, which may hold secrets
	Runs, Failed, Dropped, Queued uint64
}

// Trouble is something that went wrong once or more often since the agent began. Kind is
// what: "packet", "stream", "join", "list", "cluster", "name" or "merge".
type Trouble struct {
	Kind   string
	Reason string // for packet and stream: why it could not be used ("decrypt", "label" …)
	What   string // the address, the path or the name that it is about
	Text   string // of the last time, in the agent's words
	Count  int
	Last   int64 // Unix nanoseconds
}

// Examiner is a Backend that can tell what it knows of itself.
type Examiner interface {
	Checkup() (Checkup, error)
}

const cmdCheckup = "ibuki-checkup"

func serveCheckup(r *request) error {
	var resp Checkup
	var err error = ErrUnsupportedCommand
	if e, ok := r.s.backend.(Examiner); ok {
		resp, err = e.Checkup()
	}
	return r.answer(err, &resp)
}

// Checkup asks the agent what it knows of itself. An agent of Serf's does not know the
// command, and ends the connection.
func (c *Client) Checkup(ctx context.Context) (Checkup, error) {
	var resp Checkup
	err := c.do(ctx, cmdCheckup, nil, &resp)
	return resp, err
}
