package groonga

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// Faults of the records of a load as they came. They are the client's.
var (
	// ErrRecords: what follows cannot be read.
	ErrRecords = errors.New("the records of a load cannot be read")
	// ErrRecord: this record cannot be read, the next one can.
	ErrRecord = errors.New("a record of a load cannot be read")
)

// A RecordReader reads the records of a load one by one, as Groonga's own reader takes
// them: members of an array, or one object. Like that it is lenient: commas and colons may
// be missing or too many, names and texts may be without quotes, the closing bracket of
// the array may be missing, and what is none of JSON's characters is passed over. What it
// returns is strict, so that nothing but a record goes on.
//
// Unlike Groonga it says so when a record is cut off, or when something follows the value,
// one more record a line for instance: Groonga drops that.
type RecordReader struct {
	in    io.Reader
	most  int    // bytes of a record
	buf   []byte // what was read and not looked at yet
	spare []byte // what buf is a part of
	err   error  // of in

	out   []byte // the record
	open  []byte // the brackets in it that are open
	size  int    // how much of it was read
	bad   error  // what is wrong with it
	state readerState

	scalars map[string]bool // names of which a value is a text or a number
	name    int             // where in out the last name begins
}

type readerState byte

const (
	atStart readerState = iota
	inArray
	atEnd
)

// maxRecordNesting is how deep a record's values may be nested.
const maxRecordNesting = maxNesting - 2

// identifiers are what a record is found by. Groonga 13.0.0 does not survive every other
// value of theirs, and it would get the record again and again.
var identifiers = map[string]bool{"_key": true, "_id": true}

// NewRecordReader makes a reader. No record may have more than most bytes.
func NewRecordReader(in io.Reader, most int) *RecordReader {
	return &RecordReader{in: in, most: most, spare: make([]byte, 64<<10), scalars: identifiers}
}

// peek returns the next byte; ok is false at the end.
func (r *RecordReader) peek() (b byte, ok bool) {
	if len(r.buf) == 0 && !r.fill() {
		return 0, false
	}
	return r.buf[0], true
}

// fill reads more.
func (r *RecordReader) fill() bool {
	for empty := 0; r.err == nil && len(r.buf) == 0; empty++ {
		var n int
		n, r.err = r.in.Read(r.spare)
		r.buf = r.spare[:n]
		if empty > 100 && n == 0 && r.err == nil {
			r.err = io.ErrNoProgress
		}
	}
	return len(r.buf) > 0
}

func (r *RecordReader) skip() {
	r.buf = r.buf[1:]
	r.size++
}

// Next returns the next record: an object, or an array of values or of the columns' names.
// It belongs to the caller. At the end the error is io.EOF. After ErrRecord the next record
// may be read; any other error is the last.
func (r *RecordReader) Next() ([]byte, error) {
	r.out, r.open, r.size, r.bad = nil, r.open[:0], 0, nil
	for {
		b, ok := r.peek()
		if !ok {
			return nil, r.ended()
		}
		switch {
		case r.state == atEnd && !isSpace(b):
			return nil, fmt.Errorf("%w: %q follows the end of the records; a load is one array, or one object", ErrRecords, b)
		case r.state == atEnd || isSpace(b):
			r.skip()
		case r.state == atStart && b == '[':
			r.skip()
			r.state = inArray
		case b == '{' || r.state == inArray && b == '[':
			if r.state == atStart {
				r.state = atEnd
			}
			return r.record()
		case r.state == atStart:
			return nil, fmt.Errorf("%w: JSON must start with '[' or '{': <%c>", ErrRecords, b)
		case b == ']':
			r.skip()
			r.state = atEnd
		case b == '}':
			return nil, fmt.Errorf("%w: '}' without '{'", ErrRecords)
		default:
			r.passOver(b)
		}
		if r.size > r.most {
			r.size = 0 // between records there may be any amount of nothing
		}
	}
}

