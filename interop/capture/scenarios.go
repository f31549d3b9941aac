package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

// scenario is one cluster and what happens in it.
type scenario struct {
	name  string
	label string
	key   []byte // nil: not encrypted
	play  func(n *network) error
}

var key16 = []byte("0123456789abcdef")
var key32 = []byte("0123456789abcdef0123456789abcdef")

var scenarios = []scenario{
	{name: "plain", play: func(n *network) error { return life(n, options{}) }},
	{name: "compressed", play: func(n *network) error { return life(n, options{compress: true}) }},
	{name: "label", label: "blue", play: func(n *network) error { return life(n, options{label: "blue"}) }},
	{name: "sealed", key: key32, play: func(n *network) error { return keys(n, options{key: key32}) }},
	{name: "sealed-label", label: "blue", key: key16,
		play: func(n *network) error { return life(n, options{label: "blue", key: key16, compress: true}) }},
	{name: "sealed-v0", key: key16, play: padded},
	{name: "ipv6", play: func(n *network) error { return life(n, options{ipv6: true}) }},
	{name: "ipv4-in-6", play: func(n *network) error { return life(n, options{ip16: true}) }},
	{name: "conflict", play: conflict},
	{name: "refused", play: refused},
	{name: "full-ring", play: fullRing},
}

// options are what differs between clusters.
type options struct {
	label      string
	key        []byte
	compress   bool
	ipv6, ip16 bool
	ring       int // slots of the event buffer; 0: Serf's own
}

func (o options) ip(i int) net.IP {
	switch {
	case o.ipv6:
		return net.ParseIP(fmt.Sprintf("2001:db8::%d", i))
	case o.ip16:
		return net.IPv4(10, 0, 0, byte(i))
	}
	return net.IPv4(10, 0, 0, byte(i)).To4()
}

// memberlistConfig is quick, and says nothing.
func (o options) memberlistConfig(name string, t *transport) *memberlist.Config {
	c := memberlist.DefaultLocalConfig()
	c.Name, c.Transport, c.Label = name, t, o.label
	c.AdvertiseAddr, c.AdvertisePort, c.BindPort = "", port, port
	c.ProbeInterval, c.ProbeTimeout = 200*time.Millisecond, 60*time.Millisecond
	c.GossipInterval, c.PushPullInterval = 40*time.Millisecond, 700*time.Millisecond
	c.SuspicionMult, c.IndirectChecks = 2, 2
	c.EnableCompression = o.compress
	c.DisableTcpPings = false
	c.RequireNodeNames = false
	c.Logger = log.New(io.Discard, "", 0)
	if o.key != nil {
		ring, err := memberlist.NewKeyring(nil, o.key)
		if err != nil {
			panic(err)
		}
		c.Keyring = ring
	}
	return c
}

// node is one Serf with its transport.
type node struct {
	*serf.Serf
	t      *transport
	events chan serf.Event
}

func start(n *network, o options, name string, i int, tags map[string]string) (*node, error) {
	t := n.transport(o.ip(i))
	c := serf.DefaultConfig()
	c.Init()
	c.NodeName, c.Tags = name, tags
	c.MemberlistConfig = o.memberlistConfig(name, t)
	c.Logger = c.MemberlistConfig.Logger
	c.LogOutput, c.MemberlistConfig.LogOutput = nil, nil
	c.LeavePropagateDelay, c.BroadcastTimeout = 200*time.Millisecond, time.Second
	c.EnableNameConflictResolution = true
	if o.ring != 0 {
		c.EventBuffer = o.ring
	}
	nd := &node{t: t, events: make(chan serf.Event, 256)}
	c.EventCh = nd.events
	var err error
	if nd.Serf, err = serf.Create(c); err != nil {
		return nil, err
	}
	go nd.answer()
	return nd, nil
}

// answer answers every query with the node's name.
func (nd *node) answer() {
	for e := range nd.events {
		if q, ok := e.(*serf.Query); ok {
			_ = q.Respond([]byte("I am " + nd.LocalMember().Name))
		}
	}
}

