package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ibuki-dev/ibuki/groonga"
)

// records are what is loaded: of the body, or of the argument values. ok is false where
// they are not taken apart here: in another notation than JSON Groonga takes them from the
// arguments alone.
func (s *Server) records(c *groonga.Command, body io.Reader) (in io.Reader, ok bool, err error) {
	t := c.Get("input_type")
	if t != "" && t != "json" {
		if body != nil {
			return nil, false, fmt.Errorf("%w: a body of input_type %s; it is to be JSON", groonga.ErrNotSupported, t)
		}
		return nil, false, nil
	}
	if body == nil {
		return bytes.NewReader([]byte(c.Get("values"))), true, nil
	}
	return body, true, nil
}

// load has the records of a load loaded, of any length, in steps of MaxChunk. Each step is
// acknowledged by the servers before the next one is read. A record that cannot be read or
// that they refuse costs that record, as with Groonga itself; if nobody answers a step,
// what came before stays loaded.
func (s *Server) load(c *groonga.Command, body io.Reader) (whole groonga.LoadResult, err error) {
	in := groonga.NewRecordReader(body, s.cfg.MaxRecord)
	list := groonga.NewRecordList(c)
	steps := 0
	for first, done := true, false; !done; first = false {
		var unread *groonga.LoadResult
		if unread, done, err = s.chunk(in, list, c); err != nil && first && len(list.Rows) == 0 {
			return whole, fmt.Errorf("%w: %v", groonga.ErrBadCommand, err)
		}
		var failed error
		if len(list.Rows) > 0 || first {
			part := list.Command(c, list.Rows)
			if c.ID != "" && !first {
				part.ID = fmt.Sprintf("%s/%d", c.ID, steps)
			}
			steps++
			step, err := s.step(part)
			if failed = err; err == nil && first {
				whole = step
			} else if err == nil {
				whole.Add(step)
			}
		}
		if unread != nil && failed == nil {
			whole.Add(*unread)
		}
		switch {
		case failed != nil && first:
			return whole, failed
		case failed != nil:
			return whole, fmt.Errorf("after %d records were loaded: %w", whole.Loaded, failed)
		case err != nil:
			return whole, fmt.Errorf("%w: after %d records were loaded: %v", groonga.ErrBadCommand, whole.Loaded, err)
		case whole.Code == codeCancelled:
			return whole, nil
		case (len(whole.IDs)+len(whole.Errors))*bytesOfRecord > s.cfg.MaxBody:
			return whole, fmt.Errorf("%w: after %d records were loaded: the answer has more than %d bytes of output_ids and output_errors",
				groonga.ErrTooLong, whole.Loaded, s.cfg.MaxBody)
		}
		list.Clear()
	}
	return whole, nil
}

// bytesOfRecord is about what is kept of a record whose id or fault was asked for.
const bytesOfRecord = 64

// chunk reads the records of one step into the list; done: they are the last. It ends
// early with one that cannot be read: unread is what is said of that, to be told after
// the records before it.
func (s *Server) chunk(in *groonga.RecordReader, list *groonga.RecordList, c *groonga.Command) (unread *groonga.LoadResult, done bool, err error) {
	for size := 0; size < s.cfg.MaxChunk; {
		row, err := in.Next()
		if err == nil {
			err = list.Add(row)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil, true, nil
		case errors.Is(err, groonga.ErrRecord):
			return groonga.UnreadRecord(c, err), false, nil
		case err != nil:
			return nil, true, err
		}
		size += len(row)
	}
	return nil, false, nil
}

// step has some records loaded.
func (s *Server) step(c *groonga.Command) (groonga.LoadResult, error) {
	answer, err := s.cfg.Doer.Do(context.Background(), c)
	if err != nil {
		return groonga.LoadResult{}, err
	}
	return groonga.ReadLoad(answer)
}
