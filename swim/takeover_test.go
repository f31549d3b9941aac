package swim

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// old is where the others hold our name in these tests.
var old = netip.MustParseAddrPort("10.3.3.3:7946")

// listed gives the rig a push/pull in which its name is held at the old address.
func (r *rig) listed(state wire.NodeState, incarnation uint32) {
	nodes := []wire.PushNodeState{
		{Name: "self", Addr: old, Incarnation: incarnation, State: state, Versions: DefaultVersions},
	}
	msg := wire.AppendPushPullHeader(nil, wire.PushPullHeader{Nodes: len(nodes)})
	for i := range nodes {
		msg = wire.AppendPushNodeState(msg, &nodes[i])
	}
	r.HandleStream(r.now, other, msg)
	r.take()
	r.run(0)
}

// checked are the pings that the check has sent: by packet to the old address,
// and through others.
func (r *rig) checked() (direct, indirect int, seq uint32) {
	for _, s := range r.of(wire.TypePing) {
		if s.to == old {
			p := decodePing(r.t, s.msg)
			if p.Node != "self" {
				r.t.Errorf("the old address is pinged as %q", p.Node)
			}
			direct, seq = direct+1, p.Seq
		}
	}
	for _, s := range r.of(wire.TypeIndirectPing) {
		var p wire.IndirectPing
		if err := p.Decode(s.msg[1:], nil); err != nil || p.Target != old || p.Node != "self" {
			r.t.Errorf("asked for %+v, %v", p, err)
		}
		indirect++
	}
	return direct, indirect, seq
}

func silentRig(t *testing.T) *rig {
	r := newNativeRig(t, quiet)
	r.acks = func(to netip.AddrPort) bool { return to != old }
	r.peers(3)
	return r
}

// told are the addresses that the move of our name was sent to, and the
// incarnations in it.
func (r *rig) moves() (to map[netip.AddrPort]bool, ended, alive uint32) {
	to = map[netip.AddrPort]bool{}
	packets := map[int]int{}
	for _, s := range r.sent {
		var d wire.Dead
		var a wire.Alive
		switch s.typ() {
		case wire.TypeDead:
			if err := d.Decode(s.msg[1:], nil); err == nil && d.Node == "self" && d.From == "self" {
				ended, packets[s.pkt] = d.Incarnation, 1
			}
		case wire.TypeAlive:
			if err := a.Decode(s.msg[1:], nil); err == nil && a.Node == "self" && packets[s.pkt] == 1 {
				alive, to[s.to] = a.Incarnation, true
			}
		}
	}
	return to, ended, alive
}

// The name of a node that is gone is taken, whatever the others hold of it.
func TestP108_SilentNameIsTaken(t *testing.T) {
	for _, state := range []wire.NodeState{wire.StateAlive, wire.StateSuspect, wire.StateDead} {
		r := silentRig(t)
		r.listed(state, 7)
		r.run(r.cfg.ProbeInterval - time.Millisecond)
		if direct, indirect, _ := r.checked(); direct != 3 || indirect != 6 {
			t.Errorf("%d pings, %d through others", direct, indirect)
		}
		if len(r.dials) != 1 || r.dials[0].To != old {
			t.Errorf("streams %+v", r.dials)
		}
		if to, _, _ := r.moves(); len(to) != 0 {
			t.Error("taken too soon")
		}
		r.run(2 * time.Millisecond)
		to, ended, alive := r.moves()
		if len(to) != 3 || to[old] || ended != 7 || alive != 8 || r.Local().Incarnation != 8 {
			t.Errorf("state %d: told %v, ended at %d, alive at %d", state, to, ended, alive)
		}
		r.wantLog()
		if len(r.traced(TraceNameElsewhere)) != 1 || len(r.traced(TraceNameTaken)) != 1 {
			t.Errorf("traces %+v", r.traces)
		}
	}
}

