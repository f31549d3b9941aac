package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/ibuki-dev/ibuki/dispatch"
)

// loadStream takes a load of any length in steps of MaxChunk. Each step is
// acknowledged by the servers before the next one is read. If one fails, what came
// before stays loaded, as with Groonga itself.
func (s *Server) loadStream(body io.Reader, c *dispatch.Command, start time.Time) (dispatch.Answer, error) {
	if t := c.Get("input_type"); t != "" && t != "json" {
		return dispatch.Answer{}, fmt.Errorf("%w: load of input_type %s of more than %d bytes", dispatch.ErrTooLong, t, s.cfg.MaxChunk)
	}
	in := newRecordReader(body, s.cfg.MaxRecord)
	var total int
	var last dispatch.Answer
	for done := false; !done; {
		var rows []json.RawMessage
		size := 0
		for size < s.cfg.MaxChunk {
			row, err := in.next()
			if errors.Is(err, io.EOF) {
				done = true
				break
			}
			if err != nil {
				return dispatch.Answer{}, fmt.Errorf("%w: after %d records were loaded: %v", dispatch.ErrBadCommand, total, err)
			}
			if row[0] == '[' && in.list.Columns == nil && c.Get("columns") == "" {
				if err := json.Unmarshal(row, &in.list.Columns); err != nil {
					return dispatch.Answer{}, fmt.Errorf("%w: the columns of the load: %v", dispatch.ErrBadCommand, err)
				}
				continue
			}
			rows = append(rows, row)
			size += len(row)
		}
		if len(rows) == 0 && total > 0 {
			break
		}
		answer, n, err := s.step(in.list.Command(c, rows))
		if err != nil || answer.Code != 0 || n < 0 {
			return answer, err
		}
		total += n
		last = answer
	}
	last.Body = success(start, strconv.Itoa(total))
	return last, nil
}

// step loads some records; n is how many, or -1 if the answer does not say.
func (s *Server) step(c *dispatch.Command) (answer dispatch.Answer, n int, err error) {
	answer, err = s.cfg.Doer.Do(context.Background(), c)
	if err != nil || answer.Code != 0 {
		return answer, 0, err
	}
	var doc []json.RawMessage
	if json.Unmarshal(answer.Body, &doc) != nil || len(doc) != 2 {
		return answer, -1, nil
	}
	if n, err = strconv.Atoi(string(doc[1])); err != nil {
		return answer, -1, nil
	}
	return answer, n, nil
}

// recordReader reads the records of a load one by one: the elements of an array, or
// objects one after the other. No record may be longer than most.
type recordReader struct {
	in    *limitedReader
	dec   *json.Decoder
	list  dispatch.RecordList // its Columns
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