// passOver skips what is no record between the records, as Groonga does.
func (r *RecordReader) passOver(b byte) {
	if b == '"' {
		r.out = r.out[:0]
		r.text()
		r.bad = nil
		return
	}
	r.skip()
}

// ended is the error at the end of what there is to read.
func (r *RecordReader) ended() error {
	if r.err != nil && !errors.Is(r.err, io.EOF) {
		return r.err
	}
	if len(r.open) > 0 {
		return fmt.Errorf("%w: the last one is cut off", ErrRecords)
	}
	return io.EOF
}

func isSpace(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' }

// record reads what begins with a bracket, up to its end.
func (r *RecordReader) record() ([]byte, error) {
	r.out = make([]byte, 0, 256)
	for {
		b, ok := r.peek()
		if !ok {
			return nil, r.ended()
		}
		if r.size > r.most {
			return nil, fmt.Errorf("%w: one has more than %d bytes", ErrRecords, r.most)
		}
		switch {
		case isSpace(b) || b == ',' || b == ':':
			r.skip()
		case b == '{' || b == '[':
			if len(r.open) == maxRecordNesting {
				return nil, fmt.Errorf("%w: one is nested deeper than %d levels", ErrRecords, maxRecordNesting)
			}
			r.separate()
			r.checkName()
			r.out, r.open = append(r.out, b), append(r.open, b, 0)
			r.skip()
		case b == '}' || b == ']':
			if r.open[len(r.open)-2]+2 != b {
				return nil, fmt.Errorf("%w: %q closes %q", ErrRecords, b, r.open[len(r.open)-2])
			}
			if b == '}' && r.open[len(r.open)-1] == '1' {
				r.fault("a name has no value")
			}
			r.skip()
			r.out, r.open = append(r.out, b), r.open[:len(r.open)-2]
			if len(r.open) == 0 {
				return r.out, r.bad
			}
		default:
			r.scalar(b)
		}
	}
}

func (r *RecordReader) fault(what string) {
	if r.bad == nil {
		r.bad = fmt.Errorf("%w: %s", ErrRecord, what)
	}
}

// separate writes what stands before a value. The second byte of each open bracket says
// what the last member was: nothing yet, '1' a name, '2' a value.
func (r *RecordReader) separate() {
	if len(r.open) == 0 {
		return
	}
	last := &r.open[len(r.open)-1]
	object := r.open[len(r.open)-2] == '{'
	switch {
	case object && *last == '1':
		r.out, *last = append(r.out, ':'), '2'
		return
	case *last != 0:
		r.out = append(r.out, ',')
	}
	*last = '2'
	if object {
		*last, r.name = '1', len(r.out)
	}
}

// checkName refuses the value that begins here if it is one of what has to be a scalar.
func (r *RecordReader) checkName() {
	if n := len(r.open); n == 0 || r.open[n-2] != '{' || r.open[n-1] != '2' {
		return
	}
	if name, _ := textOf(r.out[r.name : len(r.out)-1]); r.scalars[name] {
		r.fault(name + " is neither a text nor a number")
	}
}

// scalar reads a text, a number or a word.
func (r *RecordReader) scalar(b byte) {
	switch {
	case b == '"':
		r.separate()
		r.text()
	case b == '+' || b == '-' || isDigit(b):
		r.separate()
		r.number()
	case isLetter(b):
		r.separate()
		r.word()
	default:
		if b >= utf8.RuneSelf {
			r.character()
			r.out = r.out[:len(r.out)-r.passed()]
			return
		}
		r.skip()
	}
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

func isLetter(b byte) bool { return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '_' }

// passed is how long the character is that was read last.
func (r *RecordReader) passed() int {
	_, n := utf8.DecodeLastRune(r.out)
	return n
}

// character reads one that is not ASCII.
func (r *RecordReader) character() {
	var c [utf8.UTFMax]byte
	c[0] = r.buf[0]
	n := 1
	r.skip()
	for n < len(c) && !utf8.FullRune(c[:n]) {
		b, ok := r.peek()
		if !ok || b&0xc0 != 0x80 {
			break // the next byte is none of this character
		}
		c[n] = b
		n++
		r.skip()
	}
	char, width := utf8.DecodeRune(c[:n])
	if width != n || char == utf8.RuneError && width == 1 {
		r.fault("a byte is no UTF-8")
	}
	r.out = utf8.AppendRune(r.out, char)
}

// text reads a text in quotes and writes it in strict JSON.
func (r *RecordReader) text() {
	r.skip()
	r.out = append(r.out, '"')
	for r.size <= r.most && (len(r.buf) > 0 || r.fill()) {
		n := 0
		for n < len(r.buf) && r.buf[n] != '"' && r.buf[n] != '\\' && r.buf[n] >= ' ' && r.buf[n] < 0x7f {
			n++
		}
		r.out = append(r.out, r.buf[:n]...)
		r.buf, r.size = r.buf[n:], r.size+n
		if len(r.buf) == 0 {
			continue
		}
		switch b := r.buf[0]; {
		case b == '"':
			r.skip()
			r.out = append(r.out, '"')
			return
		case b == '\\':
			r.skip()
			r.escape()
		case b >= utf8.RuneSelf:
			r.character()
		default:
			r.skip()
			r.out = appendEscaped(r.out, b)
		}
	}
}

// escape reads what follows a backslash.
func (r *RecordReader) escape() {
	b, ok := r.peek()
	if !ok {
		return
	}
	if b >= utf8.RuneSelf {
		r.character()
		return
	}
	r.skip()
	switch b {
	case 'b', 'f', 'n', 'r', 't':
		r.out = append(r.out, '\\', b)
	case 'u':
		r.out = append(r.out, '\\', 'u')
		for range 4 {
			b, ok := r.peek()
			if !ok || !isDigit(b) && (b|0x20 < 'a' || b|0x20 > 'f') {
				r.fault(`\u without four hexadecimal digits`)
				r.out = append(r.out, '0')
				continue
			}
			r.out = append(r.out, b)
			r.skip()
		}
	default:
		r.out = appendEscaped(r.out, b)
	}
}

// appendEscaped writes one character of ASCII.
func appendEscaped(b []byte, c byte) []byte {
	text := escapeText(nil, string(rune(c)))
	return append(b, text[1:len(text)-1]...)
}

// number reads a number. What Groonga does not take for one it takes for a text.
func (r *RecordReader) number() {
	from := len(r.out)
	for b, ok := r.peek(); ok && (isDigit(b) || b == '+' || b == '-' || b == '.' || b == 'e' || b == 'E'); b, ok = r.peek() {
		r.out = append(r.out, b)
		r.skip()
	}
	digits := string(r.out[from:])
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil && digits[0] != '+' {
		r.out = strconv.AppendInt(r.out[:from], n, 10)
		return
	}
	if n, err := strconv.ParseUint(digits, 10, 64); err == nil && digits[0] != '+' {
		r.out = strconv.AppendUint(r.out[:from], n, 10)
		return
	}
	// Groonga looks for an integer first, and for a fraction only where one begins.
	whole := digits
	if whole[0] == '-' {
		whole = whole[1:]
	}
	if _, err := strconv.ParseFloat(digits, 64); err != nil || whole == "" || !isDigit(whole[0]) {
		r.out = escapeText(r.out[:from], digits)
	}
}

// word reads a name or text without quotes.
func (r *RecordReader) word() {
	from := len(r.out)
	for b, ok := r.peek(); ok && (isLetter(b) || isDigit(b)); b, ok = r.peek() {
		r.out = append(r.out, b)
		r.skip()
	}
	switch word := string(r.out[from:]); word {
	case "null", "true", "false":
	default:
		r.out = escapeText(r.out[:from], word)
	}
}
