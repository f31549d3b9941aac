package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// gatewayAge is how old what is told of the gateway may be: however many ask, it
	// is asked once in that time.
	gatewayAge = time.Second
	// gatewayPatience is how long the gateway may take to answer.
	gatewayPatience = 2 * time.Second
	// gatewayBytes bounds its answer.
	gatewayBytes = 4 << 20
)

// gatewayAnswer is what the gateway said last.
type gatewayAnswer struct {
	Address   string    `json:"address"`
	Asked     time.Time `json:"asked"`
	Reachable bool      `json:"reachable"`
	Fault     string    `json:"fault,omitempty"` // why it is not
	// Status is the gateway's /status, as it is.
	Status json.RawMessage `json:"status,omitempty"`
}

// gatewayCache asks the gateway beside the agent, one question at a time.
type gatewayCache struct {
	address string
	client  *http.Client

	mu   sync.Mutex
	last gatewayAnswer
}

// init takes HOST:PORT of the gateway, "" if there is none.
func (g *gatewayCache) init(address string) {
	g.address = address
	g.client = &http.Client{
		Timeout: gatewayPatience,
		// Neither a proxy of the environment nor a redirect leads it elsewhere.
		Transport:     &http.Transport{MaxIdleConns: 1, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: maxHeader},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (g *gatewayCache) close() { g.client.CloseIdleConnections() }

// gateway answers with the status of the gateway beside this agent.
func (s *Server) gateway(w http.ResponseWriter, _ *http.Request) error {
	if s.beside.address == "" {
		return notFound("this agent was told of no gateway")
	}
	answer(w, http.StatusOK, s.beside.ask(s.ctx))
	return nil
}

// ask asks the gateway, or tells what it said less than gatewayAge ago. The answer is
// for all who wait, so it ends with the server and with no single client.
func (g *gatewayCache) ask(ctx context.Context) gatewayAnswer {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.last.Asked) < gatewayAge {
		return g.last
	}
	status, err := g.fetch(ctx)
	g.last = gatewayAnswer{Address: g.address, Asked: time.Now().UTC(), Reachable: err == nil, Status: status}
	if err != nil {
		g.last.Fault = err.Error()
	}
	return g.last
}

func (g *gatewayCache) fetch(ctx context.Context) (json.RawMessage, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.address+"/status", nil)
	if err != nil {
		return nil, err
	}
	resp, err := g.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered with HTTP status %d", resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, gatewayBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > gatewayBytes {
		return nil, fmt.Errorf("its answer has more than %d bytes", gatewayBytes)
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 || text[0] != '{' || !json.Valid(text) {
		return nil, errors.New("its answer is no JSON object")
	}
	return text, nil
}
