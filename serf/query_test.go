package serf

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

func (n *node) asks(name, payload string, p QueryParam) QueryID {
	n.w.t.Helper()
	id, err := n.Query(n.w.now, name, []byte(payload), p)
	if err != nil {
		n.w.t.Fatal(err)
	}
	n.act()
	return id
}

// answersLast answers the last query that the node was told of.
func (n *node) answersLast(payload string) error {
	e, ok := n.lastEvent(EventQuery)
	if !ok {
		n.w.t.Helper()
		n.w.t.Fatalf("%s was not asked", n.name())
	}
	err := n.Respond(n.w.now, e.Query, []byte(payload))
	n.act()
	return err
}

// news is what a node heard of a query, sorted.
func (n *node) news(id QueryID) []string {
	var out []string
	for _, u := range n.updates {
		if u.ID != id {
			continue
		}
		switch u.Kind {
		case QueryAck:
			out = append(out, "ack "+u.From)
		case QueryResponse:
			out = append(out, u.From+"="+string(u.Payload))
		case QueryDone:
			out = append(out, "~done")
		}
	}
	if i := slices.Index(out, "~done"); i >= 0 && i != len(out)-1 {
		n.w.t.Errorf("news after the end: %q", out)
	}
	slices.Sort(out)
	return out
}

func (n *node) wantNews(id QueryID, want ...string) {
	n.w.t.Helper()
	if got := n.news(id); !slices.Equal(got, want) {
		n.w.t.Errorf("news %q, want %q", got, want)
	}
}

func TestP90_QueryOncePerTimeAndNumber(t *testing.T) {
	n := alone(t, func(c *Config) { c.QueryBuffer = 8 })
	n.take()
	q := wire.Query{LTime: 5, ID: 1, Name: "q", Timeout: time.Second}
	for range 2 {
		n.gets(&q)
	}
	q.ID = 2
	n.gets(&q)
	q.LTime, q.ID = 20, 1
	n.gets(&q)
	q.LTime, q.Name = 12, "old"
	n.gets(&q)
	n.wantEvents("query q=", "query q=", "query q=")
	if !n.logged("received old query old from time 12 (current: 21)") {
		t.Error(n.log)
	}
	if got := n.queues.query.Len(); got != 3 {
		t.Errorf("%d passed on", got)
	}
	q.LTime, q.ID, q.Flags = 22, 9, wire.QueryFlagNoBroadcast
	n.gets(&q)
	if got := n.queues.query.Len(); got != 3 {
		t.Error("passed on although it says not to")
	}
	id := n.asks("own", "", QueryParam{})
	if id.LTime != 23 || id.ID > 1<<31-1 || n.Stats().QueryTime != 24 {
		t.Errorf("%+v", id)
	}
}

func TestP90_QueriesOfAFormerLife(t *testing.T) {
	n := alone(t, func(c *Config) { c.QueryClock = 20 })
	n.take()
	n.gets(&wire.Query{LTime: 20, Name: "had", Timeout: time.Second})
	n.gets(&wire.Query{LTime: 21, Name: "new", Timeout: time.Second})
	n.wantEvents("query new=")
}

func TestP91_Filters(t *testing.T) {
	node := func(names ...string) []byte { return wire.AppendNodeFilter(nil, names) }
	tag := func(k, v string) []byte { return wire.AppendTagFilter(nil, k, v) }
	for _, tc := range []struct {
		name    string
		filters [][]byte
		pass    bool
	}{
		{"none", nil, true},
		{"named", [][]byte{node("x", "self")}, true},
		{"not named", [][]byte{node("x", "selfish")}, false},
		{"tag", [][]byte{tag("role", "^we")}, true},
		{"tag, no anchor", [][]byte{tag("role", "e")}, true},
		{"other value", [][]byte{tag("role", "^e")}, false},
		{"no such tag", [][]byte{tag("none", ".")}, false},
		{"no such tag, empty matches", [][]byte{tag("none", "^$")}, true},
		{"all must pass", [][]byte{node("self"), tag("role", "db")}, false},
		{"bad expression", [][]byte{tag("role", "(")}, false},
		{"huge expression", [][]byte{tag("role", strings.Repeat("web|", 300))}, false},
		{"expression that explodes", [][]byte{tag("role", "((a|web){100}){10}x{0}|(b[a-z]{500}){2}|"+strings.Repeat("(cd){1000}", 40))}, false},
		{"empty", [][]byte{{}}, false},
		{"unknown type", [][]byte{{9, 1}}, false},
		{"cut", [][]byte{node("self")[:3]}, false},
	} {
		n := alone(t, func(c *Config) { c.Tags = tags("role", "web") })
		n.take()
		n.gets(&wire.Query{LTime: 5, ID: 1, Name: "q", Timeout: time.Second, Filters: tc.filters})
		if got := len(n.events) == 1; got != tc.pass {
			t.Errorf("%s: %v", tc.name, got)
		}
		if n.queues.query.Len() != 1 {
			t.Errorf("%s: not passed on", tc.name)
		}
	}
}

