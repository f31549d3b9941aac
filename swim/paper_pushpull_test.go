package swim

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// One test per statement of docs/protocol.md that is about this package; here: push/pull.

func TestP50_PushPullInterval(t *testing.T) {
	for _, c := range []struct {
		n    int
		want time.Duration
	}{{1, 30}, {32, 30}, {33, 60}, {64, 60}, {65, 90}, {128, 90}, {129, 120}, {1024, 180}, {10000, 300}} {
		if got := pushPullInterval(30*time.Second, c.n); got != c.want*time.Second {
			t.Errorf("%d members: %v, want %vs", c.n, got, c.want)
		}
	}
	r := newRig(t, func(c *Config) { c.ProbeInterval = 1000 * time.Hour })
	r.peers(3)
	r.suspect(2, 1, "x")
	r.dead(3, 1, "x")
	r.run(10 * time.Minute) // the suspicion ends; member 1 alone is alive
	if n := len(r.dials); n < 19 || n > 21 {
		t.Errorf("%d exchanges in 10 minutes", n)
	}
	for _, d := range r.dials {
		if d.To != addrOf(1) || d.Timeout != 10*time.Second {
			t.Errorf("exchange %+v", d)
		}
	}
}

// readState decodes a push/pull message.

func readState(t *testing.T, msg []byte) (h wire.PushPullHeader, nodes []wire.PushNodeState, user []byte) {
	t.Helper()
	if len(msg) == 0 || wire.Type(msg[0]) != wire.TypePushPull {
		t.Fatalf("no push/pull: %x", msg)
	}
	pp, err := wire.ReadPushPull(msg[1:], nil)
	if err != nil {
		t.Fatal(err)
	}
	var n wire.PushNodeState
	for {
		ok, err := pp.Next(&n)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		nodes = append(nodes, n)
	}
	user, err = pp.UserState()
	if err != nil {
		t.Fatal(err)
	}
	return pp.Header, nodes, user
}

func stateOf(i int, inc uint32, s wire.NodeState) wire.PushNodeState {
	return wire.PushNodeState{Name: nameOf(i), Addr: addrOf(i), Meta: []byte("meta"), Incarnation: inc, State: s, Versions: DefaultVersions}
}

func TestP51_BothSendEverybody(t *testing.T) {
	r := newRig(t, quiet)
	r.layer.state = []byte("layer's state")
	r.peers(4)
	r.suspect(2, 1, "x")
	r.dead(3, 1, "x")
	r.dead(4, 1, nameOf(4))
	want := map[string]wire.NodeState{"self": wire.StateAlive, nameOf(1): wire.StateAlive, nameOf(2): wire.StateSuspect,
		nameOf(3): wire.StateDead, nameOf(4): wire.StateLeft}
	check := func(msg []byte, join bool) {
		h, nodes, user := readState(t, msg)
		if h.Join != join || string(user) != "layer's state" || len(nodes) != len(want) {
			t.Errorf("header %+v, %d nodes, state %q", h, len(nodes), user)
		}
		for _, n := range nodes {
			if s, ok := want[n.Name]; !ok || s != n.State || n.Incarnation != 1 || n.Versions != DefaultVersions || !n.Addr.IsValid() {
				t.Errorf("sent %+v", n)
			}
		}
	}
	r.layer.log = nil
	reply := r.HandleStream(r.now, other, pushPullOf(false, []byte("theirs"), stateOf(5, 1, wire.StateAlive)))
	check(reply, false) // without member 5
	r.wantLog("joined node5", "state theirs false")
	want[nameOf(5)] = wire.StateAlive
	r.Join(r.now, addrOf(50), "")
	r.take()
	check(r.dials[0].Data, true)
}

