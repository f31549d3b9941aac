package rpc

import (
	"context"
	"fmt"
	"io"
)

// Stream is a running stream of records. It has to be read: beyond
// ClientConfig.StreamBuffer records that wait, it ends.
type Stream[T any] struct {
	c     *Client
	seq   uint64
	items *queue[T]
	parse func(body []byte) (item T, last bool, err error)
}

// recordSink is a Stream of any type.
type recordSink interface {
	record(errText string, body []byte) error
	end(err error)
}

// Next returns the next record. After the last one it returns io.EOF if the
// stream ended as it should (a query is done, or Stop was called), else why it
// ended: ErrClientClosed, ErrSlowReader, or an Error of the agent.
func (s *Stream[T]) Next(ctx context.Context) (T, error) { return s.items.next(ctx) }

// Last is the record that ended the stream, after Next has returned io.EOF: what a
// query's end says. It is empty if Stop ended it.
func (s *Stream[T]) Last() T { return s.items.ending() }

// Stop ends the stream on both sides. Records that already wait can still be
// read.
func (s *Stream[T]) Stop(ctx context.Context) error {
	if !s.items.close(io.EOF) {
		return nil // it has ended on both sides, or is being stopped
	}
	return s.c.do(ctx, cmdStop, &stopRequest{Stop: s.seq}, nil)
}

func (s *Stream[T]) end(err error) { s.items.close(err) }

// record takes a record from the connection's reader and never holds it up.
func (s *Stream[T]) record(errText string, body []byte) error {
	item, last, err := s.parse(body)
	switch {
	case errText != "":
		s.end(Error(errText))
	case err != nil:
		return &protocolError{fmt.Errorf("record: %w", err)}
	case last:
		s.items.closeWith(io.EOF, item)
	case !s.items.push(item):
		s.end(ErrSlowReader)
		s.c.stopLater(s.seq)
	}
	return nil
}

// stopLater tells the agent that nobody listens any more; the reader must not
// write itself, or both sides could wait for each other to read.
func (c *Client) stopLater(seq uint64) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), c.cfg.Timeout)
		defer cancel()
		_ = c.do(ctx, cmdStop, &stopRequest{Stop: seq}, nil) // it ended for the reader already
	}()
}

// openStream sends the request of a stream and waits for its reply.
func openStream[T any](ctx context.Context, c *Client, command string, req any,
	parse func([]byte) (T, bool, error)) (*Stream[T], error) {
	s := &Stream[T]{c: c, items: newQueue[T](c.cfg.StreamBuffer), parse: parse}
	cl := &call{reply: make(chan reply, 1)}
	c.mu.Lock()
	c.seq++
	s.seq = c.seq
	c.calls[s.seq] = cl
	c.streams[s.seq] = s
	c.mu.Unlock()
	if err := c.send(ctx, command, s.seq, req); err != nil {
		return nil, err
	}
	select {
	case r := <-cl.reply:
		if err := r.error(); err != nil {
			c.forget(s.seq)
			return nil, err
		}
		return s, nil
	case <-ctx.Done():
		s.end(ctx.Err())
		c.stopLater(s.seq)
		return nil, ctx.Err()
	case <-c.done:
		return nil, c.closedError()
	}
}

// Stream subscribes to events; see ParseEventFilter for the filter. Of a query
// event, ID is what Respond wants; it is good on this connection only.
func (c *Client) Stream(ctx context.Context, filter string) (*Stream[Event], error) {
	return openStream(ctx, c, cmdStream, &streamRequest{Type: filter, Prompt: true}, parseEvent)
}

func parseEvent(body []byte) (Event, bool, error) {
	var r eventRecord
	err := decodeValue(body, &r)
	return Event{
		Type: r.Event, Members: r.Members, LTime: r.LTime, Name: r.Name,
		Payload: r.Payload, Coalesce: r.Coalesce, ID: r.ID,
	}, false, err
}

// Monitor subscribes to log lines of at least the level (TRACE, DEBUG, INFO,
// WARN, ERR), the recent ones first. A connection can have one.
func (c *Client) Monitor(ctx context.Context, level string) (*Stream[string], error) {
	return openStream(ctx, c, cmdMonitor, &monitorRequest{LogLevel: level}, parseLine)
}

func parseLine(body []byte) (string, bool, error) {
	var r logRecord
	err := decodeValue(body, &r)
	return r.Log, false, err
}

// Query asks a query. The stream's records are the acks and responses; its end
// is the end of the query.
func (c *Client) Query(ctx context.Context, req QueryRequest) (*Stream[QueryRecord], error) {
	return openStream(ctx, c, cmdQuery, &req, parseQueryRecord)
}

// parseQueryRecord also takes a record of nobody for the end: between a query's
// end and its "done", Serf's agent sends hundreds of those.
func parseQueryRecord(body []byte) (QueryRecord, bool, error) {
	var r QueryRecord
	err := decodeValue(body, &r)
	return r, r.Type == QueryRecordDone || r.From == "", err
}