// cluster starts nodes a, b, c, … and joins them.
func cluster(n *network, o options, names ...string) ([]*node, error) {
	var nodes []*node
	for i, name := range names {
		nd, err := start(n, o, name, i+1, map[string]string{"role": "web-" + name})
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, nd)
		if i > 0 {
			if _, err := nd.Join([]string{nodes[0].t.addr}, false); err != nil {
				return nil, err
			}
		}
	}
	for range 100 {
		if !slices.ContainsFunc(nodes, func(nd *node) bool { return nd.NumNodes() != len(names) }) {
			time.Sleep(500 * time.Millisecond) // for the gossip about it to end
			return nodes, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, errors.New("the cluster does not come together")
}

func stop(nodes []*node) {
	for _, nd := range nodes {
		_ = nd.Shutdown()
	}
}

// life is all that happens in an ordinary cluster.
func life(n *network, o options) error {
	nodes, err := cluster(n, o, "a", "b", "c", "d")
	if err != nil {
		return err
	}
	defer stop(nodes)
	a, b, c, d := nodes[0], nodes[1], nodes[2], nodes[3]
	if err := a.UserEvent("my-event", []byte("my-data"), true); err != nil {
		return err
	}
	if err := b.UserEvent("deploy", nil, false); err != nil {
		return err
	}
	if err := query(a, &serf.QueryParam{RequestAck: true, RelayFactor: 2, Timeout: 400 * time.Millisecond,
		FilterNodes: []string{"b", "c"}, FilterTags: map[string]string{"role": "web-.*"}}); err != nil {
		return err
	}
	if err := query(b, &serf.QueryParam{Timeout: 200 * time.Millisecond}); err != nil {
		return err
	}
	if err := c.SetTags(map[string]string{"role": "db", "zone": "north"}); err != nil {
		return err
	}
	time.Sleep(400 * time.Millisecond)
	// a and b do not hear each other: indirect pings, nacks, pings over streams.
	n.lose(a.t.addr, b.t.addr, true)
	n.lose(c.t.addr, b.t.addr, true)
	time.Sleep(900 * time.Millisecond)
	n.lose(a.t.addr, b.t.addr, false)
	n.lose(c.t.addr, b.t.addr, false)
	time.Sleep(900 * time.Millisecond)
	// One leaves, one crashes and is removed.
	if err := c.Leave(); err != nil {
		return err
	}
	n.remove(d.t)
	_ = d.Shutdown()
	time.Sleep(1500 * time.Millisecond)
	if err := a.RemoveFailedNodePrune("d"); err != nil {
		return err
	}
	time.Sleep(900 * time.Millisecond)
	return nil
}

func query(nd *node, p *serf.QueryParam) error {
	resp, err := nd.Query("who", []byte("are you"), p)
	if err != nil {
		return err
	}
	for range resp.ResponseCh() {
	}
	return nil
}

// keys is what key management sends.
func keys(n *network, o options) error {
	nodes, err := cluster(n, o, "a", "b", "c")
	if err != nil {
		return err
	}
	defer stop(nodes)
	m := nodes[0].KeyManager()
	const other = "ZmVkY2JhOTg3NjU0MzIxMA==" // "fedcba9876543210"
	// That a node answers too late is no error here: what was sent is what counts.
	_, _ = m.InstallKey(other)
	_, _ = m.ListKeys()
	_, _ = m.RemoveKey(other)
	if _, err := m.UseKey("d3Jvbmc="); err == nil {
		return errors.New("a key that nobody has was accepted")
	}
	return nil
}

// padded runs memberlist alone at its protocol version 1, which pads.
func padded(n *network) error {
	o := options{key: key16}
	var lists []*memberlist.Memberlist
	for i, name := range []string{"a", "b", "c"} {
		t := n.transport(o.ip(i + 1))
		c := o.memberlistConfig(name, t)
		c.ProtocolVersion = 1
		c.Delegate = notes{}
		m, err := memberlist.Create(c)
		if err != nil {
			return err
		}
		lists = append(lists, m)
		if i > 0 {
			if _, err := m.Join([]string{lists[0].LocalNode().Address()}); err != nil {
				return err
			}
		}
	}
	time.Sleep(500 * time.Millisecond)
	b := lists[1].LocalNode()
	if err := lists[0].SendBestEffort(b, []byte("a note")); err != nil {
		return err
	}
	if err := lists[0].SendReliable(b, []byte("a letter")); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	for _, m := range lists {
		_ = m.Shutdown()
	}
	return nil
}

// notes is a memberlist.Delegate with opaque user data.
type notes struct{}

func (notes) NodeMeta(int) []byte                 { return []byte("meta") }
func (notes) NotifyMsg([]byte)                    {}
func (notes) GetBroadcasts(int, int) [][]byte     { return nil }
func (notes) LocalState(bool) []byte              { return []byte("state") }
func (notes) MergeRemoteState(buf []byte, _ bool) {}

// conflict has two nodes of one name: the others are asked which they know.
func conflict(n *network) error {
	nodes, err := cluster(n, options{}, "a", "b", "c")
	if err != nil {
		return err
	}
	defer stop(nodes)
	twin, err := start(n, options{}, "b", 9, nil)
	if err != nil {
		return err
	}
	defer stop([]*node{twin})
	_, _ = twin.Join([]string{nodes[0].t.addr}, false)
	resp, err := nodes[0].Query("_serf_conflict", []byte("nobody"), &serf.QueryParam{Timeout: 300 * time.Millisecond})
	if err != nil {
		return err
	}
	for range resp.ResponseCh() {
	}
	time.Sleep(1500 * time.Millisecond)
	return nil
}

// refused is the answer to a stream that a node cannot read.
func refused(n *network) error {
	nodes, err := cluster(n, options{}, "a")
	if err != nil {
		return err
	}
	defer stop(nodes)
	stranger := n.transport(options{}.ip(99))
	conn, err := stranger.DialTimeout(nodes[0].t.addr, time.Second)
	if err != nil {
		return err
	}
	go func() { _, _ = conn.Write([]byte{10, 0, 0, 0, 64}) }() // sealed, to a node without a key
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.ReadAll(conn)
	return conn.Close()
}

// fullRing has as many events as the buffer has slots, so that a state has no empty ones.
func fullRing(n *network) error {
	nodes, err := cluster(n, options{ring: 2}, "a")
	if err != nil {
		return err
	}
	defer stop(nodes)
	for _, name := range []string{"one", "two", "three"} {
		if err := nodes[0].UserEvent(name, []byte(name), false); err != nil {
			return err
		}
	}
	late, err := start(n, options{ring: 2}, "b", 2, nil)
	if err != nil {
		return err
	}
	defer stop([]*node{late})
	_, err = late.Join([]string{nodes[0].t.addr}, false)
	time.Sleep(300 * time.Millisecond)
	return err
}