func TestP52_StatesAreMessages(t *testing.T) {
	r := newRig(t, quiet)
	r.peers(4)
	r.HandleStream(r.now, other, pushPullOf(false, nil,
		stateOf(1, 2, wire.StateAlive), stateOf(2, 1, wire.StateSuspect), stateOf(3, 1, wire.StateDead), stateOf(4, 1, wire.StateLeft),
		stateOf(5, 1, wire.StateDead), stateOf(6, 1, wire.NodeStateUnknown)))
	r.take()
	if m := r.Member(nameOf(1)); m.Incarnation != 2 {
		t.Errorf("%+v", m)
	}
	r.wantState(2, wire.StateSuspect)
	r.wantState(3, wire.StateSuspect)
	r.wantState(4, wire.StateLeft)
	r.wantState(5, wire.NodeStateUnknown)
	r.wantState(6, wire.NodeStateUnknown)
	for _, i := range []int{2, 3} {
		if from := r.suspicionOf(i).from; !slices.Equal(from, []string{"self"}) {
			t.Errorf("member %d is suspected by %q", i, from)
		}
	}
}

func TestP53_Join(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.add(), w.add(), w.add()
	a.Join(w.now, b.addr, "")
	w.run(100 * hop)
	id := c.Join(w.now, a.addr, nameOf(1))
	w.run(10 * hop)
	if len(c.joins) != 1 || c.joins[0] != (JoinResult{ID: id, To: a.addr}) || c.count(TraceJoined) != 1 || c.count(TraceJoinFailed) != 0 {
		t.Errorf("results %+v", c.joins)
	}
	for _, n := range []*node{a, c} {
		if n.NumAlive() != 3 {
			t.Errorf("%s knows %d", n.Local().Name, n.NumAlive())
		}
	}
	nobody := netip.MustParseAddrPort("10.99.0.1:1")
	id = c.Join(w.now, nobody, "")
	w.run(11 * time.Second)
	if last := c.joins[len(c.joins)-1]; last.ID != id || last.Err == nil || c.count(TraceJoinFailed) != 1 || c.count(TraceJoined) != 1 {
		t.Errorf("results %+v", c.joins)
	}
}

func TestP54_IncompatibleVersions(t *testing.T) {
	vs := func(pmin, pmax, pcur, dmin, dmax, dcur uint8) wire.Versions {
		return wire.Versions{PMin: pmin, PMax: pmax, PCur: pcur, DMin: dmin, DMax: dmax, DCur: dcur}
	}
	for _, c := range []struct {
		name  string
		v     wire.Versions
		state wire.NodeState
		ok    bool
	}{
		{"like ours", DefaultVersions, wire.StateAlive, true},
		{"older, understood", vs(1, 4, 2, 2, 5, 5), wire.StateAlive, true},
		{"does not understand our Serf 5", vs(1, 5, 2, 2, 4, 4), wire.StateAlive, false},
		{"the same, but dead", vs(1, 5, 2, 2, 4, 4), wire.StateDead, true},
		{"wants memberlist 3", vs(3, 5, 3, 2, 5, 5), wire.StateAlive, false},
		{"speaks memberlist 6", vs(1, 6, 6, 2, 5, 5), wire.StateAlive, false},
		{"speaks it, but is dead", vs(1, 6, 6, 2, 5, 5), wire.StateDead, false},
		{"announces nothing", wire.Versions{}, wire.StateAlive, true},
	} {
		n := stateOf(1, 1, c.state)
		n.Versions = c.v
		fine := stateOf(2, 1, wire.StateAlive)
		self := wire.PushNodeState{Name: "self", Addr: addrOf(9), Incarnation: 1, State: wire.StateAlive, Versions: DefaultVersions}
		for _, beside := range []bool{true, false} { // is there another member, who fits?
			list := []wire.PushNodeState{n, self}
			if beside {
				list = append(list, fine)
			}
			merges := c.ok || beside
			r := newRig(t, quiet)
			self.Name, self.Addr = r.local.name, r.local.at()
			list[1] = self
			reply := r.HandleStream(r.now, other, pushPullOf(false, []byte("s"), list...))
			r.take()
			if len(reply) == 0 {
				t.Errorf("%s: no answer", c.name)
			}
			if merged := len(r.layer.log) > 0; merged != merges || beside && r.state(2) != wire.StateAlive {
				t.Errorf("%s, beside %v: merged %v", c.name, beside, merged)
			}
			if known := r.members.get(n.Name) != nil; known != (c.ok && c.state == wire.StateAlive) {
				t.Errorf("%s, beside %v: known %v", c.name, beside, known)
			}
			if dropped := r.Drops()[DropIncompatible] == 1; dropped == c.ok || (len(r.traced(TraceMergeRefused)) == 1) == merges {
				t.Errorf("%s, beside %v: dropped %v", c.name, beside, dropped)
			}
			// The same in the answer to a join.
			r = newRig(t, quiet)
			r.Join(r.now, other, "")
			r.take()
			r.HandleDialed(r.now, r.dials[0].ID, pushPullOf(true, nil, list...), nil)
			r.take()
			if err := r.joins[0].Err; (err == nil) != merges || err != nil && !errors.Is(err, ErrIncompatible) {
				t.Errorf("%s, beside %v: join gives %v", c.name, beside, err)
			}
		}
	}
}

