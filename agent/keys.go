package agent

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// keyAnswers is what the nodes have said to a key query.
type keyAnswers struct {
	rpc.KeyResponse
	primary map[string]string // node → the key that it seals with, in base64
}

// Key implements rpc.Backend: it asks all nodes to do something with a key and
// returns when every node has answered, or the query's time is over.
func (b backend) Key(ctx context.Context, command, key string) (rpc.KeyResponse, error) {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return newKeyAnswers().KeyResponse, err
	}
	resp, err := b.askKeys(ctx, command, raw)
	switch {
	case err != nil:
	case resp.NumErr != 0:
		err = fmt.Errorf("%d/%d nodes reported failure", resp.NumErr, resp.NumNodes)
	case resp.NumResp != resp.NumNodes:
		err = fmt.Errorf("%d/%d nodes reported success", resp.NumResp, resp.NumNodes)
	}
	return resp.KeyResponse, err
}

func newKeyAnswers() *keyAnswers {
	return &keyAnswers{
		KeyResponse: rpc.KeyResponse{Messages: map[string]string{}, Keys: map[string]int{}},
		primary:     map[string]string{},
	}
}

// askKeys asks a key query of all nodes.
func (a *Agent) askKeys(ctx context.Context, command string, key []byte) (*keyAnswers, error) {
	resp := newKeyAnswers()
	// The payload of list-keys has an empty key, as Serf's has.
	req := rpc.QueryRequest{Name: internalPrefix + command, Payload: (&wire.KeyRequest{Key: key}).AppendTo(nil)}
	for _, m := range a.Members() {
		if m.Status == serf.StatusAlive || m.Status == serf.StatusLeaving {
			resp.NumNodes++
		}
	}
	records := make(chan rpc.QueryRecord, resp.NumNodes+16)
	if err := a.query(&req, queued(records)); err != nil {
		return resp, err
	}
	return resp, a.collectKeys(ctx, resp, records)
}

// queued is a sink that never waits: what finds no room, because more nodes answer
// than there are, is dropped.
func queued(records chan<- rpc.QueryRecord) func(rpc.QueryRecord) {
	return func(r rpc.QueryRecord) {
		select {
		case records <- r:
		default:
		}
	}
}

// collectKeys takes answers until NumNodes have come or the query ends.
func (a *Agent) collectKeys(ctx context.Context, resp *keyAnswers, records <-chan rpc.QueryRecord) error {
	for resp.NumResp < resp.NumNodes {
		select {
		case r := <-records:
			switch r.Type {
			case rpc.QueryRecordDone:
				return nil
			case rpc.QueryRecordResponse:
				resp.add(r.From, r.Payload)
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-a.loopDone:
			return ErrStopped
		}
	}
	return nil
}

// add counts one node's answer. The texts are Serf's.
func (resp *keyAnswers) add(from string, payload []byte) {
	resp.NumResp++
	if len(payload) == 0 || wire.SerfType(payload[0]) != wire.SerfKeyResponse {
		resp.Messages[from] = fmt.Sprintf("Invalid key query response type: %v", payload)
		resp.NumErr++
		return
	}
	var k wire.KeyResponse
	if err := k.Decode(payload[1:], nil); err != nil {
		resp.Messages[from] = fmt.Sprintf("Failed to decode key query response: %v", payload)
		resp.NumErr++
		return
	}
	if !k.Result {
		resp.NumErr++
	}
	if !k.Result || k.Message != "" {
		resp.Messages[from] = k.Message
	}
	for _, key := range k.Keys {
		resp.Keys[key]++
	}
	resp.primary[from] = k.PrimaryKey
}
