package serf

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// claim says that a node of that name is elsewhere.
func (n *node) claim(name string) {
	n.packet((&wire.Alive{Incarnation: 9, Node: name, Addr: netip.MustParseAddrPort("10.7.7.7:7946"), Versions: fullVersions}).AppendTo(nil))
}

func TestP100_ConflictOfOthers(t *testing.T) {
	n := alone(t, nil)
	n.alive("b", 1)
	n.claim("b")
	if !n.logged("serf: Name conflict for 'b' both 10.8.1.98:7946 and 10.7.7.7:7946 are claiming") {
		t.Error(n.log)
	}
	if n.queues.query.Len() != 0 {
		t.Error("a query was started")
	}
}

// vote answers the conflict query as a peer would.
func (n *node) votes(from string, addr netip.AddrPort) {
	n.w.t.Helper()
	if len(n.Machine.outgoing.order) != 1 {
		n.w.t.Fatalf("%d queries run", len(n.Machine.outgoing.order))
	}
	n.votesVia(from, addr, peerAddr(from))
}

// votesVia is votes with the answer coming from elsewhere.
func (n *node) votesVia(from string, addr, via netip.AddrPort) {
	n.w.t.Helper()
	id := n.Machine.outgoing.order[0].id
	r := wire.ConflictResponse{Name: n.name(), Addr: addr.Addr(), Port: addr.Port(), Status: 1}
	q := wire.QueryResponse{LTime: id.LTime, ID: id.ID, From: from, Payload: r.AppendTo(nil)}
	n.HandlePacket(n.w.now, via, q.AppendTo([]byte{byte(wire.TypeUser)}))
	n.act()
}

func TestP103_MajorityDecides(t *testing.T) {
	other := netip.MustParseAddrPort("10.7.7.7:7946")
	for _, tc := range []struct {
		ours, theirs int
		want         State
		log          string
	}{
		{2, 1, Alive, "serf: majority in name conflict resolution [2 / 3]"},
		{1, 1, Alive, "serf: majority in name conflict resolution [1 / 2]"}, // the lower address stays
		{1, 2, Shutdown, "serf: minority in name conflict resolution, quiting [1 / 3]"},
		{0, 1, Shutdown, "quiting [0 / 1]"},
		{0, 0, Alive, "nobody voted"},
	} {
		n := alone(t, nil)
		for i := range 3 {
			n.alive(fmt.Sprint("o", i), 1)
			n.alive(fmt.Sprint("t", i), 1)
		}
		n.claim("self")
		for i := range tc.ours {
			n.votes(fmt.Sprint("o", i), n.addr)
		}
		for i := range tc.theirs {
			n.votes(fmt.Sprint("t", i), other)
		}
		// P104: these do not count.
		id := n.Machine.outgoing.order[0].id
		n.gets(&wire.QueryResponse{LTime: id.LTime, ID: id.ID, From: "x", Payload: []byte{byte(wire.SerfKeyResponse), 0x80}})
		n.gets(&wire.QueryResponse{LTime: id.LTime, ID: id.ID, From: "y"})
		n.gets(&wire.QueryResponse{LTime: id.LTime, ID: id.ID, From: "z", Payload: []byte{byte(wire.SerfConflictResponse), 0xc1}})
		n.wait(time.Minute)
		if n.State() != tc.want || !n.logged(tc.log) {
			t.Errorf("%+v: state %v, %q", tc, n.State(), n.log)
		}
		if len(n.updates) != 0 {
			t.Errorf("the vote shows as a query: %+v", n.updates)
		}
		if tc.want == Shutdown {
			if err := n.UserEvent(n.w.now, "e", nil, false); err != ErrNotAlive {
				t.Error(err)
			}
			if err := n.Leave(n.w.now); err == nil || err.Error() != "Leave called after Shutdown" {
				t.Error(err)
			}
		}
	}
}

func TestP104_OnlyReadableAnswersCount(t *testing.T) {
	n := alone(t, nil)
	n.claim("self")
	id := n.Machine.outgoing.order[0].id
	for i, payload := range []string{"", "\x08\x80", "\x06", "\x06\xc1", "\x05\x80"} {
		n.gets(&wire.QueryResponse{LTime: id.LTime, ID: id.ID, From: fmt.Sprint(i), Payload: []byte(payload)})
	}
	if n.conflict.votes != 0 {
		t.Errorf("%d votes", n.conflict.votes)
	}
}

