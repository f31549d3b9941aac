package rpc

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// History is what one node has to say of a member.
type History struct {
	From    string          `json:"from"`            // who says so
	Started int64           `json:"started"`         // when its agent began, in Unix nanoseconds
	Health  int             `json:"health"`          // its own Lifeguard health score; 0 is well
	Now     int64           `json:"now,omitempty"`   // its clock when it said so, in Unix nanoseconds; 0: it does not say
	Alive   int             `json:"alive,omitempty"` // how many members it holds for alive; 0: it does not say
	Records []HistoryRecord `json:"records"`
	Cut     bool            `json:"cut,omitempty"` // there are older ones that did not fit
}

// HistoryRecord is one thing that a node saw. Kind is one of: ping-failed, ping-unsent,
// stream-ping-failed, stream-only (only TCP was answered), indirect-only (only others
// reached it), restart-away (it is gone, as it had announced), suspect, failed, refused,
// crashed: seen by the node itself; accused, confirmed, told-dead: said by the member
// From; cleared: the member has refuted; refute-suspect, refute-dead: the node itself
// has, what From said of it; slept: the node itself did not run for Took;
// member-join, member-leave, member-failed, flap: of the list.
type HistoryRecord struct {
	At          int64  `json:"at"` // Unix nanoseconds, by the clock of the node that says so
	Kind        string `json:"kind"`
	Node        string `json:"node,omitempty"`
	From        string `json:"from,omitempty"`
	Incarnation uint32 `json:"incarnation,omitempty"`
	Verdict     string `json:"verdict,omitempty"` // crashed, silent, hung, or not known
	Took        int64  `json:"took,omitempty"`    // nanoseconds
}

// Historian is a Backend that can tell the history of members.
type Historian interface {
	// History asks all members that can tell. It returns when all have answered, or
	// within a few seconds; asked is how many it has asked.
	History(ctx context.Context, node string) (all []History, asked int, err error)
}

type historyRequest struct{ Node string }

type historyResponse struct {
	Histories []History
	Asked     int
}

const cmdHistory = "ibuki-history"

func serveHistory(r *request) error {
	var req historyRequest
	var resp historyResponse
	err := r.decode(&req)
	h, ok := r.s.backend.(Historian)
	switch {
	case err != nil:
	case !ok:
		err = ErrUnsupportedCommand
	default:
		resp.Histories, resp.Asked, err = h.History(r.ctx, req.Node)
	}
	return r.answer(err, &resp)
}

// History asks for what the members have seen of one; asked is how many were asked.
// An agent of Serf's does not know the command, and ends the connection.
func (c *Client) History(ctx context.Context, node string) (all []History, asked int, err error) {
	var resp historyResponse
	err = c.do(ctx, cmdHistory, &historyRequest{Node: node}, &resp)
	return resp.Histories, resp.Asked, err
}

// maxHistory bounds the text of a history that another node sent, in bytes.
const maxHistory = 1 << 20

// Pack encodes a history for an answer to a query of at most limit bytes: records that
// do not fit are left out, the oldest first. Records have to be newest first.
func (h *History) Pack(limit int) ([]byte, error) {
	for n := len(h.Records); ; n = n * 3 / 4 {
		part := *h
		part.Records = h.Records[:n]
		part.Cut = h.Cut || n < len(h.Records)
		packed, err := part.pack()
		if err != nil || len(packed) <= limit {
			return packed, err
		}
		if n == 0 {
			return nil, fmt.Errorf("a history takes %d bytes, and there is room for %d", len(packed), limit)
		}
	}
}

func (h *History) pack() ([]byte, error) {
	body, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}

var errHistoryTooLong = errors.New("history too long")

// UnpackHistory reads what Pack wrote. It is bounded.
func UnpackHistory(packed []byte) (History, error) {
	r := flate.NewReader(bytes.NewReader(packed))
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, maxHistory+1))
	if err != nil {
		return History{}, err
	}
	if len(body) > maxHistory {
		return History{}, errHistoryTooLong
	}
	var h History
	err = json.Unmarshal(body, &h)
	return h, err
}

// Time is when the record was made.
func (r *HistoryRecord) Time() time.Time { return time.Unix(0, r.At) }