func TestP55_BadAnswersChangeNothing(t *testing.T) {
	whole := pushPullOf(true, []byte("user state"), stateOf(1, 1, wire.StateAlive), stateOf(2, 1, wire.StateAlive))
	answers := map[string][]byte{
		"error":    (&wire.Err{Error: "no"}).AppendTo(nil),
		"ack":      (&wire.Ack{Seq: 1}).AppendTo(nil),
		"nothing":  nil,
		"bad type": {99},
	}
	for i := 1; i < len(whole); i++ {
		answers[fmt.Sprintf("first %d bytes", i)] = whole[:i]
	}
	for name, answer := range answers {
		r := newRig(t, quiet)
		r.Join(r.now, other, "")
		r.take()
		r.HandleDialed(r.now, r.dials[0].ID, answer, nil)
		r.take()
		if len(r.joins) != 1 || r.joins[0].Err == nil || r.NumMembers() != 1 {
			t.Errorf("%s: %+v, %d members", name, r.joins, r.NumMembers())
		}
		if name == "error" && (!errors.Is(r.joins[0].Err, ErrRemote) || !strings.Contains(r.joins[0].Err.Error(), "no")) {
			t.Errorf("error message became %v", r.joins[0].Err)
		}
		r.wantLog()
		// It cannot be answered twice.
		r.HandleDialed(r.now, r.dials[0].ID, whole, nil)
		if r.NumMembers() != 1 || r.Drops()[DropStrayDial] != 1 {
			t.Errorf("%s: a second answer was used", name)
		}
		// The other way round, half a request is not answered.
		if strings.HasPrefix(name, "first") {
			if reply := r.HandleStream(r.now, other, answer); reply != nil || r.NumMembers() != 1 {
				t.Errorf("%s: answered", name)
			}
		}
	}
}

func TestP57_FailedExchangeIsOnlyReported(t *testing.T) {
	r := newRig(t, func(c *Config) { c.ProbeInterval, c.GossipInterval = 1000*time.Hour, 1000*time.Hour })
	r.peers(1)
	r.run(31 * time.Second)
	if len(r.dials) != 1 {
		t.Fatalf("%d dials", len(r.dials))
	}
	r.HandleDialed(r.now, r.dials[0].ID, nil, errors.New("reset"))
	r.take()
	if tr := r.traced(TracePushPullFailed); len(tr) != 1 || tr[0].Node != nameOf(1) {
		t.Errorf("traces %+v", tr)
	}
	r.wantState(1, wire.StateAlive)
	r.wantLog()
	r.run(31 * time.Second)
	if len(r.dials) < 2 {
		t.Error("no further exchange")
	}
}

func TestP59_NothingNewChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.cluster(6)
	a, b := w.nodes[0], w.nodes[1]
	b.down = true
	w.run(time.Minute)
	c := w.nodes[2]
	for _, n := range []*node{a, c} {
		n.layer.log = nil
		n.queue.Prune(0)
	}
	before := fmt.Sprint(dump(a), dump(c))
	data := a.appendState(nil, false)
	reply := slices.Clone(c.HandleStream(w.now, a.addr, data))
	a.dials.open = append(a.dials.open, openDial{id: 999, kind: dialPushPull})
	a.HandleDialed(w.now, 999, reply, nil)
	if after := fmt.Sprint(dump(a), dump(c)); after != before {
		t.Errorf("changed from\n%s\nto\n%s", before, after)
	}
	if len(a.layer.log)+len(c.layer.log)+a.queue.Len()+c.queue.Len() != 0 {
		t.Errorf("told %q %q, queued %d %d", a.layer.log, c.layer.log, a.queue.Len(), c.queue.Len())
	}
}