// Somebody who has missed the move is told again, with what the others know.
func TestP109_ToldAgainWithoutHarm(t *testing.T) {
	r := silentRig(t)
	r.listed(wire.StateAlive, 7)
	r.run(2 * time.Second)
	r.forgetSent()
	r.listed(wire.StateAlive, 6)
	r.run(2 * time.Second)
	if _, ended, alive := r.moves(); ended != 6 || alive != 8 {
		t.Errorf("ended at %d, alive at %d", ended, alive)
	}
}

// An answer on any way is a conflict, and nothing is taken.
func TestP108_Answered(t *testing.T) {
	for name, answer := range map[string]func(r *rig){
		"by packet or through another": func(r *rig) {
			_, _, seq := r.checked()
			r.in((&wire.Ack{Seq: seq}).AppendTo(nil))
		},
		"over a stream": func(r *rig) {
			_, _, seq := r.checked()
			r.HandleDialed(r.now, r.dials[0].ID, (&wire.Ack{Seq: seq}).AppendTo(nil), nil)
			r.take()
		},
	} {
		r := silentRig(t)
		r.listed(wire.StateAlive, 7)
		answer(r)
		r.wantLog("conflict self " + old.String())
		r.run(5 * time.Second)
		if to, _, _ := r.moves(); len(to) != 0 || r.Local().Incarnation != 1 {
			t.Errorf("%s: taken all the same", name)
		}
	}
}

// A stream that fails proves nothing.
func TestP108_RefusedStream(t *testing.T) {
	r := silentRig(t)
	r.listed(wire.StateAlive, 7)
	r.HandleDialed(r.now, r.dials[0].ID, nil, ErrConnect)
	r.take()
	r.wantLog()
	if to, _, _ := r.moves(); len(to) != 0 {
		t.Error("taken at once")
	}
}

// The old address is ours too: our own ping is no answer.
func TestP108_OwnPing(t *testing.T) {
	for _, stream := range []bool{false, true} {
		r := silentRig(t)
		r.listed(wire.StateAlive, 7)
		for _, s := range r.of(wire.TypePing) {
			if s.to != old {
				continue
			}
			if stream {
				if reply := r.HandleStream(r.now, other, s.msg); reply != nil {
					t.Errorf("answered %x", reply)
				}
				r.take()
			} else {
				r.in(s.msg)
			}
		}
		r.wantLog()
		if to, _, alive := r.moves(); len(to) != 3 || alive != 8 {
			t.Errorf("stream %v: told %v, alive at %d", stream, to, alive)
		}
	}
}

// A name that left is free; one at our own address is ours (P37); who leaves
// wants none.
func TestP108_NothingToCheck(t *testing.T) {
	r := silentRig(t)
	r.listed(wire.StateLeft, 7)
	r.Leave(r.now)
	r.take()
	r.listed(wire.StateAlive, 7)
	r.run(5 * time.Second)
	if direct, _, _ := r.checked(); direct != 0 || len(r.traced(TraceNameTaken)) != 0 {
		t.Errorf("%d pings", direct)
	}
}

// Who applies the move passes on both messages, so that it works on those who
// hold the old address too.
func TestP109_MoveIsPassedOn(t *testing.T) {
	moved := aliveOf(1, 8)
	moved.Addr = addrOf(77)
	r := newNativeRig(t, quiet)
	r.peers(1)
	r.in((&wire.Dead{Incarnation: 7, Node: nameOf(1), From: nameOf(1)}).AppendTo(nil), moved.AppendTo(nil))
	r.wantLog("left node1", "joined node1")
	queue := r.drain()
	if len(queue) != 1 {
		t.Fatalf("%d broadcasts", len(queue))
	}
	second := newNativeRig(t, quiet)
	second.peers(1)
	second.in(queue[0])
	second.wantLog("left node1", "joined node1")
	if m := second.Member(nameOf(1)); m.Addr != addrOf(77) || m.Incarnation != 8 {
		t.Errorf("%+v", m)
	}
	// Again, it changes nothing.
	second.drain()
	second.in(queue[0])
	second.wantLog()
	if second.queue.Len() != 0 {
		t.Error("passed on twice")
	}
}
