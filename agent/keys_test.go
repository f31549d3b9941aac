package agent

import (
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/agent/transport/transporttest"
	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

func wireKey(t *testing.T, raw []byte) wire.Key {
	t.Helper()
	k, err := wire.NewKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestP181_SpokenKeys(t *testing.T) {
	first, old, older := wireKey(t, rawKey(1, 16)), wireKey(t, rawKey(2, 16)), wireKey(t, rawKey(3, 16))
	at, elsewhere := netip.MustParseAddrPort("10.0.0.1:7946"), netip.MustParseAddrPort("10.0.0.2:7946")
	var s peerKeys
	s.init()
	now := time.Unix(1000, 0)
	speaks := func(to netip.AddrPort, want wire.Key, wantBoth bool) {
		t.Helper()
		if key, both := s.keyFor(now, to); !key.Equal(want) || both != wantBoth {
			t.Errorf("to %v: %v %v, want %v %v", to, key.Bytes(), both, want.Bytes(), wantBoth)
		}
	}
	speaks(at, wire.Key{}, false)
	s.heard(now, at, first, first)
	s.heard(now, at, wire.Key{}, first)
	speaks(at, wire.Key{}, false)
	if len(s.news) != 0 {
		t.Error("news of nothing")
	}
	s.heard(now, at, old, first)
	speaks(at, old, true)
	speaks(at, old, false) // both keys once a second
	speaks(elsewhere, wire.Key{}, false)
	if now = now.Add(spokenBoth); len(s.news) != 1 {
		t.Error("no news")
	}
	speaks(at, old, true)
	s.heard(now, at, older, first)
	s.heard(now, at, wire.Key{}, first) // a plain packet says nothing about keys
	speaks(at, older, false)
	s.heard(now, at, first, first)
	speaks(at, wire.Key{}, false)
	s.heard(now, at, old, first)
	now = now.Add(spokenFor + time.Second)
	speaks(at, wire.Key{}, false)
	if s.size.Load() != 0 || len(s.by) != 0 {
		t.Error("remembered though silent")
	}
}

func TestP181_SpokenKeysAreBounded(t *testing.T) {
	first, old := wireKey(t, rawKey(1, 16)), wireKey(t, rawKey(2, 16))
	var s peerKeys
	s.init()
	now := time.Unix(1000, 0)
	addr := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 7946)
	}
	for i := range maxSpoken + 100 {
		s.heard(now, addr(i), old, first)
	}
	if len(s.by) != maxSpoken || int(s.size.Load()) != maxSpoken {
		t.Errorf("%d are remembered", len(s.by))
	}
	s.heard(now.Add(2*spokenFor), addr(maxSpoken+1), old, first)
	if len(s.by) != 1 || s.size.Load() != 1 {
		t.Errorf("%d are remembered though silent", len(s.by))
	}
}

func TestMajority(t *testing.T) {
	for _, tc := range []struct {
		primary string // of each node, "-" for none told
		n       int
		want    string
	}{
		{"a a b", 3, "a"}, {"b a a", 3, "a"}, {"a b", 2, ""}, {"a a", 4, ""}, {"a a a", 4, "a"},
		{"- - a", 3, ""}, {"", 0, ""}, {"a", 1, "a"}, {"a a b b", 4, ""},
	} {
		primary := map[string]string{}
		for i, key := range strings.Fields(tc.primary) {
			primary[string(rune('A'+i))] = strings.Trim(key, "-")
		}
		if got := majority(primary, tc.n); got != tc.want {
			t.Errorf("%s of %d: %q, want %q", tc.primary, tc.n, got, tc.want)
		}
	}
}

// ringOf is an agent's ring, as the first bytes of its keys.
func ringOf(a *Agent) (out []byte) {
	for _, k := range a.frame.Load().Keys {
		out = append(out, k.Bytes()[0])
	}
	return out
}

// wantRing waits up to d for an agent's ring to be as said.
func wantRing(t *testing.T, a *Agent, d time.Duration, want ...byte) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end) && !slices.Equal(ringOf(a), want); {
		time.Sleep(10 * time.Millisecond)
	}
	if got := ringOf(a); !slices.Equal(got, want) {
		t.Fatalf("%s has the keys %d after %v, want %d", a.cfg.Name, got, d, want)
	}
}