func TestP101_OwnConflictStartsAVote(t *testing.T) {
	n := alone(t, nil)
	n.claim("self")
	if !n.logged("serf: Node name conflicts with another node at 10.7.7.7:7946. Names must be unique! (Resolution enabled: true)") {
		t.Error(n.log)
	}
	var q wire.Query
	out := n.queued(&n.queues.query)
	if len(out) != 1 || q.Decode(out[0][2:], nil) != nil || q.Name != "_serf_conflict" || string(q.Payload) != "self" {
		t.Errorf("%q", out)
	}
	n = alone(t, func(c *Config) { c.NoConflictResolution = true })
	n.claim("self")
	if n.queues.query.Len() != 0 || !n.logged("(Resolution enabled: false)") {
		t.Error("a vote although that is off")
	}
}

func TestP105_OneVoteAtATime(t *testing.T) {
	n := alone(t, nil)
	for range 5 {
		n.claim("self")
	}
	if n.queues.query.Len() != 1 {
		t.Errorf("%d queries", n.queues.query.Len())
	}
	n.wait(time.Minute)
	n.claim("self")
	if len(n.Machine.outgoing.order) != 1 {
		t.Error("no second vote after the first")
	}
}

func TestP102_WhoAnswers(t *testing.T) {
	n := alone(t, nil)
	n.alive("b", 1)
	asked := func(name string) (wire.ConflictResponse, bool) {
		n.queries.slots[5].ids = nil
		q := wire.Query{LTime: 5, ID: 1, Source: strangers, SourceNode: "x", Name: "_serf_conflict", Payload: []byte(name), Timeout: time.Second}
		n.HandlePacket(n.w.now, strangers, q.AppendTo([]byte{byte(wire.TypeUser)}))
		var c wire.ConflictResponse
		packets := n.Output().Packets
		if len(packets) == 0 {
			return c, false
		}
		var r wire.QueryResponse
		if err := r.Decode(packets[0].Data[2:], nil); err != nil {
			t.Fatal(err)
		}
		return c, c.Decode(r.Payload[1:], nil) == nil
	}
	if c, ok := asked("b"); !ok || c.Name != "b" || netip.AddrPortFrom(c.Addr, c.Port) != peerAddr("b") || c.Status != int(StatusAlive) || c.DelegateMax != 5 {
		t.Errorf("%v %+v", ok, c)
	}
	for _, name := range []string{"self", "nobody", ""} {
		if _, ok := asked(name); ok {
			t.Errorf("answered about %q", name)
		}
	}
}

// TestP103_WhoHasAVoice: strangers, who has just come, who speaks for another one, and who is gone
// have none, however many they are; neither has anybody two.
func TestP103_WhoHasAVoice(t *testing.T) {
	other := netip.MustParseAddrPort("10.7.7.7:7946")
	n := alone(t, nil)
	for _, name := range []string{"old1", "old2", "gone", "left"} {
		n.alive(name, 1)
	}
	n.w.now = n.w.now.Add(voterTime)
	n.alive("late", 1)
	n.w.now = n.w.now.Add(voterTime - time.Second)
	n.dead("gone", 1, "old1")
	n.dead("left", 1, "left")
	for i := range 20 {
		n.alive(fmt.Sprint("forged", i), 1)
	}
	n.claim("self")
	for i := range 20 {
		n.votes(fmt.Sprint("nobody", i), other)
		n.votes(fmt.Sprint("forged", i), other)
		n.votesVia("old2", other, peerAddr(fmt.Sprint("forged", i)))
		n.votesVia("old2", other, strangers)
	}
	for _, name := range []string{"late", "gone", "left", "self", ""} {
		n.votes(name, other)
	}
	if n.conflict.votes != 0 {
		t.Fatalf("%d votes of who has none", n.conflict.votes)
	}
	n.votes("old1", n.addr)
	n.votes("old1", other) // again
	n.votesVia("old2", n.addr, peerAddr("old1"))
	if c := n.conflict; c.votes != 2 || c.ours != 2 {
		t.Errorf("%+v", c)
	}
	n.wait(time.Minute)
	if n.State() != Alive {
		t.Error("it gave way")
	}
	// Listed for just long enough, and not quite.
	for _, early := range []time.Duration{0, time.Second} {
		n := alone(t, nil)
		n.w.now = n.w.now.Add(time.Second)
		n.alive("b", 1)
		n.w.now = n.w.now.Add(voterTime - early)
		n.claim("self")
		n.votes("b", other)
		if counts := n.conflict.votes == 1; counts != (early == 0) {
			t.Errorf("listed %v less than long enough: counts %v", early, counts)
		}
	}
}

