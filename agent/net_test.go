package agent

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/agent/logging"
	"github.com/ibuki-dev/ibuki/logtest"
	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// realNode starts a node on loopback sockets with free ports, fast timing and RPC.
func realNode(t *testing.T, name string, mod func(*Config)) *Agent {
	t.Helper()
	cfg := Config{
		Name: name, Bind: netip.MustParseAddrPort("127.0.0.1:0"), RPCAddr: "127.0.0.1:0",
		Config: serf.Config{Swim: swim.Local(), CoalescePeriod: -1},
	}
	if mod != nil {
		mod(&cfg)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Stop)
	return a
}

func dialRPC(t *testing.T, a *Agent) *rpc.Client {
	t.Helper()
	c, err := rpc.Dial(t.Context(), rpc.ClientConfig{Addr: a.RPCAddr().String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func joinTo(t *testing.T, a, b *Agent) {
	t.Helper()
	if n, err := a.Join(t.Context(), []string{b.Addr().String()}, false); n != 1 || err != nil {
		t.Fatalf("join: %d, %v", n, err)
	}
}

func TestRealSockets(t *testing.T) {
	for _, c := range []struct {
		name string
		mod  func(*Config)
	}{
		{"plain", nil},
		{"uncompressed", func(c *Config) { c.NoCompression = true }},
		{"encrypted", func(c *Config) { c.Keys = [][]byte{bytes.Repeat([]byte{7}, 32)}; c.Label = "L" }},
		{"all addresses", func(c *Config) {
			c.Bind = netip.MustParseAddrPort("0.0.0.0:0")
			c.Advertise = netip.MustParseAddrPort("127.0.0.1:0")
		}},
		{"ipv6", func(c *Config) { c.Bind = netip.MustParseAddrPort("[::1]:0") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "ipv6" {
				l, err := net.Listen("tcp", "[::1]:0")
				if err != nil {
					t.Skip("no IPv6 loopback: ", err)
				}
				l.Close()
			}
			a, b := realNode(t, "a", c.mod), realNode(t, "b", c.mod)
			joinTo(t, a, b)
			wantStatuses(t, a, 30*time.Second, "a alive, b alive")
			wantStatuses(t, b, 30*time.Second, "a alive, b alive")
			if err := a.SetTags(map[string]string{"k": strings.Repeat("long value ", 20)}, nil); err != nil {
				t.Fatal(err)
			}
			events := collect(t, b)
			if err := a.UserEvent("ev", bytes.Repeat([]byte("z"), 300), false); err != nil {
				t.Fatal(err)
			}
			heard := false
			eventually(t, "the event and the tags", func() bool {
				got := strings.Join(events(), ";")
				heard = heard || strings.Contains(got, "user ev")
				e := b.Live().Current().Get("a") // the live list may follow that of members
				if e == nil {
					return false
				}
				v, _ := e.Tag("k")
				return heard && v != ""
			})
			if err := b.Leave(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantStatuses(t, a, 30*time.Second, "a alive, b left")
			if f := a.Faults(); len(f) != 0 {
				t.Errorf("faults of a: %v", f)
			}
		})
	}
}

// eventually waits for something that real sockets need a moment for.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("did not come: " + what)
		}
	}
}

func TestKeysByRPC(t *testing.T) {
	keyed := func(c *Config) { c.Keys = [][]byte{bytes.Repeat([]byte{1}, 16)} }
	a, b := realNode(t, "a", keyed), realNode(t, "b", keyed)
	joinTo(t, a, b)
	next := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{2}, 16))
	ctx, back := t.Context(), a.Backend()
	eventually(t, "both members", func() bool { return statuses(b) == "a alive, b alive" })
	for _, command := range []string{rpc.InstallKey, rpc.UseKey} {
		if r, err := back.Key(ctx, command, next); err != nil {
			t.Fatalf("%s: %v %v", command, r, err)
		}
	}
	r, err := back.Key(ctx, rpc.ListKeys, "")
	if err != nil || r.NumResp != 2 || r.Keys[next] != 2 || len(r.Keys) != 2 {
		t.Errorf("list-keys: %+v, %v", r, err)
	}
	if r, err := back.Key(ctx, rpc.RemoveKey, next); err == nil || r.NumErr != 2 {
		t.Errorf("the primary key was removed: %+v, %v", r, err)
	}
	plain := realNode(t, "c", nil)
	if n, err := plain.Join(ctx, []string{a.Addr().String()}, false); err == nil {
		t.Errorf("a node without the key joined %d", n)
	}
}