// sealed starts nodes a, b, … with key 1 that know each other.
func sealed(t *testing.T, net *transporttest.MemNet, names ...string) (nodes []*Agent) {
	t.Helper()
	return sealedAs(t, net, false, names...)
}

func sealedAs(t *testing.T, net *transporttest.MemNet, plain bool, names ...string) (nodes []*Agent) {
	t.Helper()
	for i, name := range names {
		nodes = append(nodes, memNode(t, net, name, byte(i+1), func(c *Config) {
			c.Keys = [][]byte{rawKey(1, 16)}
			c.ReconnectInterval = 5 * time.Second
			c.Swim.Plain = plain
		}))
		if i == 0 {
			continue
		}
		if n, err := nodes[i].Join(t.Context(), []string{"10.0.0.1"}, false); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	for _, n := range nodes {
		wantStatuses(t, n, 5*time.Second, strings.Join(names, " alive, ")+" alive")
	}
	return nodes
}

func stopAll(nodes []*Agent) {
	for _, n := range nodes {
		n.Stop()
	}
}

func rotate(t *testing.T, a *Agent, command string, key []byte, fault string) {
	t.Helper()
	_, err := a.Backend().Key(t.Context(), command, b64(key))
	if got := ""; err != nil {
		if got = err.Error(); got != fault {
			t.Fatalf("%s: %q, want %q", command, got, fault)
		}
	} else if fault != "" {
		t.Fatalf("%s: no fault, want %q", command, fault)
	}
}

func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := sealed(t, transporttest.NewMemNet(), "a", "b", "c")
		defer stopAll(nodes)
		rotate(t, nodes[1], rpc.UseKey, rawKey(2, 32), "3/3 nodes reported failure")
		rotate(t, nodes[0], rpc.InstallKey, rawKey(2, 32), "")
		rotate(t, nodes[1], rpc.UseKey, rawKey(2, 32), "")
		rotate(t, nodes[0], rpc.RemoveKey, rawKey(2, 32), "3/3 nodes reported failure")
		rotate(t, nodes[2], rpc.RemoveKey, rawKey(1, 16), "")
		for _, n := range nodes {
			wantRing(t, n, 0, 2)
		}
		resp, err := nodes[0].Backend().Key(t.Context(), rpc.ListKeys, "")
		if err != nil || resp.NumNodes != 3 || resp.NumResp != 3 || len(resp.Keys) != 1 || resp.Keys[b64(rawKey(2, 32))] != 3 {
			t.Errorf("%+v, %v", resp, err)
		}
		if resp, err := nodes[0].Backend().Key(t.Context(), rpc.InstallKey, "x"); err == nil || resp.Messages == nil {
			t.Errorf("%+v, %v", resp, err)
		}
		time.Sleep(time.Minute)
		for _, n := range nodes {
			wantStatuses(t, n, 0, "a alive, b alive, c alive")
		}
	})
}

// A node that the gossip has missed is asked once more, by itself.
func TestP184_KeysReachWhomGossipMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewMemNet()
		var deaf atomic.Bool
		net.Drop = func(_, to netip.AddrPort) bool { return deaf.Load() && to.Addr().As4()[3] == 3 }
		// Natives would notice at once that one is gone, and not count it.
		nodes := sealedAs(t, net, true, "a", "b", "c")
		defer stopAll(nodes)
		deaf.Store(true)
		time.AfterFunc(3*time.Second, func() { deaf.Store(false) }) // the query takes 3.2 s
		rotate(t, nodes[0], rpc.InstallKey, rawKey(2, 24), "")
		wantRing(t, nodes[2], 0, 1, 2)
		// Who does not answer at all is missing still.
		nodes[2].Stop()
		rotate(t, nodes[0], rpc.InstallKey, rawKey(3, 24), "2/3 nodes reported success")
	})
}

