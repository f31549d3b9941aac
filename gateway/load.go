package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ibuki-dev/ibuki/groonga"
)

// loadStream takes a load of any length in steps of MaxChunk. Each step is
// acknowledged by the servers before the next one is read. A record that they refuse
// costs that record, as with Groonga itself; if nobody answers a step, what came before
// stays loaded.
func (s *Server) loadStream(body io.Reader, c *groonga.Command) (groonga.LoadResult, error) {
	var whole groonga.LoadResult
	if t := c.Get("input_type"); t != "" && t != "json" {
		return whole, fmt.Errorf("%w: load of input_type %s of more than %d bytes", groonga.ErrTooLong, t, s.cfg.MaxChunk)
	}
	in := newRecordReader(body, s.cfg.MaxRecord)
	for first, done := true, false; !done; first = false {
		var rows []json.RawMessage
		var err error
		if rows, done, err = s.chunk(in, c); err != nil {
			return whole, fmt.Errorf("%w: after %d records were loaded: %v", groonga.ErrBadCommand, whole.Loaded, err)
		}
		if len(rows) == 0 && !first {
			break
		}
		step, err := s.load(in.list.Command(c, rows))
		if err != nil && !first {
			return whole, fmt.Errorf("after %d records were loaded: %w", whole.Loaded, err)
		}
		if err != nil {
			return whole, err
		}
		if first {
			whole = step
		} else {
			whole.Add(step)
		}
		if step.Code == codeCancelled {
			break
		}
		if n := (len(whole.IDs) + len(whole.Errors)) * bytesOfRecord; n > s.cfg.MaxBody {
			return whole, fmt.Errorf("%w: after %d records were loaded: the answer has more than %d bytes of output_ids and output_errors",
				groonga.ErrTooLong, whole.Loaded, s.cfg.MaxBody)
		}
	}
	return whole, nil
}

// bytesOfRecord is about what is kept of a record whose id or fault was asked for.
const bytesOfRecord = 64

// chunk reads the records of one step; done: they are the last.
func (s *Server) chunk(in *recordReader, c *groonga.Command) (rows []json.RawMessage, done bool, err error) {
	for size := 0; size < s.cfg.MaxChunk; {
		row, err := in.next()
		if errors.Is(err, io.EOF) {
			return rows, true, nil
		}
		if err != nil {
			return nil, false, err
		}
		if row[0] == '[' && in.list.Columns == nil && c.Get("columns") == "" {
			if err := json.Unmarshal(row, &in.list.Columns); err != nil {
				return nil, false, fmt.Errorf("the columns of the load: %w", err)
			}
			continue
		}
		rows = append(rows, row)
		size += len(row)
	}
	return rows, false, nil
}

// load has some records loaded.
func (s *Server) load(c *groonga.Command) (groonga.LoadResult, error) {
	answer, err := s.cfg.Doer.Do(context.Background(), c)
	if err != nil {
		return groonga.LoadResult{}, err
	}
	return groonga.ReadLoad(answer)
}

// recordReader reads the records of a load one by one: the elements of an array, or
// objects one after the other. No record may be longer than most.
type recordReader struct {
	in    *limitedReader
	dec   *json.Decoder
	list  groonga.RecordList // its Columns
	array bool
	begun bool
}

func newRecordReader(r io.Reader, most int) *recordReader {
	in := &limitedReader{r: bufio.NewReaderSize(r, 64<<10), most: most}
	return &recordReader{in: in, dec: json.NewDecoder(in)}
}

// next returns the next record, or io.EOF after the last one.
func (r *recordReader) next() (json.RawMessage, error) {
	r.in.left = r.in.most
	if !r.begun {
		r.begun = true
		if err := r.begin(); err != nil {
			return nil, err
		}
	}
	if r.array && !r.dec.More() {
		if _, err := r.dec.Token(); err != nil {
			return nil, whole(err)
		}
		return nil, io.EOF
	}
	var row json.RawMessage
	if err := r.dec.Decode(&row); err != nil {
		if r.array {
			err = whole(err)
		}
		return nil, err
	}
	if row[0] != '{' && row[0] != '[' {
		return nil, fmt.Errorf("%.20q is no record", row)
	}
	return row, nil
}

// begin finds out whether it is an array.
func (r *recordReader) begin() error {
	for {
		b, err := r.in.r.Peek(1)
		if err != nil {
			return err
		}
		switch b[0] {
		case ' ', '\t', '\r', '\n':
			_, _ = r.in.r.Discard(1)
		case '[':
			r.array = true
			_, err := r.dec.Token()
			return err
		default:
			return nil
		}
	}
}

// whole makes an end in the middle a fault.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// limitedReader fails when more than most bytes are read for one record.
type limitedReader struct {
	r    *bufio.Reader
	most int
	left int
}

var errRecordTooLong = errors.New("a record is too long")

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errRecordTooLong
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
