package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/ibuki-dev/ibuki/dispatch"
	"github.com/ibuki-dev/ibuki/groonga"
)

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

// Forward has another gateway answer a search: see dispatch.PeerClient.
func (c *Client) Forward(ctx context.Context, addr string, cmd *groonga.Command) (groonga.Answer, error) {
	header := make(http.Header)
	header.Set(headerPassed, "search")
	if cmd.Dataset != "" {
		header.Set(headerDataset, cmd.Dataset)
	}
	resp, body, err := c.get(ctx, "http://"+addr+cmd.URI(), header)
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

func (c *Client) get(ctx context.Context, url string, header http.Header) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	req.Header = header
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.maxAnswer+1))
	if err != nil {
		return nil, nil, err
	}
	if int64(len(body)) > c.maxAnswer {
		return nil, nil, fmt.Errorf("%w: more than %d bytes", dispatch.ErrAnswerTooLong, c.maxAnswer)
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