func TestP91_FiltersEndToEnd(t *testing.T) {
	w := newWorld(t)
	a := w.add("a", func(c *Config) { c.Tags = tags("role", "web") })
	b := w.add("b", func(c *Config) { c.Tags = tags("role", "db") })
	w.joinAll([]*node{a, b})
	id := a.asks("q", "", QueryParam{Ack: true, Tags: tags("role", "d.")})
	id2 := a.asks("q", "", QueryParam{Ack: true, Nodes: []string{"a"}})
	w.run(5 * time.Second)
	a.wantNews(id, "ack b", "~done")
	a.wantNews(id2, "ack a", "~done")
}

func TestP92_AckWithoutWaiting(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	id := ns[0].asks("q", "p", QueryParam{Ack: true, Timeout: 3 * time.Second})
	w.run(2 * time.Second)
	ns[0].wantNews(id, "ack a", "ack b", "ack c")
	w.run(2 * time.Second)
	ns[0].wantNews(id, "ack a", "ack b", "ack c", "~done")
}

func TestP93_AnswerOnceInTime(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b")
	a, b := ns[0], ns[1]
	id := a.asks("q", "p", QueryParam{Timeout: 5 * time.Second})
	w.run(time.Second)
	err := b.answersLast(strings.Repeat("x", 1025))
	if err == nil || err.Error() != "failed to respond to key query: response exceeds limit of 1024 bytes" {
		t.Error(err)
	}
	if err := b.answersLast("yes"); err != nil {
		t.Error(err)
	}
	err = b.answersLast("again")
	if !errors.Is(err, ErrQueryOver) || err.Error() != "failed to respond to key query: response already sent" {
		t.Error(err)
	}
	w.run(10 * time.Second)
	err = a.answersLast("late")
	if !errors.Is(err, ErrQueryOver) || err.Error() != "failed to respond to key query: response is past the deadline" {
		t.Error(err)
	}
	if err := b.Respond(w.now, QueryID{1, 2}, nil); !errors.Is(err, ErrQueryOver) {
		t.Error(err)
	}
	a.wantNews(id, "b=yes", "~done")
}

func TestP94_OneAckAndOneAnswerPerNode(t *testing.T) {
	n := alone(t, nil)
	id := n.asks("q", "", QueryParam{Ack: true, Timeout: time.Second})
	for range 2 {
		for _, from := range []string{"b", "c"} {
			r := wire.QueryResponse{LTime: id.LTime, ID: id.ID, From: from, Payload: []byte("p")}
			n.gets(&r)
			r.Flags = wire.QueryFlagAck
			n.gets(&r)
		}
	}
	n.gets(&wire.QueryResponse{LTime: id.LTime, ID: id.ID + 1, From: "b"})
	n.gets(&wire.QueryResponse{LTime: id.LTime + 1, ID: id.ID, From: "b"})
	n.wait(2 * time.Second)
	n.gets(&wire.QueryResponse{LTime: id.LTime, ID: id.ID, From: "late"})
	n.wantNews(id, "ack b", "ack c", "ack self", "b=p", "c=p", "~done")

	id = n.asks("no acks", "", QueryParam{Timeout: time.Second})
	n.gets(&wire.QueryResponse{LTime: id.LTime, ID: id.ID, From: "b", Flags: wire.QueryFlagAck})
	for i := range 1000 {
		n.gets(&wire.QueryResponse{LTime: id.LTime, ID: id.ID, From: fmt.Sprint("liar", i)})
	}
	if got := len(n.news(id)); got == 0 || got > 2*1+64 {
		t.Errorf("%d answers in a cluster of one", got)
	}
}

