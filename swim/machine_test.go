package swim

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
	"pgregory.net/rapid"
)

// checkMachine verifies everything that must hold between inputs.
func checkMachine(m *Machine) error {
	if err := m.members.check(); err != nil {
		return err
	}
	switch {
	case m.members.get(m.local.name) != m.local:
		return errors.New("self is not a member")
	case m.local.state != wire.StateAlive && !m.departure.leaving:
		return errors.New("self is not alive")
	case m.awareness.score < 0 || m.awareness.score >= m.cfg.AwarenessMax:
		return errors.New("health out of bounds")
	case len(m.relays.list)-m.relays.head > MaxRelays || len(m.dials.open) > MaxDials || m.members.len() > MaxMembers:
		return errors.New("a limit is exceeded")
	case m.queue.Len() > 2*m.members.len()+spareBroadcasts+1000:
		return errors.New("more broadcasts than members")
	}
	suspects := 0
	for i, t := range m.timers.heap {
		if t.pos != i+1 {
			return errors.New("timer heap broken")
		}
		if t.kind == timerSuspicion {
			suspects++
			if s := m.members.suspects[t.who]; s == nil || &s.timer != t {
				return errors.New("timer of nobody's suspicion")
			}
		}
	}
	if suspects != m.members.count[wire.StateSuspect] {
		return errors.New("a suspicion without a timer")
	}
	return nil
}

// driver feeds a machine with bytes that somebody chose, and watches what must never happen.
type driver struct {
	m     *Machine
	now   time.Time
	last  uint32 // own incarnation
	dials []Dial
}

func newDriver(seed uint64) *driver {
	cfg := LAN()
	cfg.Plain = true
	cfg.Name, cfg.Addr = nameOf(0), addrOf(0)
	m, err := New(cfg, &recorder{state: []byte("state"), ack: []byte("ack")}, rand.New(rand.NewPCG(seed, 9)), epoch)
	if err != nil {
		panic(err)
	}
	return &driver{m: m, now: epoch}
}

// after checks the machine after an input and keeps the output for later ones.
func (d *driver) after() error {
	out := d.m.Output()
	for _, p := range out.Packets {
		if len(p.Data) == 0 {
			return errors.New("empty packet")
		}
		var u wire.Unpacker
		if err := u.Unpack(p.Data, func([]byte) {}); err != nil {
			return err
		}
	}
	d.dials = append(d.dials, out.Dials...)
	if inc := d.m.Local().Incarnation; inc < d.last {
		return errors.New("own incarnation fell")
	} else {
		d.last = inc
	}
	return checkMachine(d.m)
}

// step applies one input that op chooses; data is its message.
func (d *driver) step(op byte, data []byte) error {
	m := d.m
	switch op % 16 {
	case 0, 1, 2, 3, 4, 5:
		m.HandlePacket(d.now, other, data)
	case 6, 7:
		m.HandleStream(d.now, other, data)
	case 8:
		if len(d.dials) > 0 {
			x := d.dials[0]
			d.dials = d.dials[1:]
			m.HandleDialed(d.now, x.ID, data, nil)
		}
	case 9:
		if len(d.dials) > 0 {
			x := d.dials[0]
			d.dials = d.dials[1:]
			m.HandleDialed(d.now, x.ID, nil, ErrConnect)
		}
	case 10, 11, 12:
		if at := m.Deadline(); at.After(d.now) {
			d.now = at
		}
		m.HandleTimeout(d.now)
		if !m.Deadline().After(d.now) {
			return errors.New("deadline has passed already")
		}
	case 13: // early
		m.HandleTimeout(d.now)
	case 14: // late, by up to two hours
		dead := m.members.count[wire.StateDead]
		d.now = d.now.Add(time.Duration(op) * 30 * time.Second)
		m.HandleTimeout(d.now)
		if n := m.members.count[wire.StateDead] - dead; n > 1 {
			return errors.New("several died because the timeout was late")
		}
	case 15:
		d.command(op, data)
	}
	return d.after()
}

func (d *driver) command(op byte, data []byte) {
	switch op / 16 % 5 {
	case 0:
		d.m.Join(d.now, addrOf(int(op)), "")
	case 1:
		_ = d.m.SetMeta(d.now, data)
	case 2:
		d.m.HandleSendFailed(d.now, addrOf(len(data)%5))
	case 3:
		d.m.SendUser(other, "", data)
	case 4:
		if len(data)%7 == 0 {
			d.m.Leave(d.now)
		}
	}
}

