package agent

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// keyAnswers is what the nodes have said to a key query.
type keyAnswers struct {
	rpc.KeyResponse
	missing map[string]struct{} // the nodes that have not answered
	primary map[string]string   // node → the key that it seals with, in base64
}

// Key implements rpc.Backend: it asks all nodes to do something with a key and
// returns when every node has answered, or the query's time is over.
func (b backend) Key(ctx context.Context, command, key string) (rpc.KeyResponse, error) {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return newKeyAnswers(nil).KeyResponse, err
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

func newKeyAnswers(nodes []string) *keyAnswers {
	resp := &keyAnswers{
		KeyResponse: rpc.KeyResponse{Messages: map[string]string{}, Keys: map[string]int{}, NumNodes: len(nodes)},
		missing:     map[string]struct{}{},
		primary:     map[string]string{},
	}
	for _, n := range nodes {
		resp.missing[n] = struct{}{}
	}
	return resp
}

// keyPayload is that of a key query. Of list-keys the key is empty, as in Serf.
func keyPayload(key []byte) []byte { return (&wire.KeyRequest{Key: key}).AppendTo(nil) }

// directAnswer is how long one member has to answer a query of it alone.
const directAnswer = 2 * time.Second

// askKeys asks a key query of all nodes, and then once more those that have not
// answered: a query goes out by gossip, which now and then misses a node, and
// all of these queries may be done twice (P184).
func (a *Agent) askKeys(ctx context.Context, command string, key []byte) (*keyAnswers, error) {
	var nodes []string
	for _, m := range a.Members() {
		if m.Status == serf.StatusAlive || m.Status == serf.StatusLeaving {
			nodes = append(nodes, m.Name)
		}
	}
	resp := newKeyAnswers(nodes)
	records := make(chan rpc.QueryRecord, 2*len(nodes)+16)
	req := rpc.QueryRequest{Name: internalPrefix + command, Payload: keyPayload(key)}
	if err := a.query(&req, queued(records)); err != nil {
		return resp, err
	}
	if err := a.collectKeys(ctx, resp, records, 1); err != nil {
		return resp, err
	}
	return resp, a.askDirectly(ctx, command, key, resp)
}

// askDirectly asks each node that is missing in resp, in packets that reach nobody else.
func (a *Agent) askDirectly(ctx context.Context, command string, key []byte, resp *keyAnswers) error {
	records := make(chan rpc.QueryRecord, 2*len(resp.missing)+16)
	running := 0
	for _, name := range slices.Sorted(maps.Keys(resp.missing)) {
		err := a.doErr(func(now time.Time) error {
			id, err := a.machine.QueryMember(now, name, internalPrefix+command, keyPayload(key), directAnswer)
			if err == nil {
				a.queries.add(id, queued(records))
			}
			return err
		})
		switch {
		case errors.Is(err, ErrStopped):
			return err
		case err == nil: // otherwise it is gone, and stays missing
			running++
		}
	}
	return a.collectKeys(ctx, resp, records, running)
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

// collectKeys takes answers until all nodes have answered or so many queries have ended.
func (a *Agent) collectKeys(ctx context.Context, resp *keyAnswers, records <-chan rpc.QueryRecord, queries int) error {
	for resp.NumResp < resp.NumNodes && queries > 0 {
		select {
		case r := <-records:
			switch r.Type {
			case rpc.QueryRecordDone:
				queries--
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
	delete(resp.missing, from)
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
