package serf

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// The names of the queries that change the keyring, without their prefix.
const (
	InstallKey = "install-key"
	UseKey     = "use-key"
	RemoveKey  = "remove-key"
)

// KeyChange is what a key query asks of this node's keyring. The driver does it, which
// may take a while for there may be a file, and says with KeyChanged how it went;
// that is the node's answer.
type KeyChange struct {
	ID   QueryID
	Name string // InstallKey, UseKey or RemoveKey
	Key  []byte // raw; of any length
	From string // the asker's name
}

// takeKeyChange hands a key query to the driver, or refuses it (P106).
func (m *Machine) takeKeyChange(a *incomingQuery, name string, payload []byte) {
	var req wire.KeyRequest
	err := errKeyPayload
	if len(payload) > 0 {
		if err = req.Decode(payload[1:], nil); err != nil {
			err = fmt.Errorf("%w: %w", errKeyPayload, err)
		}
	}
	if err == nil && m.cfg.Keyring == nil {
		err = errNoKeyring
	}
	if err != nil {
		m.answerKeyChange(a, name, err)
		return
	}
	m.trace(swim.Trace{Kind: TraceKeyQuery, Level: swim.LevelInfo, Node: name, From: a.node})
	m.incoming.add(m.now, a)
	m.keyChanges = append(m.keyChanges, KeyChange{ID: a.id, Name: name, Key: bytes.Clone(req.Key), From: a.node})
}

// KeyChanged says how a KeyChange went; err is nil if it was done.
func (m *Machine) KeyChanged(now time.Time, k *KeyChange, err error) {
	m.now = now
	m.answerKeyChange(m.incoming.byID[k.ID], k.Name, err)
	m.settle()
}

// answerKeyChange tells the asker how it went; a is nil if it is too late for that.
func (m *Machine) answerKeyChange(a *incomingQuery, name string, err error) {
	resp := wire.KeyResponse{Result: err == nil}
	if err != nil {
		t := swim.Trace{Kind: TraceKeyBad, Level: swim.LevelError, Node: name, Err: err}
		if a != nil {
			t.From = a.node
		}
		m.trace(t)
		if !errors.Is(err, errKeyPayload) { // Serf gives no reason for those
			resp.Message = err.Error()
		}
	}
	if a != nil {
		m.internalAnswer(a, resp.AppendTo(nil))
	}
}

// QueryMember asks a query of one member, in a packet to it that nobody passes on: the others
// do not learn of it. It ends like any other (P95). There is no answer from
// a member that does not know the address of this node.
func (m *Machine) QueryMember(now time.Time, to, name string, payload []byte, timeout time.Duration) (QueryID, error) {
	m.now = now
	if m.over() {
		return QueryID{}, ErrNotAlive
	}
	mem := m.members.get(to)
	if mem == nil {
		return QueryID{}, ErrUnknownMember
	}
	a, _, msg, err := m.newQuery(name, payload, QueryParam{Nodes: []string{to}, Timeout: timeout}, wire.QueryFlagNoBroadcast)
	if err != nil {
		return QueryID{}, err
	}
	m.swim.SendUser(mem.Addr(), to, msg[1:])
	m.settle()
	return a.id, nil
}

// Natives are the names of members that are alive and speak the native protocol,
// this node apart, at most of them, in the order in which they became known.
func (m *Machine) Natives(most int) []string {
	var names []string
	m.swim.Each(func(e *swim.Member) bool {
		if e.Native > 0 && e.State == wire.StateAlive && e.Name != m.cfg.Swim.Name {
			names = append(names, e.Name)
		}
		return len(names) < most
	})
	return names
}