func TestOccupiedPorts(t *testing.T) {
	a := realNode(t, "a", nil)
	gossip, rpcAddr := a.BindAddr(), a.RPCAddr().String()
	start := func(mod func(*Config)) error {
		cfg := Config{Name: "b", Bind: netip.MustParseAddrPort("127.0.0.1:0"), RPCAddr: "127.0.0.1:0"}
		mod(&cfg)
		b, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Stop()
		return b.Start(t.Context())
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for what, err := range map[string]error{
		"udp": start(func(c *Config) { c.Bind = gossip }),
		"rpc": start(func(c *Config) { c.RPCAddr = rpcAddr }),
		"tcp": start(func(c *Config) { c.Bind = netip.MustParseAddrPort(tcp.Addr().String()) }),
	} {
		if !errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// freePort is a port that is free now and that no connection gets as its own by
// chance: one that is dialled in a loop could otherwise connect to itself.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return netip.MustParseAddrPort(addr)
		}
	}
	t.Fatal("no free port")
	return netip.AddrPort{}
}

// Droonga's engine starts the agent, waits until the gossip port accepts, and
// then uses RPC at once.
// P153, P161, P147
func TestRPCAnswersBeforeTheGossipPortAccepts(t *testing.T) {
	addr := freePort(t)
	rpcAddr := make(chan string, 1)
	answered := make(chan error, 1)
	go func() {
		for {
			c, err := net.Dial("tcp", addr.String())
			if err == nil {
				c.Close() // without a word
				break
			}
		}
		client, err := rpc.Dial(context.Background(), rpc.ClientConfig{Addr: <-rpcAddr})
		if err == nil {
			err = client.UpdateTags(context.Background(), map[string]string{"k": "v"}, nil)
			client.Close()
		}
		answered <- err
	}()
	file := filepath.Join(t.TempDir(), "tags")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rpcAddr <- l.Addr().String()
	l.Close()
	a := realNode(t, "a", func(c *Config) { c.Bind, c.RPCAddr, c.TagsFile = addr, l.Addr().String(), file })
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	if v, _ := a.Live().Current().Get("a").Tag("k"); v != "v" {
		t.Error("the tag is not there when the call returns")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "{\n  \"k\": \"v\"\n}" {
		t.Errorf("tags file: %q, %v", b, err)
	}
	if f := a.Faults(); len(f) != 0 {
		t.Errorf("a connection that is closed without a word counts as %v", f)
	}
	a.Stop()
	again := realNode(t, "a", func(c *Config) { c.TagsFile = file })
	if v, _ := again.Live().Current().Get("a").Tag("k"); v != "v" {
		t.Error("the tag did not come back from the file")
	}
}

func TestLeaveByRPCIsAnswered(t *testing.T) {
	a, b := realNode(t, "a", nil), realNode(t, "b", nil)
	joinTo(t, a, b)
	c := dialRPC(t, a)
	if err := c.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-a.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the agent did not end")
	}
	if a.Err() != nil {
		t.Error(a.Err())
	}
	wantStatuses(t, b, 30*time.Second, "a left, b alive")
}

// A client that does not wait for the answer to its leave has still asked for it.
func TestLeaveByRPCOfAClientThatGoesAway(t *testing.T) {
	// A plain member is told for a second.
	a, b := realNode(t, "a", nil), realNode(t, "b", func(c *Config) { c.Swim.Plain = true })
	joinTo(t, a, b)
	c := dialRPC(t, a)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, func() { cancel(); c.Close() })
	if err := c.Leave(ctx); err == nil {
		t.Fatal("the leave was faster than this test expects")
	}
	select {
	case <-a.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the agent did not end")
	}
	wantStatuses(t, b, 30*time.Second, "a left, b alive")
}

// mutated is a damaged form of a message.
func mutated(rng *rand.Rand, msg []byte) []byte {
	b := bytes.Clone(msg)
	for range 1 + rng.IntN(4) {
		switch rng.IntN(4) {
		case 0:
			b = b[:rng.IntN(len(b)+1)]
		case 1:
			b = append(b, b...)
		default:
			if len(b) > 0 {
				b[rng.IntN(len(b))] = byte(rng.Uint32())
			}
		}
		if len(b) > 60000 {
			b = b[:60000]
		}
	}
	return b
}

