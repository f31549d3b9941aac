package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"slices"
)

// firstRead is how much room a stream's buffer gets before anything has come.
const firstRead = 4096

// ReadStream reads one message from a stream that another node has opened and
// returns it plain, with its type byte: label checked and removed, decrypted,
// decompressed. buf is memory that it may use; msg may or may not be in it.
//
// Nothing is allocated because a length was declared: memory grows with the bytes
// that have come, to at most MaxStream (MaxUserState if sealed), and with those
// that are inflated, to at most MaxStream again. If r also is an
// io.ByteReader, not a byte beyond the message is read; if not, r is buffered, and
// what follows the message may be lost, which is nothing with these protocols.
//
// An error of r is returned as it is; io.EOF means that the stream ended before
// it began, which is harmless: some clients only look whether the port is open.
func (f *Frame) ReadStream(r io.Reader, buf []byte) (msg []byte, err error) {
	msg, _, err = f.ReadStreamKey(r, buf)
	return msg, err
}

// ReadStreamKey is ReadStream, and tells the key that the message was sealed with;
// not a valid one if it was not. An error may come with the key.
func (f *Frame) ReadStreamKey(r io.Reader, buf []byte) (msg []byte, key Key, err error) {
	s := newStream(r, buf)
	label, err := s.label()
	if err != nil {
		return nil, Key{}, err
	}
	if !f.accepts(label) {
		return nil, Key{}, ErrLabel
	}
	return f.readMessage(&s)
}

// ReadReply is ReadStream for the answer on a stream that this node has opened,
// which has no label before it.
func (f *Frame) ReadReply(r io.Reader, buf []byte) (msg []byte, err error) {
	s := newStream(r, buf)
	msg, _, err = f.readMessage(&s)
	return msg, err
}

func (f *Frame) readMessage(s *stream) ([]byte, Key, error) {
	if err := s.need(1); err != nil {
		return nil, Key{}, err
	}
	sealed := Type(s.buf[s.pos]) == TypeEncrypt
	switch {
	case sealed && len(f.Keys) == 0:
		return nil, Key{}, ErrUnexpectedEncryption
	case !sealed && len(f.Keys) > 0 && f.VerifyIncoming:
		return nil, Key{}, ErrNotEncrypted
	}
	var plain []byte
	var key Key
	var err error
	if sealed {
		plain, key, err = f.readSealed(s)
	} else {
		plain, err = s.plainMessage()
	}
	if err != nil {
		return nil, key, err
	}
	if Type(plain[0]) != TypeCompress {
		return plain, key, nil
	}
	var inflate inflater
	plain, err = inflate.appendTo(nil, plain[1:], MaxStream)
	if err != nil {
		return nil, key, err
	}
	if len(plain) == 0 {
		return nil, key, ErrTruncated
	}
	return plain, key, nil
}

func (f *Frame) readSealed(s *stream) ([]byte, Key, error) {
	if err := s.need(streamHead); err != nil {
		return nil, Key{}, err
	}
	head := s.buf[s.pos : s.pos+streamHead]
	n := binary.BigEndian.Uint32(head[1:])
	if n > MaxUserState {
		return nil, Key{}, ErrLimit
	}
	authenticated := append(append([]byte(nil), head...), f.Label...)
	s.pos += streamHead
	if err := s.need(int(n)); err != nil {
		return nil, Key{}, err
	}
	plain, key, err := f.open(nil, s.buf[s.pos:s.pos+int(n)], authenticated)
	if err == nil && len(plain) == 0 {
		err = ErrTruncated
	}
	return plain, key, err
}

// stream reads what is needed and no more.
type stream struct {
	r   io.Reader
	buf []byte
	pos int // what comes before it has been dealt with
}

func newStream(r io.Reader, buf []byte) stream {
	if _, ok := r.(io.ByteReader); !ok {
		r = bufio.NewReader(r)
	}
	return stream{r: r, buf: buf[:0]}
}

// need makes sure that n bytes follow pos.
func (s *stream) need(n int) error {
	want := s.pos + n
	if want > MaxStream {
		return ErrLimit
	}
	for len(s.buf) < want {
		if len(s.buf) == cap(s.buf) {
			s.buf = slices.Grow(s.buf, max(firstRead, len(s.buf)))
		}
		got, err := io.ReadFull(s.r, s.buf[len(s.buf):min(want, cap(s.buf))])
		s.buf = s.buf[:len(s.buf)+got]
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) && len(s.buf) == 0 {
			return io.EOF
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return ErrTruncated
		}
		return err
	}
	return nil
}

// label reads the label at the beginning, if there is one.
func (s *stream) label() ([]byte, error) {
	if err := s.need(1); err != nil || Type(s.buf[0]) != TypeLabel {
		return nil, err
	}
	if err := s.need(2); err != nil {
		return nil, err
	}
	n := int(s.buf[1])
	if n == 0 {
		return nil, ErrLabel
	}
	if err := s.need(2 + n); err != nil {
		return nil, err
	}
	s.pos = 2 + n
	return s.buf[2:s.pos], nil
}

// plainMessage reads an unsealed message to its end, which only its content tells.
func (s *stream) plainMessage() ([]byte, error) {
	start := s.pos
	t := Type(s.buf[s.pos])
	s.pos++
	var err error
	switch t {
	case TypePing, TypeAck, TypeErr, TypeCompress:
		err = s.value()
	case TypeUser:
		err = s.userMessage()
	case TypePushPull:
		err = s.pushPull()
	default:
		err = ErrType
	}
	if err != nil {
		return nil, err
	}
	return s.buf[start:s.pos:s.pos], nil
}

// value reads one msgpack value.
func (s *stream) value() error {
	var level nest
	for level.start(); level.depth > 0; {
		if err := s.need(1); err != nil {
			return err
		}
		if err := s.need(headLen(s.buf[s.pos])); err != nil {
			return err
		}
		t := readToken(s.buf[s.pos:])
		s.pos += t.head
		n, err := level.enter(t)
		if err != nil {
			return err
		}
		if err := s.need(n); err != nil {
			return err
		}
		s.pos += n
	}
	return nil
}

// take reads n bytes of content.
func (s *stream) take(n int) error {
	if err := s.need(n); err != nil {
		return err
	}
	s.pos += n
	return nil
}

func (s *stream) userMessage() error {
	start := s.pos
	if err := s.value(); err != nil {
		return err
	}
	r := reader{b: s.buf[start:s.pos]}
	n := r.userStreamLen()
	if r.err != nil {
		return r.err
	}
	return s.take(n)
}

func (s *stream) pushPull() error {
	start := s.pos
	if err := s.value(); err != nil {
		return err
	}
	p := PushPull{r: reader{b: s.buf[start:s.pos]}}
	p.readHeader()
	if p.r.err != nil {
		return p.r.err
	}
	for range p.Header.Nodes {
		if err := s.value(); err != nil {
			return err
		}
	}
	return s.take(p.Header.UserStateLen)
}
