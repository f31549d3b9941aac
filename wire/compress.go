package wire

import (
	"bytes"
	"compress/lzw"
	"errors"
	"io"
	"slices"
)

var compressFields = []string{"Algo", "Buf"}

// algoLZW is the only compression algorithm that the protocol knows.
const algoLZW = 0

// Compressor wraps messages in a compressed one. It keeps its state from one
// message to the next; the zero value is ready.
type Compressor struct {
	lzw lzw.Writer
	out byteSink
}

// byteSink collects bytes. It has the methods that spare lzw a buffered writer.
type byteSink struct{ b []byte }

func (s *byteSink) WriteByte(c byte) error      { s.b = append(s.b, c); return nil }
func (s *byteSink) Write(p []byte) (int, error) { s.b = append(s.b, p...); return len(p), nil }
func (s *byteSink) Flush() error                { return nil }

// Append appends msg, compressed, as a message. The result may be longer than
// msg: the peers then send a packet as it was, and a stream compressed all the same.
func (c *Compressor) Append(dst, msg []byte) []byte {
	c.out.b = c.out.b[:0]
	c.lzw.Reset(&c.out, lzw.LSB, lzwLitWidth)
	if _, err := c.lzw.Write(msg); err != nil {
		panic("wire: lzw cannot write to memory: " + err.Error())
	}
	if err := c.lzw.Close(); err != nil {
		panic("wire: lzw cannot write to memory: " + err.Error())
	}
	dst = append(dst, byte(TypeCompress), 0x82)
	dst = appendUint(appendStr(dst, "Algo"), algoLZW)
	return appendRaw(appendStr(dst, "Buf"), c.out.b)
}

// inflater undoes a Compressor.
type inflater struct {
	lzw lzw.Reader
	src bytes.Reader
}

// appendTo appends to dst the content of a compressed message (body: without its
// type byte), which may have at most limit bytes. dst grows as they appear.
func (f *inflater) appendTo(dst, body []byte, limit int) ([]byte, error) {
	r := reader{b: body}
	algo, data := uint8(0), []byte(nil)
	for s := r.open(compressFields); s.next(); {
		switch s.name {
		case "Algo":
			algo = r.uint8()
		case "Buf":
			data = r.bytes()
		}
	}
	if r.err != nil {
		return dst, r.err
	}
	if algo != algoLZW {
		return dst, ErrCompression
	}
	f.src.Reset(data)
	f.lzw.Reset(&f.src, lzw.LSB, lzwLitWidth)
	end := len(dst) + limit
	for {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, max(512, min(len(dst), limit)))
		}
		n, err := f.lzw.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > end:
			return dst, ErrLimit
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return dst, ErrCompression
		}
	}
}
