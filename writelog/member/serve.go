package member

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/ibuki-dev/ibuki/writelog"
)

// Handle answers what another gateway asks. An error means that the request is of no
// known form.
func (m *Member) Handle(ctx context.Context, body []byte) ([]byte, error) {
	r, err := decodeRequest(body)
	if err != nil {
		return nil, err
	}
	switch {
	case r.Hello != nil:
		h := m.hello()
		v := m.View()
		h.Stranger = v.Formed && r.Hello.Cluster == v.Cluster && (r.Hello.Index <= v.Index || r.Hello.Epoch < v.Epoch) && !v.ids[r.Hello.Member]
		return encodeReply(&reply{Hello: &h}), nil
	case r.Join != nil:
		return encodeReply(m.letIn(ctx, r.Join)), nil
	}
	if id, ok := m.store.Identity(); !ok || id.Cluster != r.Cluster {
		return encodeReply(&reply{Code: codeOf(ErrOtherCluster), Fault: ErrOtherCluster.Error()}), nil
	}
	if r.Ask != nil {
		return encodeReply(m.cfg.answer(ctx, r.Ask)), nil
	}
	leader := m.View().Leader
	if r.Propose != nil && r.Relay && leader != "" && leader != m.cfg.Name {
		return m.relay(ctx, leader, r)
	}
	if r.Propose != nil && r.Relay && leader == "" {
		return encodeReply(&reply{Code: codeOf(writelog.ErrNotLeader), Fault: writelog.ErrNotLeader.Error()}), nil
	}
	if r.Propose != nil {
		return encodeReply(m.proposeFor(ctx, r.Propose)), nil
	}
	return encodeReply(&reply{}), m.take(r)
}

// Ask has another gateway of a member's log, or the member's own, answer a question beside the log: see Config.Asked.
func Ask(ctx context.Context, m *Member, name string, question []byte) ([]byte, error) {
	if name == m.cfg.Name {
		return answerOf(m.cfg.answer(ctx, question))
	}
	body, _, err := m.cfg.Transport.Ask(ctx, name, encodeRequest(&request{From: m.id, Cluster: m.View().Cluster, Ask: question}))
	if err != nil {
		return nil, err
	}
	said, err := decodeReply(body)
	if err != nil {
		return nil, err
	}
	return answerOf(said)
}

func answerOf(r *reply) ([]byte, error) {
	if r.Fault != "" {
		return nil, errors.New(r.Fault)
	}
	return r.Answer, nil
}

// answer answers another gateway's question.
func (c *Config) answer(ctx context.Context, question []byte) *reply {
	if c.Asked == nil {
		return &reply{Fault: "it answers no questions"}
	}
	answer, err := c.Asked(ctx, question)
	if err != nil {
		return &reply{Fault: err.Error()}
	}
	return &reply{Answer: answer}
}

// relay passes an entry on to the leader for a gateway that does not reach it. It is
// passed on once.
func (m *Member) relay(ctx context.Context, leader string, r *request) ([]byte, error) {
	answer, _, err := m.cfg.Transport.Ask(ctx, leader, encodeRequest(&request{From: r.From, Cluster: r.Cluster, Propose: r.Propose}))
	if err != nil {
		return encodeReply(&reply{Code: codeOf(writelog.ErrUnconfirmed), Fault: err.Error()}), nil
	}
	return answer, nil
}

// take hands a batch to the machine.
func (m *Member) take(r *request) error {
	messages := make([]*raftpb.Message, len(r.Raft))
	for i, b := range r.Raft {
		messages[i] = new(raftpb.Message)
		if err := proto.Unmarshal(b, messages[i]); err != nil {
			return fmt.Errorf("message of Raft's: %w", err)
		}
	}
	own := make([]*writelog.Message, len(r.Peer))
	for i, b := range r.Peer {
		var err error
		if own[i], err = writelog.DecodeMessage(b); err != nil {
			return err
		}
	}
	writes := make([]*writelog.Entry, len(r.Writes))
	for i, b := range r.Writes {
		var err error
		if writes[i], err = writelog.DecodeEntry(b); err != nil {
			return err
		}
	}
	if slices.Contains(m.cfg.Peers, r.Name) || slices.Contains(m.others.gateways(), r.Name) {
		m.mu.Lock()
		m.heard[r.From] = r.Name
		m.mu.Unlock()
	}
	for _, o := range r.Outcomes {
		m.asked.answered(r.From, o)
	}
	if len(messages)+len(own)+len(writes) == 0 {
		return nil
	}
	m.do(func(now time.Duration) {
		if m.machine == nil {
			return
		}
		for _, msg := range messages {
			m.machine.Step(now, msg)
		}
		for _, msg := range own {
			m.machine.Hear(now, msg)
		}
		for _, e := range writes {
			m.proposeNow(now, e, waiter{member: r.From})
		}
	})
	return nil
}

// letIn takes up a gateway that has no log, if it is one of the catalog's.
func (m *Member) letIn(ctx context.Context, j *join) *reply {
	if !slices.Contains(m.others.gateways(), j.Name) {
		return &reply{Fault: j.Name + " is no gateway of the catalog; add its node first: ibuki cluster add"}
	}
	result := make(chan reply, 1)
	m.do(func(now time.Duration) {
		r := reply{Fault: "not yet"}
		if m.machine == nil {
			result <- r
			return
		}
		switch err := m.machine.Join(now, j.Member, j.Name); {
		case err != nil:
			r.Fault = err.Error()
		case m.machine.State().Members[j.Member].Name == j.Name:
			r = reply{Joined: true}
		}
		result <- r
	})
	select {
	case r := <-result:
		return &r
	case <-ctx.Done():
	case <-m.ctx.Done():
	}
	return &reply{Fault: "not yet"}
}

// proposeFor proposes an entry of another gateway's and waits for its outcome.
func (m *Member) proposeFor(ctx context.Context, b []byte) *reply {
	e, err := writelog.DecodeEntry(b)
	if err != nil {
		return &reply{Code: codeOf(writelog.ErrDropped), Fault: err.Error()}
	}
	answers, err := m.propose(ctx, e)
	if err != nil {
		return &reply{Code: codeOf(err), Fault: err.Error()}
	}
	return &reply{Answers: answers}
}