// TestBugD: queries of one node that run at the same time.
func TestBugD_ConcurrentQueriesDoNotMix(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	var ids []QueryID
	for i := range 20 {
		ids = append(ids, ns[0].asks(fmt.Sprint("q", i), "", QueryParam{Ack: true, Timeout: time.Duration(3+i%5) * time.Second}))
	}
	for i, a := range ids {
		for _, b := range ids[:i] {
			if a.LTime == b.LTime {
				t.Fatalf("%v and %v have the same time", a, b)
			}
		}
	}
	w.run(2 * time.Second)
	for _, n := range ns {
		for _, e := range n.events {
			if e.Type == EventQuery {
				if err := n.Respond(w.now, e.Query, []byte(e.Name)); err != nil {
					t.Error(err)
				}
				n.act()
			}
		}
	}
	w.run(10 * time.Second)
	for i, id := range ids {
		q := fmt.Sprint("q", i)
		ns[0].wantNews(id, "a="+q, "ack a", "ack b", "ack c", "b="+q, "c="+q, "~done")
	}
}

func TestP95_DefaultTimeout(t *testing.T) {
	n := alone(t, nil)
	for _, tc := range []struct {
		alive int
		want  time.Duration
	}{{1, 3200}, {9, 3200}, {10, 6400}, {99, 6400}, {100, 9600}} {
		for n.swim.NumAlive() < tc.alive {
			n.alive(fmt.Sprint("m", n.swim.NumAlive()), 1)
		}
		if got := n.DefaultQueryTimeout(); got != tc.want*time.Millisecond {
			t.Errorf("%d: %v", tc.alive, got)
		}
	}
	n = alone(t, nil)
	id := n.asks("q", "", QueryParam{})
	n.wait(3199 * time.Millisecond)
	n.wantNews(id)
	n.wait(time.Millisecond)
	n.wantNews(id, "~done")
	n.wait(time.Minute)
	n.wantNews(id, "~done")
}

func TestP96_Relay(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c", "d")
	a, b := ns[0], ns[1]
	// b cannot reach a directly with answers; only relays can.
	w.drop = func(from, to *node, data []byte) bool {
		return from == b && to == a && bytes.HasPrefix(data, []byte{byte(wire.TypeUser), byte(wire.SerfQueryResponse)})
	}
	plain := a.asks("q", "", QueryParam{Ack: true, Nodes: []string{"b"}, Timeout: 3 * time.Second})
	relayed := a.asks("q", "", QueryParam{Ack: true, Nodes: []string{"b"}, RelayFactor: 2, Timeout: 3 * time.Second})
	w.run(time.Second)
	for _, id := range []QueryID{plain, relayed} {
		if err := b.Respond(w.now, id, []byte("via")); err != nil {
			t.Error(err)
		}
		b.act()
	}
	w.run(4 * time.Second)
	a.wantNews(plain, "~done")
	a.wantNews(relayed, "ack b", "b=via", "~done")
	if !slices.ContainsFunc(ns[2:], func(n *node) bool { return n.logged("Relaying response to addr: " + a.addr.String()) }) {
		t.Error("nobody relayed")
	}
}

func TestP96_WhoRelays(t *testing.T) {
	n := alone(t, nil)
	for _, name := range []string{"asker", "r1", "r2", "old", "gone"} {
		n.alive(name, 1)
	}
	old := fullVersions
	old.PMax = 4
	n.packet((&wire.Alive{Incarnation: 2, Node: "old", Addr: peerAddr("old"), Versions: old}).AppendTo(nil))
	n.dead("gone", 1, "x")
	for range 50 {
		got := map[string]bool{}
		for _, mem := range n.randomRelays(5, "asker") {
			got[mem.Name()] = true
		}
		if len(got) != 2 || !got["r1"] || !got["r2"] {
			t.Fatalf("%v", got)
		}
	}
	for i := range 200 {
		n.alive(fmt.Sprint("m", i), 1)
	}
	if got := n.randomRelays(7, "asker"); len(got) != 7 {
		t.Errorf("%d relays", len(got))
	}
	// Too small a cluster for the factor: the ack goes the direct way only.
	m := alone(t, nil)
	m.alive("b", 1)
	q := wire.Query{LTime: 1, ID: 1, Source: strangers, SourceNode: "x", Flags: wire.QueryFlagAck, RelayFactor: 3, Name: "q"}
	m.HandlePacket(m.w.now, strangers, q.AppendTo([]byte{byte(wire.TypeUser)}))
	if got := len(m.Output().Packets); got != 1 {
		t.Errorf("%d packets", got)
	}
}