// samples are real messages to be damaged.
func samples() [][]byte {
	addr := netip.MustParseAddrPort("127.0.0.1:7946")
	list := [][]byte{
		(&wire.Ping{Seq: 1, Node: "a", Source: addr, SourceNode: "x"}).AppendTo(nil),
		(&wire.IndirectPing{Seq: 2, Target: addr, Node: "y", Nack: true}).AppendTo(nil),
		(&wire.Ack{Seq: 1, Payload: []byte{1, 2, 3}}).AppendTo(nil),
		(&wire.Nack{Seq: 1}).AppendTo(nil),
		(&wire.Suspect{Incarnation: 1, Node: "nobody", From: "x"}).AppendTo(nil),
		(&wire.Dead{Incarnation: 1, Node: "nobody", From: "x"}).AppendTo(nil),
		append([]byte{byte(wire.TypeUser)}, (&wire.UserEvent{LTime: 5, Name: "n", Payload: []byte("p")}).AppendTo(nil)...),
		append([]byte{byte(wire.TypeUser)}, (&wire.Query{LTime: 5, ID: 1, Source: addr, Name: "n", Timeout: time.Second}).AppendTo(nil)...),
	}
	push := wire.AppendPushPullHeader(nil, wire.PushPullHeader{Nodes: 1})
	push = wire.AppendPushNodeState(push, &wire.PushNodeState{Name: "z", Addr: addr, Incarnation: 1})
	return append(list, push, wire.AppendCompound(nil, list...), new(wire.Compressor).Append(nil, list[6]), wire.AppendCRC(nil, list[0]))
}

