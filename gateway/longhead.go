package gateway

import (
	"bytes"
	"fmt"
	"net"

	"github.com/valyala/fasthttp"

	"github.com/ibuki-dev/ibuki/groonga"
)

// maxLongHead is how long the head of a GET of a command may be.
const maxLongHead = groonga.MaxURI

// longHeads accepts connections on which GETs of commands may have a head of any length up
// to maxLongHead. The HTTP library has a buffer for each connection into which a head has to
// fit; one that does not reaches it as a POST with the arguments as a form, which is the
// same command.
type longHeads struct{ net.Listener }

func (l longHeads) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &headConn{Conn: c, fresh: true}, nil
}

// headConn is a connection of a client. The library alone reads it, in one goroutine.
type headConn struct {
	net.Conn
	fresh   bool   // a request begins with the next bytes
	pending []byte // what was read and is not handed on yet
	begin   []byte // how a request began that is too long
}

// beginOfHead is how much is kept of a request that is too long, to answer in its form.
const beginOfHead = 4 << 10

// noteIdle is a ConnState hook of the library's: the last request was answered.
func noteIdle(c net.Conn, state fasthttp.ConnState) {
	if h, ok := c.(*headConn); ok && state == fasthttp.StateIdle {
		h.fresh = true
	}
}

var commandHead = []byte("GET /d/")

// Read hands on what comes, the head of a GET of a command as a whole.
func (c *headConn) Read(p []byte) (int, error) {
	if len(c.pending) > 0 {
		return c.hand(p), nil
	}
	n, err := c.Conn.Read(p)
	if !c.fresh || n == 0 {
		return n, err
	}
	c.fresh = false
	if err != nil || !bytes.HasPrefix(p[:n], commandHead) || endOfHead(p[:n]) >= 0 {
		return n, err
	}
	head, end := bytes.Clone(p[:n]), -1
	for end < 0 && len(head) <= maxLongHead {
		if n, _ = c.Conn.Read(p); n == 0 {
			break // what there is goes on; the error comes again
		}
		from := max(0, len(head)-len("\n\r"))
		head = append(head, p[:n]...)
		if end = endOfHead(head[from:]); end >= 0 {
			end += from
		}
	}
	switch {
	case end < 0 || end > maxLongHead:
		c.begin = head[:min(len(head), beginOfHead)]
	case end > len(p):
		head = asForm(head, end)
	}
	c.pending = head
	return c.hand(p), nil
}

// hand hands on what was read before.
func (c *headConn) hand(p []byte) int {
	n := copy(p, c.pending)
	if c.pending = c.pending[n:]; len(c.pending) == 0 {
		c.pending = nil
	}
	return n
}

// endOfHead is the index behind the empty line that ends a head, -1 if there is none yet.
func endOfHead(b []byte) int {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return -1
		}
		from += i + 1
		switch rest := b[from:]; {
		case bytes.HasPrefix(rest, []byte("\n")):
			return from + 1
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return from + 2
		}
	}
}

// ofBodies are the headers of requests that have a body, or say so. A GET with one of them is
// left as it is.
var ofBodies = [][]byte{[]byte("\ncontent-"), []byte("\ntransfer-encoding"), []byte("\nexpect")}

// asForm makes a POST of a GET whose head has that length. What is no such request is left to
// the library, which refuses it.
func asForm(request []byte, end int) []byte {
	line, headers, _ := bytes.Cut(request[:end], []byte("\n"))
	lower := bytes.ToLower(append([]byte("\n"), headers...))
	for _, name := range ofBodies {
		if bytes.Contains(lower, name) {
			return request
		}
	}
	uri, version, ok1 := bytes.Cut(bytes.TrimPrefix(line, []byte("GET ")), []byte(" "))
	path, arguments, ok2 := bytes.Cut(uri, []byte("?"))
	if !ok1 || !ok2 {
		return request
	}
	form := fmt.Appendf(make([]byte, 0, len(request)+128), "POST %s %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s",
		path, bytes.TrimSpace(version), formType, len(arguments), headers)
	return append(append(form, arguments...), request[end:]...)
}

// form is the form that the client of a request that is too long wants its answer in, as far
// as its beginning tells it.
func (c *headConn) form() groonga.Form {
	uri, _, _ := bytes.Cut(bytes.TrimPrefix(c.begin, []byte("GET ")), []byte(" "))
	if i := bytes.LastIndexAny(uri, "&;"); i >= 0 {
		uri = uri[:i] // the last argument is cut off
	} else {
		uri, _, _ = bytes.Cut(uri, []byte("?"))
	}
	command, err := groonga.ParseURI(string(uri))
	if err != nil {
		return groonga.Form{}
	}
	return command.Form()
}
