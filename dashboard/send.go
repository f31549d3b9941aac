package dashboard

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

type eventRequest struct {
	Name string `json:"name"`
	payload
	// Coalesce lets a later event of the same name replace this one, if they come
	// close together.
	Coalesce bool `json:"coalesce"`
}

// event sends a user event to the whole cluster.
func (s *Server) event(w http.ResponseWriter, r *http.Request) error {
	var q eventRequest
	if err := read(r, &q); err != nil {
		return err
	}
	body, ok := q.bytes()
	if q.Name == "" || !ok {
		return badRequest("an event has a name, and one of payload and payload_base64")
	}
	if err := s.agent.UserEvent(q.Name, body, q.Coalesce); err != nil {
		return badRequest(err.Error())
	}
	answer(w, http.StatusAccepted, map[string]string{"status": "sent"})
	return nil
}

const (
	// maxQueryTime is how long a query may be waited for.
	maxQueryTime = time.Minute
	// queryGrace is how much longer than its time-out a query may take to end.
	queryGrace = 5 * time.Second
	// maxAnswers and maxAnswerBytes bound what is kept of one query's answers.
	maxAnswers     = 20_000
	maxAnswerBytes = 8 << 20
)

type queryRequest struct {
	Name string `json:"name"`
	payload
	Nodes []string          `json:"nodes"` // only these
	Tags  map[string]string `json:"tags"`  // tag → regular expression
	// TimeoutMS is in milliseconds; 0: the agent's own.
	TimeoutMS int64 `json:"timeout_ms"`
	Acks      bool  `json:"acks"` // name those who got it
	Relay     uint8 `json:"relay_factor"`
}

type queryAnswer struct {
	Acks      []string        `json:"acks"`
	Responses []queryResponse `json:"responses"`
	// Finished: the query ended; false if it was waited for too long.
	Finished bool `json:"finished"`
	// Cut: there was more than is kept.
	Cut bool `json:"cut,omitempty"`
}

type queryResponse struct {
	From string `json:"from"`
	payload
	// Exit is the exit code of the handler that answered; null: not known.
	Exit *int `json:"exit"`
}

// query asks a query, waits for its end, and answers with all that came.
func (s *Server) query(w http.ResponseWriter, r *http.Request) error {
	select {
	case s.queries <- struct{}{}:
		defer func() { <-s.queries }()
	default:
		return busy("too many queries are waited for")
	}
	var q queryRequest
	if err := read(r, &q); err != nil {
		return err
	}
	body, ok := q.bytes()
	timeout := time.Duration(q.TimeoutMS) * time.Millisecond
	if q.Name == "" || !ok || q.TimeoutMS < 0 || q.TimeoutMS > maxQueryTime.Milliseconds() {
		return badRequest("a query has a name, one of payload and payload_base64, and a time-out of at most a minute")
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(maxQueryTime + answerPatience))
	c := collector{ended: make(chan struct{})}
	err := s.agent.Query(rpc.QueryRequest{Name: q.Name, Payload: body, FilterNodes: q.Nodes, FilterTags: q.Tags, Outcome: true,
		Timeout: timeout, RequestAck: q.Acks, RelayFactor: q.Relay}, c.take)
	if err != nil {
		return badRequest(err.Error())
	}
	limit := maxQueryTime
	if timeout > 0 {
		limit = timeout
	}
	ctx, cancel := context.WithTimeout(r.Context(), limit+queryGrace)
	defer cancel()
	select {
	case <-c.ended:
	case <-ctx.Done():
		if r.Context().Err() != nil {
			return errGone
		}
	}
	answer(w, http.StatusOK, c.result())
	return nil
}

// collector takes the records of a query. The agent's loop calls take, which never
// waits for long.
type collector struct {
	mu    sync.Mutex
	out   queryAnswer
	bytes int
	ended chan struct{}
}

func (c *collector) take(r rpc.QueryRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Type == rpc.QueryRecordDone {
		c.out.Finished = true
		close(c.ended)
		return
	}
	c.bytes += len(r.Payload) + len(r.From)
	if len(c.out.Acks)+len(c.out.Responses) >= maxAnswers || c.bytes > maxAnswerBytes {
		c.out.Cut = true
		return
	}
	switch r.Type {
	case rpc.QueryRecordAck:
		c.out.Acks = append(c.out.Acks, r.From)
	case rpc.QueryRecordResponse:
		one := queryResponse{From: r.From, payload: payloadOf(slices.Clone(r.Payload))}
		if r.Outcome != nil {
			one.Exit = &r.Outcome.Exit
		}
		c.out.Responses = append(c.out.Responses, one)
	}
}

// result is what has come so far.
func (c *collector) result() queryAnswer {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.out
	out.Acks = append([]string{}, out.Acks...)
	out.Responses = append([]queryResponse{}, out.Responses...)
	return out
}
