package serf

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

func baseName(i int) string { return fmt.Sprintf("m%02d", i) }

func baseAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), 7946)
}

func baseConfig(i int) Config {
	cfg := Config{Swim: swim.LAN(), Tags: []wire.Tag{{Key: "role", Value: "web"}}}
	cfg.Swim.Name, cfg.Swim.Addr = baseName(i), baseAddr(i)
	return cfg
}

// newBase is a base of n members.
func newBase(t *testing.T, n int) *Base {
	t.Helper()
	m, err := New(baseConfig(0), rand.New(rand.NewPCG(1, 1)), time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < n; i++ {
		a := wire.Alive{Incarnation: 1, Node: baseName(i), Addr: baseAddr(i), Meta: m.Swim().Local().Meta, Versions: m.Swim().Local().Versions}
		m.HandlePacket(time.Unix(0, 0), baseAddr(i), a.AppendTo(nil))
		m.Output()
	}
	return m.Base()
}

func fromBase(t *testing.T, b *Base, i int) *Machine {
	t.Helper()
	cfg := baseConfig(i)
	cfg.Base = b
	m, err := New(cfg, rand.New(rand.NewPCG(2, uint64(i))), time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Machines that share a base are told of themselves, list everybody, and what
// becomes of a member at one of them changes nothing for the others.
func TestBase(t *testing.T) {
	b := newBase(t, 40)
	m, o := fromBase(t, b, 3), fromBase(t, b, 4)
	ev := m.Output().Events
	if len(ev) != 1 || ev[0].Type != EventMemberJoin || len(ev[0].Members) != 1 || ev[0].Members[0].Name != baseName(3) {
		t.Fatalf("it is told %+v", ev)
	}
	now := time.Unix(1, 0)
	for _, d := range []wire.Dead{{Incarnation: 1, Node: baseName(5), From: baseName(6)}, {Incarnation: 1, Node: baseName(7), From: baseName(7)}} {
		m.HandlePacket(now, baseAddr(6), d.AppendTo(nil))
	}
	if ev := m.Output().Events; len(ev) != 2 || ev[0].Type != EventMemberFailed || ev[1].Type != EventMemberLeave {
		t.Fatalf("it is told %+v", ev)
	}
	if s := m.Stats(); s.Members != 40 || s.Failed != 1 || s.Left != 1 {
		t.Errorf("%+v", s)
	}
	check := func(m *Machine, i int, want Status) {
		t.Helper()
		got, ok := m.Member(baseName(i))
		if !ok || got.Status != want || got.Addr != baseAddr(i) || len(got.Tags) != 1 {
			t.Errorf("%s lists %+v, want %v", m.Local().Name, got, want)
		}
	}
	check(m, 5, StatusFailed)
	check(m, 7, StatusLeft)
	check(o, 5, StatusAlive)
	check(fromBase(t, b, 9), 7, StatusAlive)

	// One more member, and one that is reaped: the table is the machine's alone.
	a := wire.Alive{Incarnation: 1, Node: "m05b", Addr: baseAddr(99), Versions: m.Swim().Local().Versions}
	m.HandlePacket(now, baseAddr(6), a.AppendTo(nil))
	list := m.Members()
	for i, x := range list {
		if i > 0 && list[i-1].Name >= x.Name {
			t.Errorf("%s before %s", list[i-1].Name, x.Name)
		}
	}
	if len(list) != 41 || len(o.Members()) != 40 {
		t.Errorf("%d and %d members", len(list), len(o.Members()))
	}
	check(m, 5, StatusFailed)
	check(m, 8, StatusAlive)

	cfg := baseConfig(90)
	cfg.Base = b
	if _, err := New(cfg, rand.New(rand.NewPCG(2, 2)), now); !errors.Is(err, swim.ErrBase) {
		t.Errorf("a node that is not in the base: %v", err)
	}
}

// What is reaped is reaped from a shared table too.
func TestBaseReap(t *testing.T) {
	b := newBase(t, 40)
	cfg := baseConfig(3)
	cfg.Base, cfg.ReconnectTimeout, cfg.ReapInterval = b, 10*time.Second, time.Second
	m, err := New(cfg, rand.New(rand.NewPCG(2, 2)), time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	d := wire.Dead{Incarnation: 1, Node: baseName(5), From: baseName(6)}
	m.HandlePacket(time.Unix(1, 0), baseAddr(6), d.AppendTo(nil))
	for s := range int64(30) {
		m.HandleTimeout(time.Unix(2+s, 0))
		m.Output()
	}
	if _, ok := m.Member(baseName(5)); ok || len(m.Members()) != 39 || b.Len() != 40 {
		t.Errorf("%d members, %d in the base", len(m.Members()), b.Len())
	}
}