// TestP103_OneNameTwice: of two nodes with a name one stays, the one that was there before.
func TestP103_OneNameTwice(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes []string
		age   time.Duration // of the cluster
	}{
		{"one and a newcomer", []string{"b"}, time.Minute},
		{"one that is new itself and a newcomer", []string{"b"}, time.Second},
		{"two and a newcomer", []string{"a", "b"}, time.Minute},
		{"many and a newcomer", []string{"a", "b", "c", "d"}, time.Minute},
		{"a young cluster and a newcomer", []string{"a", "b", "c"}, time.Second},
	} {
		for _, plain := range []bool{true, false} {
			w := newWorld(t)
			ns := w.group(func(int) bool { return plain }, c.nodes...)
			w.run(c.age)
			twin := w.add("b", func(cfg *Config) { cfg.Swim.Plain = plain })
			twin.join(ns[0], true)
			w.run(2 * time.Minute)
			first := ns[0]
			for _, n := range ns {
				if n.name() == "b" {
					first = n
				}
			}
			if first.State() != Alive || twin.State() != Shutdown {
				t.Errorf("%s, plain %v: the first is %v, the twin %v: %q", c.name, plain, first.State(), twin.State(), twin.log)
			}
		}
	}
	// Two clusters with a name in common meet: half of the voices each.
	for _, plain := range []bool{true, false} {
		w := newWorld(t)
		a := w.group(func(int) bool { return plain }, "a1", "a2", "x")
		b := w.group(func(int) bool { return plain }, "b1", "b2", "x")
		w.run(time.Minute)
		a[0].join(b[0], true)
		w.run(5 * time.Minute)
		if one, two := a[2].State() == Alive, b[2].State() == Alive; one == two {
			t.Errorf("plain %v: of two halves' nodes with one name: %v and %v", plain, a[2].State(), b[2].State())
		}
	}
}

// Two nodes take the same name; the third has known the first for long.
func TestConflictEndToEnd(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	twin := w.add("b", nil)
	twin.join(ns[0], true)
	w.run(time.Minute)
	if twin.State() != Shutdown {
		t.Errorf("the twin's state is %v: %q", twin.State(), twin.log)
	}
	if ns[1].State() != Alive {
		t.Error("the first one gave way")
	}
}

// ring is a Keyring for tests.
type ring struct{ keys []string }

func (r *ring) List() ([]string, string) { return r.keys, r.keys[0] }

// keyQuery asks a node a key query and returns what it says to itself.
func (n *node) keyQuery(name string, payload []byte) wire.KeyResponse {
	n.w.t.Helper()
	id := n.asks("_serf_"+name, string(payload), QueryParam{})
	out, ok := n.keyAnswer(id)
	if !ok {
		n.w.t.Fatalf("%s was not answered", name)
	}
	return out
}

// keyAnswer is a node's own answer to a query of its own.
func (n *node) keyAnswer(id QueryID) (out wire.KeyResponse, ok bool) {
	for _, u := range n.updates {
		if u.ID == id && u.Kind == QueryResponse {
			if wire.SerfType(u.Payload[0]) != wire.SerfKeyResponse || out.Decode(u.Payload[1:], nil) != nil {
				n.w.t.Fatalf("%q", u.Payload)
			}
			return out, true
		}
	}
	return out, false
}

func TestP106_KeyQueries(t *testing.T) {
	req := (&wire.KeyRequest{Key: []byte("k")}).AppendTo(nil)
	off := alone(t, nil)
	on := alone(t, func(c *Config) { c.Keyring = &ring{keys: []string{"one", "two"}} })
	for _, name := range []string{InstallKey, UseKey, RemoveKey} {
		if got := off.keyQuery(name, req); got.Result || got.Message != "No keyring to modify (encryption not enabled)" {
			t.Errorf("%s: %+v", name, got)
		}
		for _, failed := range []error{nil, errors.New("no such key")} {
			id := on.asks("_serf_"+name, string(req), QueryParam{})
			if len(on.keyChanges) != 1 {
				t.Fatalf("%s: %+v", name, on.keyChanges)
			}
			k := on.keyChanges[0]
			if on.keyChanges = nil; k.ID != id || k.Name != name || string(k.Key) != "k" || k.From != "self" {
				t.Errorf("%s: %+v", name, k)
			}
			if got, ok := on.keyAnswer(id); ok {
				t.Errorf("%s was answered before it was done: %+v", name, got)
			}
			on.KeyChanged(on.w.now, &k, failed)
			on.act()
			want := ""
			if failed != nil {
				want = failed.Error()
			}
			if got, ok := on.keyAnswer(id); !ok || got.Result != (failed == nil) || got.Message != want {
				t.Errorf("%s: %+v %v", name, got, ok)
			}
		}
		for _, bad := range []string{"", "\x07", "\x07\xc1"} {
			if got := on.keyQuery(name, []byte(bad)); got.Result || got.Message != "" || len(on.keyChanges) != 0 {
				t.Errorf("%s %q: %+v", name, bad, got)
			}
		}
	}
	if got := off.keyQuery("list-keys", nil); got.Result || got.Message != "Keyring is empty (encryption not enabled)" {
		t.Errorf("%+v", got)
	}
	if got := on.keyQuery("list-keys", nil); !got.Result || len(got.Keys) != 2 || got.PrimaryKey != "one" {
		t.Errorf("%+v", got)
	}
	if len(on.events) != 1 || len(off.events) != 1 {
		t.Error("handlers were told")
	}
}

