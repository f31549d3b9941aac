package swim

import (
	"bytes"
	"testing"

	"github.com/ibuki-dev/ibuki/wire"
)

// What a node holds already is passed over when states are exchanged. So whatever
// is passed over must be without effect when it is merged all the same.
func TestHeldStatesHaveNoEffect(t *testing.T) {
	for _, plain := range []bool{true, false} {
		r := newRig(t, quiet, func(c *Config) { c.Plain = plain })
		r.peers(5)
		r.suspect(2, 1, "x")
		r.dead(3, 1, "x")
		r.dead(4, 1, nameOf(4))
		r.drain()
		r.forgetSent()
		held := 0
		for i := range r.members.len() {
			e := r.members.at(i)
			exact := wire.PushNodeState{Name: e.name, Addr: e.at(), Meta: e.meta, Incarnation: e.incarnation,
				State: e.state, Versions: e.versions, Native: e.native}
			if want := e.state != wire.StateSuspect; r.holds(&exact) != want {
				t.Errorf("%s in state %d is held: %v", e.name, e.state, !want)
			}
			for _, n := range variants(exact) {
				if r.holds(&n) {
					held++
					r.mergesNothing(&n)
				}
			}
		}
		if held < 10 {
			t.Errorf("plain %v: only %d variants are held", plain, held)
		}
	}
}

// variants are n, and n with one field changed.
func variants(n wire.PushNodeState) []wire.PushNodeState {
	all := []wire.PushNodeState{n}
	for _, change := range []func(*wire.PushNodeState){
		func(n *wire.PushNodeState) { n.Incarnation++ },
		func(n *wire.PushNodeState) { n.Incarnation-- },
		func(n *wire.PushNodeState) { n.Addr = addrOf(99) },
		func(n *wire.PushNodeState) { n.Meta = []byte("other") },
		func(n *wire.PushNodeState) { n.Versions.PMax = 4 },
		func(n *wire.PushNodeState) { n.Versions = wire.Versions{} },
		func(n *wire.PushNodeState) { n.Native ^= 1 },
		func(n *wire.PushNodeState) { n.State = wire.StateAlive },
		func(n *wire.PushNodeState) { n.State = wire.StateSuspect },
		func(n *wire.PushNodeState) { n.State = wire.StateDead },
		func(n *wire.PushNodeState) { n.State = wire.StateLeft },
		func(n *wire.PushNodeState) { n.State = wire.NodeStateUnknown },
		func(n *wire.PushNodeState) { n.Name = "stranger" },
	} {
		v := n
		change(&v)
		all = append(all, v)
	}
	return all
}

// mergesNothing merges n and looks for anything that has become different.
func (r *rig) mergesNothing(n *wire.PushNodeState) {
	r.t.Helper()
	before, counts := r.appendState(nil, false), r.counts
	msg := wire.AppendPushNodeState(wire.AppendPushPullHeader(nil, wire.PushPullHeader{Nodes: 1}), n)
	r.begin(r.now)
	r.mergeMembers(msg[1:])
	r.take()
	if !bytes.Equal(before, r.appendState(nil, false)) || r.counts != counts || r.queue.Len() > 0 {
		r.t.Errorf("%+v changes something", n)
	}
	if len(r.sent)+len(r.dials)+len(r.links)+len(r.traces)+len(r.layer.log) > 0 {
		r.t.Errorf("%+v has effects: %v %v %v %v %q", n, r.sent, r.dials, r.links, r.traces, r.layer.log)
		r.forgetSent()
	}
}