func TestP96_RelayIsBounded(t *testing.T) {
	n := alone(t, nil)
	sent := 0
	count := func(r *wire.Relay) {
		n.HandlePacket(n.w.now, strangers, r.AppendTo([]byte{byte(wire.TypeUser)}))
		sent += len(n.Output().Packets)
	}
	count(&wire.Relay{Dest: strangers, DestName: "x", Message: []byte{5, 0x80}})
	if sent != 1 {
		t.Errorf("%d packets", sent)
	}
	count(&wire.Relay{Dest: netip.AddrPort{}, Message: []byte{5}})
	count(&wire.Relay{Dest: strangers})
	count(&wire.Relay{Dest: strangers, Message: make([]byte, maxRelayed+1)})
	if sent != 1 {
		t.Errorf("%d packets", sent)
	}
}

func TestP97_QueryIsRefused(t *testing.T) {
	n := alone(t, nil)
	_, err := n.Query(n.w.now, "q", make([]byte, 1024), QueryParam{})
	if err == nil || err.Error() != "query exceeds limit of 1024 bytes" {
		t.Error(err)
	}
	n = alone(t, func(c *Config) { c.QuerySizeLimit = 4096 })
	if _, err = n.Query(n.w.now, "q", make([]byte, 2000), QueryParam{}); err == nil {
		t.Error("larger than a packet")
	}
	n = alone(t, func(c *Config) { c.Protocol = 3 })
	if _, err = n.Query(n.w.now, "q", nil, QueryParam{}); err != ErrProtocol {
		t.Error(err)
	}
}

func TestP98_InternalQueriesAreNotDelivered(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b")
	for _, n := range ns {
		n.take()
	}
	id := ns[0].asks("_serf_ping", "", QueryParam{Ack: true})
	id2 := ns[0].asks("_serf_nonsense", "", QueryParam{Ack: true})
	w.run(5 * time.Second)
	ns[0].wantNews(id, "ack a", "ack b", "~done")
	ns[0].wantNews(id2, "ack a", "ack b", "~done")
	for _, n := range ns {
		n.wantEvents()
		if !n.logged("Unhandled internal query 'nonsense'") {
			t.Error(n.log)
		}
	}
}

func TestP99_AskerIsAskedToo(t *testing.T) {
	n := alone(t, nil)
	n.take()
	id := n.asks("q", "p", QueryParam{Ack: true})
	n.wantNews(id, "ack self")
	e := n.events[0]
	if e.Name != "q" || string(e.Payload) != "p" || e.Source != "self" || e.Query != id || !e.Deadline.Equal(n.w.now.Add(3200*time.Millisecond)) {
		t.Errorf("%+v", e)
	}
	if err := n.answersLast("me"); err != nil {
		t.Error(err)
	}
	n.wantNews(id, "ack self", "self=me")
}

func TestQueriesOfOthersAreBounded(t *testing.T) {
	n := alone(t, nil)
	for i := range maxIncoming + 100 {
		n.gets(&wire.Query{LTime: wire.LTime(1 + i), ID: 1, Name: "q", Timeout: 1000 * time.Hour, Source: strangers})
	}
	if len(n.incoming.byID) > maxIncoming || len(n.incoming.order) != len(n.incoming.byID) {
		t.Errorf("%d wait", len(n.incoming.byID))
	}
	for i := range maxQueriesPerTime + 5 {
		n.queries.add(10, 9, uint32(i))
	}
	if got := len(n.queries.slots[9].ids); got > maxQueriesPerTime {
		t.Errorf("%d ids", got)
	}
	e := n.events[len(n.events)-1]
	if e.Deadline.After(n.w.now.Add(maxQueryTimeout)) {
		t.Error("a query is kept for ever")
	}
}

func TestQueryWithoutASourceIsHarmless(t *testing.T) {
	n := alone(t, nil)
	n.gets(&wire.Query{LTime: 3, ID: 1, Name: "q", Flags: wire.QueryFlagAck, Timeout: time.Second})
	if out := n.Output(); len(out.Packets) != 0 {
		t.Errorf("sent to %v", out.Packets[0].To)
	}
	if err := n.answersLast("x"); err != nil {
		t.Error(err)
	}
}

func TestExprSize(t *testing.T) {
	for expr, ok := range map[string]bool{
		"": true, "^web-[0-9]+$": true, "(a|b)*c{3,5}": true, "x{1000}": true,
		"(x{100}){10}":                     true,
		strings.Repeat("[a-z]{1000}", 20):  false,
		strings.Repeat("(ab|cd){900}", 50): false,
		"(((((":                            false,
		strings.Repeat("a", maxExpr+1):     false,
	} {
		if _, err := compile(expr); (err == nil) != ok {
			t.Errorf("%.30q: %v", expr, err)
		}
	}
}

var _ swim.Layer = (*layer)(nil)
