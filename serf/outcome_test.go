package serf

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// outcomes are the answers that a node got to a query, by who gave them.
func (n *node) outcomes(id QueryID) map[string]QueryUpdate {
	all := map[string]QueryUpdate{}
	for _, u := range n.updates {
		if u.ID == id && u.Kind == QueryResponse {
			all[u.From] = u
		}
	}
	return all
}

// tells answers the last query with how that came about.
func (n *node) tells(payload []byte, o Outcome) {
	n.w.t.Helper()
	e, _ := n.lastEvent(EventQuery)
	if err := n.RespondOutcome(n.w.now, e.Query, payload, o); err != nil {
		n.w.t.Errorf("%s: %v", n.name(), err)
	}
	n.act()
}

func TestP167_OutcomeTravels(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c", "d")
	id := ns[0].asks("q", "", QueryParam{Outcome: true, Timeout: 5 * time.Second})
	w.run(2 * time.Second)
	for _, n := range ns[1:] {
		if e, _ := n.lastEvent(EventQuery); !e.WantsOutcome {
			t.Fatalf("%s does not know that it is wanted", n.name())
		}
	}
	ns[1].tells([]byte("x"), Outcome{Known: true, Exit: 255, Truncated: true})
	ns[2].tells(nil, Outcome{Known: true})
	if err := ns[3].answersLast("plain"); err != nil {
		t.Fatal(err)
	}
	w.run(time.Second)
	got := ns[0].outcomes(id)
	if o := got["b"].Outcome; o != (Outcome{Known: true, Exit: 255, Truncated: true}) {
		t.Errorf("b: %+v", o)
	}
	if o := got["c"].Outcome; o != (Outcome{Known: true}) {
		t.Errorf("c: %+v", o)
	}
	if u := got["d"]; u.Outcome != (Outcome{}) || string(u.Payload) != "plain" {
		t.Errorf("d: %+v", u)
	}
}

// Nobody is told what they did not ask for: the answer is Serf's to the byte.
func TestP167_NotAsked(t *testing.T) {
	n := alone(t, nil)
	n.take()
	for i, flags := range []uint32{0, wire.QueryFlagOutcome} {
		n.gets(&wire.Query{LTime: wire.LTime(5 + i), ID: 1, Name: "q", Timeout: time.Second, Flags: flags, SourceNode: "self", Source: n.addr})
		id := n.asks("own", "", QueryParam{Outcome: flags != 0})
		n.tells([]byte("x"), Outcome{Known: true, Exit: 7})
		if o := n.outcomes(id)["self"].Outcome; o.Known != (flags != 0) {
			t.Errorf("flags %x: %+v", flags, o)
		}
	}
}

// An answer that is too long is cut to the limit, at its beginning, only if that can be said.
func TestP167_CutToFit(t *testing.T) {
	n := alone(t, nil)
	n.take()
	long := append(bytes.Repeat([]byte("a"), 4000), []byte("the end")...)
	id := n.asks("q", "", QueryParam{Outcome: true})
	n.tells(long, Outcome{Known: true, Exit: 1})
	u := n.outcomes(id)["self"]
	r := wire.QueryResponse{LTime: id.LTime, ID: id.ID, From: "self", Flags: u.Outcome.flags(), Payload: u.Payload}
	if size := len(r.AppendTo(nil)); size > 1024 || size < 1000 || !bytes.HasSuffix(u.Payload, []byte("the end")) {
		t.Errorf("%d bytes encoded, ending in %q", size, u.Payload[max(0, len(u.Payload)-9):])
	}
	if u.Outcome != (Outcome{Known: true, Exit: 1, Truncated: true}) {
		t.Errorf("%+v", u.Outcome)
	}
	n.asks("q", "", QueryParam{})
	e, _ := n.lastEvent(EventQuery)
	if err := n.RespondOutcome(n.w.now, e.Query, slices.Clone(long), Outcome{Known: true}); err == nil || errors.Is(err, ErrQueryOver) {
		t.Errorf("too long, and not cut: %v", err)
	}
}
