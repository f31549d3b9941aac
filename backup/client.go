package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

const (
	// commandPatience is for how long a command is tried again that is not done because of a fault that passes: a
	// leader that is elected, a log that is full, a gateway that is started.
	commandPatience = 2 * time.Minute
	// commandAgain is the pause between two tries.
	commandAgain = 300 * time.Millisecond
	// commandWait is how long one try may take: gateways answer after a minute.
	commandWait = 5 * time.Minute
	// maxAnswer bounds an answer.
	maxAnswer = 64 << 20
)

// passing are the faults after which a command is sent again: it has a request id, so that it is done once.
var passing = map[string]bool{
	"no-majority": true, "unconfirmed": true, "buffer-full": true, "overload": true, "stopped": true, "no-replica": true, "given-up": true, "timeout": true,
}

// Client sends commands to a gateway until they are done: a fill.Server.
type Client struct {
	http             *http.Client
	address, dataset string
}

// NewClient makes one for the gateway at an address; dataset "" is that gateway's default.
func NewClient(address, dataset string) *Client {
	return &Client{&http.Client{Timeout: commandWait, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}, address, dataset}
}

// Close ends its connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Do sends a command, again as long as a fault passes.
func (c *Client) Do(ctx context.Context, command *groonga.Command) (groonga.Answer, error) {
	id := rand.Text()
	heard := time.Now()
	for {
		answer, fault, err := c.try(ctx, command, id)
		if err == nil && !passing[fault] || ctx.Err() != nil {
			return answer, errors.Join(err, context.Cause(ctx))
		}
		if err == nil {
			err = errors.New(groonga.Message(answer.Body))
		}
		switch fault {
		case "unconfirmed":
			heard = time.Now() // it is under way: an index of many records takes its time
		case "given-up":
			id = rand.Text() // that one will never be done
		}
		if time.Since(heard) > commandPatience {
			return answer, fmt.Errorf("%s: %w", command.Name, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(commandAgain):
		}
	}
}

// try sends a command once. fault is the gateway's own.
func (c *Client) try(ctx context.Context, command *groonga.Command, id string) (a groonga.Answer, fault string, err error) {
	req, err := http.NewRequestWithContext(ctx, command.Method(), "http://"+c.address+command.URI(), bytes.NewReader(command.Body))
	if err != nil {
		return a, "", err
	}
	req.Header.Set("X-Ibuki-Request-Id", id)
	if command.Body != nil {
		req.Header.Set("Content-Type", groonga.JSONType)
	}
	if c.dataset != "" {
		req.Header.Set("X-Ibuki-Dataset", c.dataset)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return a, "", errors.Unwrap(err) // without the method and the address
	}
	defer resp.Body.Close()
	if a.Body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return a, "", err
	}
	a.Status, a.ContentType = resp.StatusCode, resp.Header.Get("Content-Type")
	a.Code = groonga.ReturnCode(resp.StatusCode, a.Body)
	return a, resp.Header.Get("X-Ibuki-Fault"), nil
}

// Ask sends a command and returns the body of its answer; a return code is an error.
func (c *Client) Ask(ctx context.Context, command *groonga.Command) (json.RawMessage, error) {
	a, err := c.Do(ctx, command)
	if err != nil {
		return nil, err
	}
	if a.Code != 0 {
		return nil, fmt.Errorf("%s: %s", command.Name, groonga.Message(a.Body))
	}
	return groonga.Result(a.Body)
}