// Floods on all ports: counted, named in few lines, and the cluster does not
// notice.
// P162
func TestFloods(t *testing.T) {
	var out logtest.Buffer
	quiet := func(c *Config) { c.LogOutput, c.LogLevel = &out, logging.LevelWarn }
	a, b := realNode(t, "a", quiet), realNode(t, "b", nil)
	a.Log().Open()
	joinTo(t, a, b)
	events := collect(t, b)
	rng := rand.New(rand.NewPCG(1, 2))
	random := func() []byte {
		b := make([]byte, rng.IntN(1500))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	msgs := samples()
	udp, err := net.Dial("udp", a.BindAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for i := range 20000 {
		msg := random()
		if i%2 == 0 {
			msg = mutated(rng, msgs[i%len(msgs)])
		}
		_, _ = udp.Write(msg)
	}
	for i := range 300 {
		for _, addr := range []string{a.BindAddr().String(), a.RPCAddr().String()} {
			msg := random()
			if i%2 == 0 {
				msg = mutated(rng, msgs[i%len(msgs)])
			}
			throwAt(t, addr, msg)
		}
	}
	c := dialRPC(t, a) // still answers
	if err := c.UserEvent(t.Context(), "after", nil, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the event after the flood", func() bool { return strings.Contains(strings.Join(events(), ";"), "user after") })
	if got := statuses(b); !strings.Contains(got, "a alive, b alive") {
		t.Errorf("b sees %s", got)
	}
	if a.Faults()["stream type"] == 0 {
		t.Errorf("not counted: %v", a.Faults())
	}
	if n := strings.Count(out.String(), "agent: bad "); n == 0 || n > 4 {
		t.Errorf("%d lines about bad input, want one for each kind:\n%.2000s", n, out.String())
	}
	if n := strings.Count(out.String(), "\n"); n > 100 {
		t.Errorf("%d lines for one flood from one source\n%s", n, out.String())
	}
}

// throwAt writes to a stream and takes what comes back for a moment.
func throwAt(t *testing.T, addr string, msg []byte) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(msg)
	_ = c.(*net.TCPConn).CloseWrite()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, c)
	c.Close()
}

// Clients that connect and say nothing, or half a message, get their time and
// are closed; meanwhile others are served, even if there are more than MaxStreams.
// P58, P147, P162
func TestSilentClients(t *testing.T) {
	a := realNode(t, "a", func(c *Config) { c.MaxStreams = 16 })
	half := samples()[8]
	half = half[:len(half)/2]
	var conns []net.Conn
	for i := range 60 {
		c, err := net.Dial("tcp", a.BindAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 {
			_, _ = c.Write(half)
		}
		conns = append(conns, c)
	}
	b := realNode(t, "b", nil)
	joinTo(t, b, a)
	wantStatuses(t, a, 30*time.Second, "a alive, b alive")
	for i, c := range conns {
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d was not closed", i)
		}
	}
	eventually(t, "no streams", func() bool {
		a.streams.mu.Lock()
		defer a.streams.mu.Unlock()
		return len(a.streams.conns) == 0 && a.streams.held.Load() == 0
	})
}

// A stream that declares more than it sends costs what it sends.
func TestStreamsAreNotAllocatedInAdvance(t *testing.T) {
	a := realNode(t, "a", nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var msg []byte
	for _, m := range [][]byte{
		wire.AppendPushPullHeader(nil, wire.PushPullHeader{Nodes: 1 << 19, UserStateLen: 20 << 20}),
		wire.AppendUserStream(nil, make([]byte, 100))[:40],
		{byte(wire.TypeEncrypt), 0x01, 0x3f, 0xff, 0xff},
	} {
		msg = m
		for range 20 {
			throwAt(t, a.BindAddr().String(), msg)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 32<<20 {
		t.Errorf("%d MiB were allocated", grown>>20)
	}
}

// P162
func TestBudgetOfStreams(t *testing.T) {
	var set inboundSet
	set.held.Store(inboundBudget - 10)
	r := budgetReader{r: bytes.NewReader(make([]byte, 100)), set: &set}
	if _, err := io.ReadAll(&r); !errors.Is(err, errStreamBudget) {
		t.Errorf("got %v", err)
	}
	r.giveBack()
	if got := set.held.Load(); got != inboundBudget-10 {
		t.Errorf("%d bytes held after all was given back", got-inboundBudget+10)
	}
}

// P148
func TestBadStreamIsAnsweredWithErr(t *testing.T) {
	a := realNode(t, "a", nil)
	c, err := net.Dial("tcp", a.BindAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte{99, 1, 2, 3})
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	b, err := io.ReadAll(c)
	if err != nil && len(b) == 0 {
		t.Fatal(err)
	}
	var e wire.Err
	if len(b) == 0 || wire.Type(b[0]) != wire.TypeErr || e.Decode(b[1:], nil) != nil || e.Error == "" {
		t.Errorf("answered %q", b)
	}
}

func TestFaultsNameASourceOnceAMinute(t *testing.T) {
	f := newFaults(nil)
	now := time.Now()
	from := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)
	}
	if f.count(now, "packet", "crc", from(1)) == "" {
		t.Error("the first one was not named")
	}
	for range 10 {
		if got := f.count(now.Add(time.Second), "packet", "type", from(1)); got != "" {
			t.Errorf("named again: %s", got)
		}
	}
	if got := f.count(now.Add(time.Minute), "packet", "crc", from(1)); !strings.Contains(got, "and 10 more") {
		t.Errorf("a minute later: %q", got)
	}
	lines := 0
	for i := range 5000 {
		if f.count(now.Add(time.Minute), "packet", "crc", from(i)) != "" {
			lines++
		}
	}
	if lines > faultLines || len(f.named.sources) > maxFaultSources+2 {
		t.Errorf("%d lines, %d sources", lines, len(f.named.sources))
	}
	if c := f.snapshot(); c["packet crc"] != 5002 || c["packet type"] != 10 {
		t.Errorf("counted %v", c)
	}
}

// What arrives and is of no consequence allocates nothing on its way through
// reader, loop and machine.
func BenchmarkPacketIn(b *testing.B) {
	a, err := New(Config{Name: "a", Bind: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		b.Fatal(err)
	}
	if err := a.Start(context.Background()); err != nil {
		b.Fatal(err)
	}
	defer a.Stop()
	udp, err := net.Dial("udp", a.BindAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer udp.Close()
	reply := make([]byte, 2000)
	ping := (&wire.Ping{Seq: 7, Node: "a"}).AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := udp.Write(ping); err != nil {
			b.Fatal(err)
		}
		if _, err := udp.Read(reply); err != nil {
			b.Fatal(err)
		}
	}
}

// Faults that an operator can mend say how, and no package of ours.
func TestFaultsOfTheProtocolInPlainWords(t *testing.T) {
	for err, want := range map[error]string{
		fmt.Errorf("x: %w", wire.ErrDecrypt): "another key (-encrypt",
		wire.ErrNotEncrypted:                 "the other agent has no key (-encrypt",
		wire.ErrUnexpectedEncryption:         "this agent needs the cluster's key (-encrypt",
		wire.ErrLabel:                        "-cluster-label",
		wire.ErrType:                         "unknown message type",
	} {
		if got := (plainError{err}).Error(); !strings.Contains(got, want) || strings.Contains(got, "wire:") || !errors.Is(plainError{err}, err) {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}