// A node that heard nothing of a rotation comes back by itself and is given the keys,
// whether it was cut off for a while or failed meanwhile.
func TestP182_LateNodeComesBack(t *testing.T) {
	for _, away := range []time.Duration{3 * time.Second, time.Minute} {
		t.Run(away.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := transporttest.NewMemNet()
				cut := make(chan bool, 1)
				cut <- false
				net.Drop = func(from, to netip.AddrPort) bool {
					is := <-cut
					cut <- is
					const c = 3
					return is && (from.Addr().As4()[3] == c) != (to.Addr().As4()[3] == c)
				}
				nodes := sealed(t, net, "a", "b", "c")
				defer stopAll(nodes)
				<-cut
				cut <- true
				begun := time.Now()
				for _, command := range []string{serf.InstallKey, serf.UseKey} {
					if err := nodes[0].ring.change(command, rawKey(2, 24)); err != nil {
						t.Fatal(err)
					}
					if err := nodes[1].ring.change(command, rawKey(2, 24)); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(away - time.Since(begun))
				<-cut
				cut <- false
				for _, n := range nodes {
					wantStatuses(t, n, time.Minute, "a alive, b alive, c alive")
				}
				wantRing(t, nodes[2], 30*time.Second, 2, 1)
				for _, n := range nodes[:2] {
					wantRing(t, n, 0, 2, 1)
				}
				rotate(t, nodes[1], rpc.RemoveKey, rawKey(1, 16), "")
				time.Sleep(time.Minute)
				for _, n := range nodes {
					wantRing(t, n, 0, 2)
					wantStatuses(t, n, 0, "a alive, b alive, c alive")
				}
			})
		})
	}
}

// A node that is started with an old key joins, and learns the one in use; with a key
// that is no longer in the rings it is a stranger.
func TestP180_LateNodeStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewMemNet()
		nodes := sealed(t, net, "a", "b", "c")
		defer func() { stopAll(nodes) }()
		rotate(t, nodes[0], rpc.InstallKey, rawKey(2, 24), "")
		rotate(t, nodes[0], rpc.UseKey, rawKey(2, 24), "")
		d := memNode(t, net, "d", 4, func(c *Config) { c.Keys = [][]byte{rawKey(1, 16)} })
		nodes = append(nodes, d)
		if n, err := d.Join(t.Context(), []string{"10.0.0.2"}, false); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		wantRing(t, d, 30*time.Second, 2, 1)
		rotate(t, d, rpc.RemoveKey, rawKey(1, 16), "")
		for _, n := range nodes {
			wantStatuses(t, n, 5*time.Second, "a alive, b alive, c alive, d alive")
		}
		e := memNode(t, net, "e", 5, func(c *Config) { c.Keys = [][]byte{rawKey(1, 16)} })
		nodes = append(nodes, e)
		if n, err := e.Join(t.Context(), []string{"10.0.0.1"}, false); n != 0 || err == nil {
			t.Errorf("joined with a key that was removed: %d, %v", n, err)
		}
	})
}

// Who is in the minority follows; nobody makes the majority turn back.
func TestP182_MinorityFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := sealed(t, transporttest.NewMemNet(), "a", "b", "c", "d", "e")
		defer stopAll(nodes)
		rotate(t, nodes[0], rpc.InstallKey, rawKey(2, 24), "")
		for _, n := range nodes[:3] { // d and e miss the query
			if err := n.ring.change(serf.UseKey, rawKey(2, 24)); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range nodes {
			wantRing(t, n, 30*time.Second, 2, 1)
		}
		time.Sleep(time.Minute)
		for _, n := range nodes {
			wantRing(t, n, 0, 2, 1)
			wantStatuses(t, n, 0, "a alive, b alive, c alive, d alive, e alive")
			if left := n.spoken.size.Load(); left != 0 {
				t.Errorf("%s speaks another key to %d still", n.cfg.Name, left)
			}
		}
	})
}

// A stream to a late node is opened in its key.
func TestP180_StreamToLateNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewMemNet()
		keys := func(raw ...[]byte) func(*Config) { return func(c *Config) { c.Keys = raw } }
		nodes := []*Agent{memNode(t, net, "a", 1, keys(rawKey(2, 24), rawKey(1, 16))), memNode(t, net, "b", 2, keys(rawKey(1, 16)))}
		defer stopAll(nodes)
		if n, err := nodes[0].Join(t.Context(), []string{"10.0.0.2"}, false); n != 0 || err == nil {
			t.Errorf("joined in a key that b does not have: %d, %v", n, err)
		}
		nodes[0].spoken.heard(time.Now(), nodes[1].Addr(), wireKey(t, rawKey(1, 16)), wireKey(t, rawKey(2, 24)))
		if n, err := nodes[0].Join(t.Context(), []string{"10.0.0.2"}, false); n != 1 || err != nil {
			t.Error(n, err)
		}
	})
}