// genMessage draws a message as a peer could send it.
func genMessage(t *rapid.T) []byte {
	name := rapid.SampledFrom([]string{nameOf(0), nameOf(1), nameOf(2), nameOf(3), nameOf(4), nameOf(5), "", "stranger"})
	inc := rapid.SampledFrom([]uint32{0, 1, 2, 3, 4, 1<<32 - 1})
	node, from := name.Draw(t, "node"), name.Draw(t, "from")
	addr := addrOf(rapid.IntRange(0, 5).Draw(t, "addr"))
	meta := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "meta")
	seq := rapid.Uint32Range(0, 9).Draw(t, "seq")
	v := rapid.SampledFrom([]wire.Versions{DefaultVersions, {}, {PMin: 1, PMax: 2, PCur: 2, DMin: 2, DMax: 5, DCur: 4}}).Draw(t, "versions")
	switch rapid.IntRange(0, 9).Draw(t, "type") {
	case 0:
		return (&wire.Ping{Seq: seq, Node: node, Source: addr, SourceNode: from}).AppendTo(nil)
	case 1:
		return (&wire.IndirectPing{Seq: seq, Target: addr, Node: node, Nack: seq%2 == 0, SourceNode: from}).AppendTo(nil)
	case 2:
		return (&wire.Ack{Seq: seq, Payload: meta}).AppendTo(nil)
	case 3:
		return (&wire.Nack{Seq: seq}).AppendTo(nil)
	case 4:
		return (&wire.Suspect{Incarnation: inc.Draw(t, "inc"), Node: node, From: from}).AppendTo(nil)
	case 5, 6:
		return (&wire.Alive{Incarnation: inc.Draw(t, "inc"), Node: node, Addr: addr, Meta: meta, Versions: v}).AppendTo(nil)
	case 7:
		return (&wire.Dead{Incarnation: inc.Draw(t, "inc"), Node: node, From: from}).AppendTo(nil)
	case 8:
		return append([]byte{byte(wire.TypeUser)}, meta...)
	}
	var nodes []wire.PushNodeState
	for range rapid.IntRange(0, 4).Draw(t, "nodes") {
		n := rapid.IntRange(0, 6).Draw(t, "who")
		nodes = append(nodes, wire.PushNodeState{Name: nameOf(n), Addr: addrOf(n), Meta: meta, Incarnation: inc.Draw(t, "inc"),
			State: wire.NodeState(rapid.IntRange(0, 3).Draw(t, "state")), Versions: v})
	}
	return pushPullOf(seq%2 == 0, meta, nodes...)
}

// genData draws a message, several in a packet, or a damaged one.
func genData(t *rapid.T) []byte {
	data := genMessage(t)
	switch rapid.IntRange(0, 5).Draw(t, "how") {
	case 0:
		data = wire.AppendCompound(nil, data, genMessage(t), genMessage(t))
	case 1:
		data = wire.AppendCRC(nil, data)
	case 2:
		i := rapid.IntRange(0, len(data)-1).Draw(t, "where")
		data[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	case 3:
		data = data[:rapid.IntRange(0, len(data)).Draw(t, "cut")]
	}
	return data
}

func TestMachineUnderRandomInputs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDriver(rapid.Uint64().Draw(t, "seed"))
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			if err := d.step(rapid.Byte().Draw(t, "op"), genData(t)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzMachine feeds whatever bytes there are: each input is an op, a length and
// that many bytes.
func FuzzMachine(f *testing.F) {
	seed := func(parts ...[]byte) {
		var all []byte
		for _, p := range parts {
			all = append(append(all, p[0], byte(len(p)-1)), p[1:]...)
		}
		f.Add(all)
	}
	op := func(o byte, msg []byte) []byte { return append([]byte{o}, msg...) }
	alive := aliveOf(1, 1).AppendTo(nil)
	seed(op(0, alive), op(10, nil), op(11, nil))
	seed(op(0, wire.AppendCompound(nil, alive, aliveOf(2, 3).AppendTo(nil))), op(0, (&wire.Suspect{Incarnation: 3, Node: nameOf(2), From: "x"}).AppendTo(nil)), op(14, nil))
	seed(op(6, pushPullOf(true, []byte("state"), stateOf(1, 1, wire.StateAlive))), op(10, nil), op(0, (&wire.Ack{Seq: 1}).AppendTo(nil)))
	seed(op(0, (&wire.Ping{Seq: 1, Node: nameOf(0)}).AppendTo(nil)), op(0, (&wire.IndirectPing{Seq: 1, Target: addrOf(4), Nack: true}).AppendTo(nil)))
	seed(op(15, nil), op(8, pushPullOf(true, nil, stateOf(1, 1, wire.StateAlive))), op(15+16, []byte("meta")), op(15+64, nil))
	seed(op(0, wire.AppendCRC(nil, alive)), op(0, new(wire.Compressor).Append(nil, alive)))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newDriver(1)
		for len(data) >= 2 {
			op, n := data[0], min(int(data[1]), len(data)-2)
			if err := d.step(op, data[2:2+n]); err != nil {
				t.Fatal(err)
			}
			data = data[2+n:]
		}
	})
}

