package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ibuki-dev/ibuki/dispatch"
	"github.com/ibuki-dev/ibuki/groonga"
)

// peerPath is where gateways tell each other how they stand.
const peerPath = "/ibuki/peer"

// maxPeerMessage bounds what one gateway takes from another, in bytes.
const maxPeerMessage = 4 << 20

// peer answers another gateway.
func (s *Server) peer(ctx *fasthttp.RequestCtx) {
	var m dispatch.PeerMessage
	if err := json.Unmarshal(ctx.PostBody(), &m); err != nil {
		ctx.Error("no message of a gateway", fasthttp.StatusBadRequest)
		return
	}
	s.json(ctx, s.cfg.Exchange(m))
}

// Client talks to other gateways. It is a dispatch.PeerClient.
type Client struct {
	http      *http.Client
	maxAnswer int64
}

// NewClient makes a Client. maxAnswer bounds an answer's bytes.
func NewClient(maxAnswer int64) *Client {
	return &Client{maxAnswer: maxAnswer, http: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute, DisableCompression: true,
	}}}
}

// Close gives up the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Exchange tells another gateway how this one stands: see dispatch.PeerClient.
func (c *Client) Exchange(ctx context.Context, addr string, m dispatch.PeerMessage) (reply dispatch.PeerMessage, err error) {
	text, err := json.Marshal(m)
	if err != nil {
		return reply, err
	}
	_, body, err := c.post(ctx, "POST", "http://"+addr+peerPath, text, nil, maxPeerMessage)
	if err == nil {
		err = json.Unmarshal(body, &reply)
	}
	return reply, err
}

// Forward has another gateway do a write: see dispatch.PeerClient.
func (c *Client) Forward(ctx context.Context, addr string, cmd *groonga.Command) (groonga.Answer, error) {
	header := make(http.Header)
	header.Set(headerWrite, cmd.ID)
	if cmd.Dataset != "" {
		header.Set(headerDataset, cmd.Dataset)
	}
	if cmd.ContentType != "" {
		header.Set("Content-Type", cmd.ContentType)
	} else if cmd.Body != nil {
		header.Set("Content-Type", "application/json")
	}
	resp, body, err := c.post(ctx, cmd.Method(), "http://"+addr+cmd.URI(), cmd.Body, header, c.maxAnswer)
	if err != nil {
		return groonga.Answer{}, err
	}
	if name := resp.Header.Get(headerFault); name != "" {
		return groonga.Answer{}, told(name, message(body))
	}
	answer := groonga.Answer{Status: resp.StatusCode, ContentType: resp.Header.Get("Content-Type"), Body: body, Volume: addr}
	if seconds, err := strconv.ParseFloat(resp.Header.Get(headerStale), 64); err == nil {
		answer.Stale = time.Duration(seconds * float64(time.Second))
	}
	answer.Code = groonga.ReturnCode(answer.Status, body)
	return answer, nil
}

func (c *Client) post(ctx context.Context, method, url string, text []byte, header http.Header, most int64) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	if header != nil {
		req.Header = header
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return nil, nil, err
	}
	if int64(len(body)) > most {
		return nil, nil, fmt.Errorf("%w: more than %d bytes", dispatch.ErrAnswerTooLong, most)
	}
	if header == nil && resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return resp, body, nil
}

// message is the text of a fault in an envelope.
func message(body []byte) string {
	var doc [1][]json.RawMessage
	var text string
	if json.Unmarshal(body, &doc) != nil || len(doc[0]) < 4 || json.Unmarshal(doc[0][3], &text) != nil {
		return fmt.Sprintf("%.200s", body)
	}
	return text
}