// Two nodes that took each other for late find out that neither is.
func TestP181_NodesDoNotHoldEachOtherBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := sealed(t, transporttest.NewMemNet(), "a", "b")
		defer stopAll(nodes)
		rotate(t, nodes[0], rpc.InstallKey, rawKey(2, 24), "")
		rotate(t, nodes[0], rpc.UseKey, rawKey(2, 24), "")
		first, old := wireKey(t, rawKey(2, 24)), wireKey(t, rawKey(1, 16))
		nodes[0].spoken.heard(time.Now(), nodes[1].Addr(), old, first)
		nodes[1].spoken.heard(time.Now(), nodes[0].Addr(), old, first)
		time.Sleep(5 * time.Second)
		for _, n := range nodes {
			if n.spoken.size.Load() != 0 {
				t.Errorf("%s still speaks the old key", n.cfg.Name)
			}
			wantStatuses(t, n, 0, "a alive, b alive")
		}
	})
}

// Half and half is nobody's majority: both stay as they are and understand each other.
func TestP182_NoMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := sealed(t, transporttest.NewMemNet(), "a", "b")
		defer stopAll(nodes)
		rotate(t, nodes[0], rpc.InstallKey, rawKey(2, 24), "")
		if err := nodes[1].ring.change(serf.UseKey, rawKey(2, 24)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		wantRing(t, nodes[0], 0, 1, 2)
		wantRing(t, nodes[1], 0, 2, 1)
		for _, n := range nodes {
			wantStatuses(t, n, 0, "a alive, b alive")
		}
	})
}

// The switches let plain and encrypted nodes live together, and Reload turns them.
func TestTurningEncryptionOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewMemNet()
		with := func(in, out bool) func(*Config) {
			return func(c *Config) {
				c.Keys, c.NoVerifyIncoming, c.NoVerifyOutgoing = [][]byte{rawKey(1, 16)}, !in, !out
			}
		}
		nodes := []*Agent{memNode(t, net, "a", 1, nil), memNode(t, net, "b", 2, with(false, false))}
		defer func() { stopAll(nodes) }()
		join := func(i int) {
			t.Helper()
			if n, err := nodes[i].Join(t.Context(), []string{"10.0.0.1", "10.0.0.2"}, false); n == 0 {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			for _, n := range nodes {
				wantStatuses(t, n, 0, "a alive, b alive")
			}
		}
		join(1)
		if err := nodes[0].Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		nodes[0].Stop()
		nodes[0] = memNode(t, net, "a", 1, with(false, false))
		join(0)
		for _, step := range []func(*Config){with(false, true), with(true, true)} {
			for _, n := range nodes {
				cfg := n.cfg
				step(&cfg)
				if err := n.Reload(cfg); err != nil {
					t.Fatal(err)
				}
				time.Sleep(20 * time.Second)
				for _, n := range nodes {
					wantStatuses(t, n, 0, "a alive, b alive")
				}
			}
		}
		plain := memNode(t, net, "c", 3, nil)
		nodes = append(nodes, plain)
		if n, err := plain.Join(t.Context(), []string{"10.0.0.1"}, false); n != 0 || err == nil {
			t.Errorf("a plain node joined: %d, %v", n, err)
		}
	})
}

// Clusters of different labels do not hear each other.
func TestClusterLabel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewMemNet()
		label := func(s string) func(*Config) {
			return func(c *Config) { c.Label, c.Keys = s, [][]byte{rawKey(1, 16)} }
		}
		nodes := []*Agent{memNode(t, net, "a", 1, label("east")), memNode(t, net, "b", 2, label("east")),
			memNode(t, net, "c", 3, label("west")), memNode(t, net, "d", 4, label(""))}
		defer stopAll(nodes)
		if n, err := nodes[1].Join(t.Context(), []string{"10.0.0.1"}, false); n != 1 || err != nil {
			t.Error(n, err)
		}
		for _, stranger := range nodes[2:] {
			if n, err := stranger.Join(t.Context(), []string{"10.0.0.1"}, false); n != 0 || err == nil {
				t.Error(stranger.cfg.Label, n, err)
			}
		}
		time.Sleep(30 * time.Second)
		wantStatuses(t, nodes[0], 0, "a alive, b alive")
		wantStatuses(t, nodes[2], 0, "c alive")
	})
}