func TestNewRefuses(t *testing.T) {
	good := Config{Name: "x", Addr: addrOf(1)}
	for name, c := range map[string]struct {
		change func(*Config)
		want   error
	}{
		"nothing wrong":     {func(*Config) {}, nil},
		"no name":           {func(c *Config) { c.Name = "" }, ErrNoName},
		"long name":         {func(c *Config) { c.Name = string(make([]byte, MaxName+1)) }, ErrNameTooLong},
		"no address":        {func(c *Config) { c.Addr = netip.AddrPort{} }, ErrNoAddr},
		"no port":           {func(c *Config) { c.Addr = netip.AddrPortFrom(c.Addr.Addr(), 0) }, ErrNoAddr},
		"long metadata":     {func(c *Config) { c.Meta = make([]byte, wire.MetaMax+1) }, ErrMetaTooLong},
		"versions":          {func(c *Config) { c.Versions = wire.Versions{PMin: 1, PMax: 2, PCur: 3} }, ErrVersions},
		"packet too small":  {func(c *Config) { c.PacketSize = 100 }, ErrPacketSize},
		"packet too large":  {func(c *Config) { c.PacketSize = 1 << 20 }, ErrPacketSize},
		"negative duration": {func(c *Config) { c.GossipInterval = -1 }, ErrNegative},
		"negative count":    {func(c *Config) { c.GossipNodes = -1 }, ErrNegative},
	} {
		cfg := good
		c.change(&cfg)
		m, err := New(cfg, &recorder{}, rand.New(rand.NewPCG(1, 1)), epoch)
		if !errors.Is(err, c.want) || (m == nil) != (c.want != nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	bad := Config{Meta: make([]byte, wire.MetaMax+1)}
	if err := bad.Validate(); !errors.Is(err, ErrNoName) || !errors.Is(err, ErrNoAddr) || !errors.Is(err, ErrMetaTooLong) {
		t.Errorf("not all faults at once: %v", err)
	}
	if _, err := New(good, nil, rand.New(rand.NewPCG(1, 1)), epoch); !errors.Is(err, ErrMissing) {
		t.Errorf("no layer: %v", err)
	}
}

func TestOutputStaysUntilTheNextInput(t *testing.T) {
	r := newRig(t, quiet)
	r.SendUser(addrOf(1), "", []byte("one"))
	r.SendUser(addrOf(2), "", make([]byte, 2000)) // outgrows the buffer
	r.AddTrace(Trace{Kind: TraceLayer})
	out := r.Output()
	if len(out.Packets) != 2 || string(out.Packets[0].Data[1:]) != "one" || len(out.Trace) != 1 {
		t.Fatalf("%+v", out)
	}
	first := out.Packets[0].Data
	if r.NumMembers(); string(first[1:]) != "one" {
		t.Error("a view changed the output")
	}
	r.SendUser(addrOf(3), "", []byte("three"))
	out = r.Output()
	if len(out.Packets) != 1 || string(out.Packets[0].Data[1:]) != "three" || len(out.Trace) != 0 {
		t.Errorf("%+v", out)
	}
	if out = r.Output(); len(out.Packets) != 0 {
		t.Errorf("taken twice: %+v", out)
	}
}

func TestDialsAreBounded(t *testing.T) {
	r := newRig(t, quiet)
	ids := map[DialID]bool{}
	for range MaxDials + 10 {
		ids[r.Join(r.now, other, "")] = true
	}
	r.take()
	if len(ids) != MaxDials+10 || len(r.dials) != MaxDials || len(r.joins) != 10 {
		t.Errorf("%d ids, %d dials, %d results", len(ids), len(r.dials), len(r.joins))
	}
	for _, j := range r.joins {
		if !errors.Is(j.Err, ErrTooManyDials) || !ids[j.ID] {
			t.Errorf("result %+v", j)
		}
	}
}

func TestRelaysAreBounded(t *testing.T) {
	r := newRig(t, quiet)
	x := (&wire.IndirectPing{Seq: 1, Target: addrOf(4), Node: "x", Nack: true}).AppendTo(nil)
	for range MaxRelays + 10 {
		r.in(x)
	}
	if n := len(r.of(wire.TypePing)); n != MaxRelays || r.Drops()[DropRelays] != 10 {
		t.Errorf("%d relayed, %d dropped", n, r.Drops()[DropRelays])
	}
	r.run(time.Second)
	if n := len(r.of(wire.TypeNack)); n != MaxRelays {
		t.Errorf("%d nacks", n)
	}
	r.in(x)
	if n := len(r.of(wire.TypePing)); n != MaxRelays+1 {
		t.Error("no room after all ended")
	}
}

func TestDropsAreReportedOnceAMinute(t *testing.T) {
	r := newRig(t, quiet)
	for range 100 {
		r.in([]byte{77})
	}
	r.run(time.Minute + time.Millisecond)
	r.in([]byte{77})
	tr := r.traced(TraceBadPacket)
	if len(tr) != 2 || tr[0].Of != 1 || tr[1].Of != 100 || Drop(tr[1].N) != DropType || tr[1].Addr != other {
		t.Errorf("traces %+v", tr)
	}
	if r.Drops()[DropType] != 101 {
		t.Errorf("counted %d", r.Drops()[DropType])
	}
}

func TestNamesOfKindsAndReasons(t *testing.T) {
	seen := map[string]bool{}
	for k := range numTraceKinds {
		if s := k.String(); s == "" || seen[s] {
			t.Errorf("trace kind %d is %q", k, s)
		} else {
			seen[s] = true
		}
	}
	if numTraceKinds > TraceLayer {
		t.Error("the kinds run into the layer's")
	}
	clear(seen)
	for d := range NumDrops {
		if s := Drop(d).String(); s == "" || seen[s] {
			t.Errorf("drop %d is %q", d, s)
		} else {
			seen[s] = true
		}
	}
	if TraceKind(200).String() != "kind-200" || Drop(99).String() != "drop-99" || LevelError.String() != "ERR" || TraceLevel(9).String() != "level-9" {
		t.Error("unknown ones have no name")
	}
}

func TestLayerMayUseTheMachine(t *testing.T) {
	r := newRig(t, quiet)
	l := &talker{r: r}
	r.Machine.layer = l
	r.in(aliveOf(1, 1).AppendTo(nil))
	if l.seen != "node1" || len(r.of(wire.TypeUser)) != 1 || len(r.traced(TraceLayer)) != 1 {
		t.Errorf("seen %q, sent %+v", l.seen, r.sent)
	}
}

// talker does in Joined all that a Layer may.
type talker struct {
	recorder
	r    *rig
	seen string
}

func (l *talker) Joined(_ time.Time, m *Member) {
	l.r.SendUser(m.Addr, m.Name, []byte("hello"))
	l.r.AddTrace(Trace{Kind: TraceLayer})
	l.r.Member("self")
	l.r.Local()
	l.r.Each(func(*Member) bool { return true })
	l.seen = m.Name // still about the same member
}

func TestUserMessages(t *testing.T) {
	r := newRig(t, quiet)
	r.in(append([]byte{byte(wire.TypeUser)}, "packet"...))
	r.HandleStream(r.now, other, wire.AppendUserStream(nil, []byte("stream")))
	r.HandleStream(r.now, other, wire.AppendUserStream(nil, []byte("stream"))[:8])
	r.wantLog("message packet", "message stream")
	r.take()
	if len(r.traced(TraceBadStream)) != 1 || len(r.traced(TraceStream)) != 2 || r.traced(TraceStream)[0].Addr != other {
		t.Errorf("traces %+v", r.traces)
	}
}
