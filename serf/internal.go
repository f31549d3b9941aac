package serf

import (
	"errors"
	"fmt"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// internalPrefix begins the names of queries that nodes answer themselves;
// handlers never see them (P98).
const internalPrefix = "_serf_"

// HistoryQuery is the name, without its prefix, of the query for what a node has
// seen of a member. It is ours: only natives are asked it.
const HistoryQuery = "ibuki-history"

// HistoryAsk is such a query. The driver keeps the history, and answers with Respond.
type HistoryAsk struct {
	ID   QueryID
	Node string // whose history; not checked
	From string // the asker's name
}

// minKeyLength is how many bytes a key takes at least in an answer: an estimate
// of where to begin cutting a list that is too long.
const minKeyLength = 25

// Texts that key commands show.
var (
	errNoKeyring    = errors.New("No keyring to modify (encryption not enabled)")
	errEmptyKeyring = errors.New("Keyring is empty (encryption not enabled)")
	errKeyPayload   = errors.New("Invalid key request payload")
)

// internalQuery answers the queries that are Serf's own.
func (m *Machine) internalQuery(a *incomingQuery, name string, payload []byte) {
	switch name {
	case "ping": // the ack is all
	case "conflict":
		m.answerConflict(a, payload)
	case InstallKey, UseKey, RemoveKey:
		m.takeKeyChange(a, name, payload)
	case "list-keys":
		m.answerListKeys(a, name)
	case HistoryQuery:
		m.incoming.add(m.now, a)
		m.historyAsks = append(m.historyAsks, HistoryAsk{ID: a.id, Node: string(payload), From: a.node})
	default:
		m.trace(swim.Trace{Kind: TraceInternalUnknown, Level: swim.LevelWarn, Node: name, From: a.node})
	}
}

// answerListKeys tells as many of the keys as an answer holds (P107).
func (m *Machine) answerListKeys(a *incomingQuery, name string) {
	if m.cfg.Keyring == nil {
		m.trace(swim.Trace{Kind: TraceKeyBad, Level: swim.LevelError, Node: name, From: a.node, Err: errEmptyKeyring})
		resp := wire.KeyResponse{Message: errEmptyKeyring.Error()}
		m.internalAnswer(a, resp.AppendTo(nil))
		return
	}
	m.trace(swim.Trace{Kind: TraceKeyQuery, Level: swim.LevelInfo, Node: name, From: a.node})
	keys, primary := m.cfg.Keyring.List()
	resp := wire.KeyResponse{Result: true, Keys: keys, PrimaryKey: primary}
	all := len(keys)
	for n := min(all, m.cfg.QueryResponseSizeLimit/minKeyLength); ; n-- {
		buf := resp.AppendTo(nil)
		if m.answerFits(a, buf) {
			if n < all && resp.Message != "" {
				m.trace(swim.Trace{Kind: TraceKeyTruncated, Level: swim.LevelWarn, N: len(resp.Keys), Of: all})
			}
			m.internalAnswer(a, buf)
			return
		}
		if n < 0 {
			m.trace(swim.Trace{Kind: TraceAnswerBad, Level: swim.LevelError, Node: a.node,
				Err: errors.New("Failed to truncate response so that it fits into message")})
			return
		}
		resp.Keys = keys[:n]
		resp.Message = fmt.Sprintf("truncated key list response, showing first %d of %d keys", n, all)
	}
}

// answerFits reports whether respond would not refuse the payload for its length.
func (m *Machine) answerFits(a *incomingQuery, payload []byte) bool {
	r := wire.QueryResponse{LTime: a.id.LTime, ID: a.id.ID, From: m.cfg.Swim.Name, Payload: payload}
	m.buf = r.AppendTo(m.buf[:0])
	return len(m.buf) <= m.cfg.QueryResponseSizeLimit
}

// internalAnswer answers an internal query.
func (m *Machine) internalAnswer(a *incomingQuery, payload []byte) {
	if err := m.respond(a, payload, Outcome{}); err != nil {
		m.trace(swim.Trace{Kind: TraceAnswerBad, Level: swim.LevelError, Node: a.node, Addr: a.source, Err: err})
	}
}
