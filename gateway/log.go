package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ibuki-dev/ibuki/writelog/member"
)

// logPath is where the gateways that share a log of writes talk to each other.
const logPath = "/ibuki/log"

// logTimeout is how long a request of another gateway may take.
const logTimeout = 2 * time.Minute

// logRequest answers another gateway of the log.
func (s *Server) logRequest(ctx *fasthttp.RequestCtx) {
	body, err := readBody(ctx)
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusBadRequest)
		return
	}
	limited, cancel := context.WithTimeout(context.Background(), logTimeout)
	defer cancel()
	reply, err := s.cfg.WriteLog(limited, body)
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusBadRequest)
		return
	}
	ctx.SetContentType("application/octet-stream")
	ctx.Response.SetBodyRaw(reply)
}

// readBody reads a body that may be longer than one step of a load.
func readBody(ctx *fasthttp.RequestCtx) ([]byte, error) {
	stream := ctx.RequestBodyStream()
	if stream == nil {
		return bytes.Clone(ctx.PostBody()), nil
	}
	body, err := io.ReadAll(io.LimitReader(stream, member.MaxRequest+1))
	if err == nil && len(body) > member.MaxRequest {
		err = fmt.Errorf("a request of more than %d bytes", member.MaxRequest)
	}
	return body, err
}

// Ask asks another gateway of the log: see member.Transport.
func (c *Client) Ask(ctx context.Context, addr string, request []byte) (reply []byte, refused bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+logPath, bytes.NewReader(request))
	if err != nil {
		return nil, false, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, errors.Is(err, syscall.ECONNREFUSED), err
	}
	defer resp.Body.Close()
	reply, err = io.ReadAll(io.LimitReader(resp.Body, member.MaxRequest+1))
	switch {
	case err != nil:
		return nil, false, err
	case resp.StatusCode != http.StatusOK:
		return nil, false, fmt.Errorf("%s: %.200s", resp.Status, bytes.TrimSpace(reply))
	case len(reply) > member.MaxRequest:
		return nil, false, fmt.Errorf("an answer of more than %d bytes", member.MaxRequest)
	}
	return reply, false, nil
}
