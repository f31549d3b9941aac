package dashboard

import (
	"time"
	"unicode/utf8"

	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/rpc"
)

// node is a node as every answer has it.
type node struct {
	Name    string            `json:"name"`
	Address string            `json:"address"` // without the port
	Port    uint16            `json:"port"`
	Status  string            `json:"status"`
	Since   *time.Time        `json:"since"` // when the status became what it is; null: not known
	Tags    map[string]string `json:"tags"`
	// Verdict is why it failed or is degraded: crashed, silent, hung or restarting.
	Verdict  string `json:"verdict,omitempty"`
	Degraded bool   `json:"degraded,omitempty"`
	// Protocol is Serf's, Memberlist that below it: what the node can speak and speaks.
	Protocol   *versions `json:"protocol,omitempty"`
	Memberlist *versions `json:"memberlist,omitempty"`
}

type versions struct {
	Min     uint8 `json:"min"`
	Max     uint8 `json:"max"`
	Current uint8 `json:"current"`
}

func nodeOf(e *live.Entry) node {
	n := node{Name: e.Name, Port: e.Addr.Port(), Status: e.Status.String(), Tags: make(map[string]string, len(e.Tags)),
		Verdict: e.Verdict, Degraded: e.Degraded}
	if e.Addr.Addr().IsValid() {
		n.Address = e.Addr.Addr().String()
	}
	if !e.Since.IsZero() {
		since := e.Since.UTC()
		n.Since = &since
	}
	for _, t := range e.Tags {
		n.Tags[t.Key] = t.Value
	}
	return n
}

// speaks adds what is known of a member beyond the list.
func (n *node) speaks(m *rpc.Member) {
	n.Protocol = &versions{m.DelegateMin, m.DelegateMax, m.DelegateCur}
	n.Memberlist = &versions{m.ProtocolMin, m.ProtocolMax, m.ProtocolCur}
}

// payload is bytes as JSON has them: as text if they are some, in base64 if not.
type payload struct {
	Text   *string `json:"payload,omitempty"`
	Base64 []byte  `json:"payload_base64,omitempty"`
}

func payloadOf(b []byte) payload {
	if !utf8.Valid(b) {
		return payload{Base64: b}
	}
	text := string(b)
	return payload{Text: &text}
}

// bytes is what somebody sent; ok is false if it was sent both ways.
func (p payload) bytes() (b []byte, ok bool) {
	switch {
	case p.Text != nil && p.Base64 != nil:
		return nil, false
	case p.Text != nil:
		return []byte(*p.Text), true
	}
	return p.Base64, true
}