// An answer that took longer than the asker waits is not sent, nor one to a
// question that nobody asked.
func TestKeyChangeTooLate(t *testing.T) {
	n := alone(t, func(c *Config) { c.Keyring = &ring{keys: []string{"one"}} })
	req := (&wire.KeyRequest{Key: []byte("k")}).AppendTo(nil)
	id := n.asks("_serf_"+UseKey, string(req), QueryParam{Timeout: time.Second})
	k := n.keyChanges[0]
	n.w.run(2 * time.Second)
	n.KeyChanged(n.w.now, &k, nil)
	n.act()
	if got, ok := n.keyAnswer(id); ok {
		t.Errorf("%+v", got)
	}
	n.KeyChanged(n.w.now, &KeyChange{ID: QueryID{LTime: 99}, Name: UseKey}, errors.New("nobody asked"))
	n.act()
	if !n.logged("nobody asked") {
		t.Error("the fault was not told")
	}
}

func TestQueryMember(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	w.run(5 * time.Second)
	for _, n := range ns {
		n.events, n.updates = nil, nil
	}
	id, err := ns[0].QueryMember(w.now, "b", "only-you", []byte("p"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	ns[0].act()
	w.run(100 * time.Millisecond)
	if len(ns[1].events) != 1 || ns[1].events[0].Name != "only-you" || string(ns[1].events[0].Payload) != "p" {
		t.Fatalf("b was told %+v", ns[1].events)
	}
	if err := ns[1].Respond(w.now, ns[1].events[0].Query, []byte("yes")); err != nil {
		t.Fatal(err)
	}
	ns[1].act()
	w.run(5 * time.Second)
	var got []string
	for _, u := range ns[0].updates {
		if u.ID == id {
			got = append(got, fmt.Sprintf("%d %s %s", u.Kind, u.From, u.Payload))
		}
	}
	if want := fmt.Sprintf("%d b yes,%d  ", QueryResponse, QueryDone); strings.Join(got, ",") != want {
		t.Errorf("%q, want %q", got, want)
	}
	if len(ns[0].events)+len(ns[2].events) != 0 || len(ns[1].events) != 1 {
		t.Error("the others learned of it")
	}
	if _, err := ns[0].QueryMember(w.now, "nobody", "q", nil, 0); !errors.Is(err, ErrUnknownMember) {
		t.Error(err)
	}
}

func TestP107_LongKeyListIsCut(t *testing.T) {
	r := &ring{}
	for i := range 100 {
		r.keys = append(r.keys, base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf("%032d", i))))
	}
	n := alone(t, func(c *Config) { c.Keyring = r })
	got := n.keyQuery("list-keys", nil)
	if !got.Result || len(got.Keys) < 15 || len(got.Keys) > 25 {
		t.Errorf("%d keys", len(got.Keys))
	}
	if want := fmt.Sprintf("truncated key list response, showing first %d of 100 keys", len(got.Keys)); got.Message != want {
		t.Errorf("%q, want %q", got.Message, want)
	}
	if len(r.keys) != 100 || !n.logged("serf: truncated key list response") {
		t.Error("no trace, or the ring was changed")
	}
	n = alone(t, func(c *Config) { c.Keyring, c.QueryResponseSizeLimit = r, 60 })
	id := n.asks("_serf_list-keys", "", QueryParam{})
	if len(n.news(id)) != 0 || !n.logged("Failed to truncate") || strings.Contains(fmt.Sprint(n.updates), "=") {
		t.Error(n.log)
	}
}
