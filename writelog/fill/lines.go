package fill

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Lines reads a dump line by line.
type Lines struct{ in *bufio.Reader }

// NewLines makes a reader of lines.
func NewLines(in io.Reader) *Lines { return &Lines{bufio.NewReaderSize(in, 1<<20)} }

// Next returns a line without its end; the memory is the reader's until the next call. io.EOF: there are no more. A
// line has at most 256 MiB: ErrDump.
func (l *Lines) Next() ([]byte, error) {
	var long []byte
	for {
		part, err := l.in.ReadSlice('\n')
		switch {
		case err == nil && long == nil:
			return part[:len(part)-1], nil
		case err == nil:
			return append(long, part[:len(part)-1]...), nil
		case errors.Is(err, bufio.ErrBufferFull) && len(long)+len(part) <= maxLine:
			long = append(long, part...)
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("%w: a line of more than %d bytes", ErrDump, maxLine)
		case errors.Is(err, io.EOF) && len(long)+len(part) > 0: // a column_create may be last, without an end
			return append(long, part...), nil
		default:
			return nil, err
		}
	}
}
