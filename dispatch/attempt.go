package dispatch

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/sock"
)

// errInterrupted ends an attempt that is not wanted any more.
var errInterrupted = errors.New("interrupted")

// attempt is one request to one volume, from its choice until its answer or its end.
// It runs in the goroutine that asks; another may interrupt it.
type attempt struct {
	volume *volume
	race   *race // whose it is; nil for a probe or a write
	start  time.Time
	hedged bool // another attempt was begun because this one was late; guarded by volume.mu
	place  int  // in volume.running; guarded by volume.mu

	mu      sync.Mutex
	conn    *conn
	stopped bool
	stop    chan struct{} // made when a connection is being dialled
}

// interrupt ends the attempt: its run returns errInterrupted soon.
func (a *attempt) interrupt() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return
	}
	a.stopped = true
	if a.stop != nil {
		close(a.stop)
	}
	if a.conn != nil {
		_ = a.conn.SetDeadline(time.Unix(1, 0))
	}
}

// interrupted reports whether interrupt was called.
func (a *attempt) interrupted() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stopped
}

// take makes c the attempt's connection, unless it was interrupted.
func (a *attempt) take(c *conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conn = c
	return !a.stopped
}

// run sends the command and reads the answer. fresh: on a new connection. reused
// tells that the request went out on a connection that may have been closed by the
// server before: then a failure without an answer says nothing of the server.
func (a *attempt) run(c *groonga.Command, fresh bool) (answer groonga.Answer, reused bool, err error) {
	p := &a.volume.pool
	var cn *conn
	if !fresh {
		cn = p.get()
	}
	if cn == nil {
		a.mu.Lock()
		if a.stopped {
			a.mu.Unlock()
			return groonga.Answer{}, false, errInterrupted
		}
		if p.waits {
			a.stop = make(chan struct{})
		}
		a.mu.Unlock()
		if cn, err = p.dial(a.stop); err != nil {
			return groonga.Answer{}, false, err
		}
	}
	if !a.take(cn) {
		cn.end()
		return groonga.Answer{}, false, errInterrupted
	}
	reused = cn.used
	answer, keep, err := cn.exchange(c, a.volume.addr, a.volume.maxAnswer)
	if !a.take(nil) && err == nil {
		// The deadline that interrupts it is set, but the answer was faster.
		keep = false
	}
	switch {
	case err != nil && a.interrupted():
		cn.end()
		return groonga.Answer{}, reused, errInterrupted
	case err != nil:
		cn.end()
	case !keep:
		sock.Answered(cn.Conn)
		cn.end()
	default:
		p.put(cn)
	}
	answer.Volume = a.volume.addr
	return answer, reused, err
}

// exchange sends one request and reads its answer. keep tells that the connection
// may carry another one.
func (c *conn) exchange(cmd *groonga.Command, host string, maxAnswer int) (answer groonga.Answer, keep bool, err error) {
	c.out = appendRequest(c.out[:0], cmd, host)
	if _, err := c.Write(c.out); err != nil {
		return groonga.Answer{}, false, err
	}
	if cap(c.out) > 64<<10 {
		c.out = nil
	}
	if len(cmd.Body) > 0 {
		if _, err := c.Write(cmd.Body); err != nil {
			return groonga.Answer{}, false, err
		}
	}
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	if err := resp.ReadLimitBody(c.in, maxAnswer); err != nil {
		return groonga.Answer{}, false, err
	}
	answer = groonga.Answer{
		Status:      resp.StatusCode(),
		ContentType: contentType(resp.Header.ContentType()),
		Body:        resp.SwapBody(nil),
		Software:    string(resp.Header.Server()),
	}
	answer.Code = groonga.ReturnCode(answer.Status, answer.Body)
	return answer, !resp.ConnectionClose(), nil
}

// appendRequest writes the head of a request.
func appendRequest(b []byte, c *groonga.Command, host string) []byte {
	b = append(b, c.Method()...)
	b = append(b, ' ')
	b = c.AppendURI(b)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	if c.Body != nil {
		kind := c.ContentType
		if kind == "" {
			kind = "application/json"
		}
		b = append(b, "\r\nContent-Type: "...)
		b = append(b, kind...)
		b = append(b, "\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(c.Body)), 10)
	}
	return append(b, "\r\n\r\n"...)
}

// contentType is the text of a header that is nearly always the same.
func contentType(b []byte) string {
	if string(b) == groonga.JSONType {
		return groonga.JSONType
	}
	return string(b)
}
