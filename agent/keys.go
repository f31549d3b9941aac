package agent

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// keyring is the frame's keys as the key queries change them. The loop changes,
// the senders and readers only load the frame.
type keyring struct {
	frame *atomic.Pointer[wire.Frame]
}

var (
	errKeyUnknown = errors.New("requested key is not in the keyring")
	errKeyPrimary = errors.New("removing the primary key is not allowed")
)

func (k keyring) change(keys []wire.Key) {
	f := *k.frame.Load()
	f.Keys = keys
	k.frame.Store(&f)
}

func (k keyring) index(key []byte) (int, wire.Key, error) {
	want, err := wire.NewKey(key)
	if err != nil {
		return -1, want, err
	}
	return slices.IndexFunc(k.frame.Load().Keys, want.Equal), want, nil
}

// Install adds a key that opens.
func (k keyring) Install(key []byte) error {
	i, added, err := k.index(key)
	if err == nil && i < 0 {
		k.change(append(slices.Clone(k.frame.Load().Keys), added))
	}
	return err
}

// Use makes an installed key the one that seals.
func (k keyring) Use(key []byte) error {
	i, used, err := k.index(key)
	if err == nil && i < 0 {
		err = errKeyUnknown
	}
	if err == nil {
		rest := slices.Delete(slices.Clone(k.frame.Load().Keys), i, i+1)
		k.change(slices.Insert(rest, 0, used))
	}
	return err
}

// Remove forgets a key.
func (k keyring) Remove(key []byte) error {
	i, _, err := k.index(key)
	switch {
	case err != nil:
		return err
	case i == 0:
		return errKeyPrimary
	case i > 0:
		k.change(slices.Delete(slices.Clone(k.frame.Load().Keys), i, i+1))
	}
	return nil
}

// List returns all keys in base64.
func (k keyring) List() (keys []string, primary string) {
	for _, key := range k.frame.Load().Keys {
		keys = append(keys, base64.StdEncoding.EncodeToString(key.Bytes()))
	}
	return keys, keys[0]
}

var _ serf.Keyring = keyring{}

// Key implements rpc.Backend: it asks all nodes to do something with a key and
// returns when every node has answered, or the query's time is over.
func (b backend) Key(ctx context.Context, command, key string) (rpc.KeyResponse, error) {
	resp := rpc.KeyResponse{Messages: map[string]string{}, Keys: map[string]int{}}
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return resp, err
	}
	// The payload of list-keys has an empty key, as Serf's has.
	req := rpc.QueryRequest{Name: internalPrefix + command, Payload: (&wire.KeyRequest{Key: raw}).AppendTo(nil)}
	for _, m := range b.Agent.Members() {
		if m.Status == serf.StatusAlive || m.Status == serf.StatusLeaving {
			resp.NumNodes++
		}
	}
	records := make(chan rpc.QueryRecord, resp.NumNodes+16)
	if err := b.query(&req, func(r rpc.QueryRecord) {
		select {
		case records <- r:
		default: // more answers than nodes
		}
	}); err != nil {
		return resp, err
	}
	if err := b.collectKeys(ctx, &resp, records); err != nil {
		return resp, err
	}
	if resp.NumErr != 0 {
		return resp, fmt.Errorf("%d/%d nodes reported failure", resp.NumErr, resp.NumNodes)
	}
	if resp.NumResp != resp.NumNodes {
		return resp, fmt.Errorf("%d/%d nodes reported success", resp.NumResp, resp.NumNodes)
	}
	return resp, nil
}

func (b backend) collectKeys(ctx context.Context, resp *rpc.KeyResponse, records <-chan rpc.QueryRecord) error {
	for resp.NumResp < resp.NumNodes {
		select {
		case r := <-records:
			switch r.Type {
			case rpc.QueryRecordDone:
				return nil
			case rpc.QueryRecordResponse:
				addKeyResponse(resp, r.From, r.Payload)
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-b.loopDone:
			return ErrStopped
		}
	}
	return nil
}

// addKeyResponse counts one node's answer. The texts are Serf's.
func addKeyResponse(resp *rpc.KeyResponse, from string, payload []byte) {
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
}
