package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// Options of a cluster. The zero value is a usable one without nodes.
type Options struct {
	// Seed of all randomness.
	Seed uint64
	// Serf is what the nodes' settings have in common; names, addresses and
	// tags are each node's own.
	Serf serf.Config
	// Mixed makes every second node a plain one.
	Mixed bool
	// Link is what the ways between nodes are like. A Delay of 0 means 1 ms.
	Link Link
	// Compress, Label and Key are the framing of packets and streams.
	Compress bool
	Label    string
	Key      []byte
	// TimerLate: timers come up to this late.
	TimerLate time.Duration
	// EarlyTimers is the probability that a machine is told the time for
	// nothing, after an input.
	EarlyTimers float64
	// NoRefusals: a host never says that a datagram was refused.
	NoRefusals bool
	// AnswerDelay: queries are answered after up to this.
	AnswerDelay time.Duration
	// Log gets the transcript; nil: none.
	Log io.Writer
	// Unchecked switches the checkers off, for benchmarks.
	Unchecked bool
}

// Cluster is a number of nodes on one clock and one network. It is not safe
// for concurrent use; different clusters share nothing.
type Cluster struct {
	opts    Options
	clock   clock
	net     network
	nodes   []*Node
	base    *serf.Base // what nodes know at their first start; nil: nothing
	log     transcript
	check   *checkers
	rng     *rand.Rand // for what is neither a machine's nor the network's
	frame   wire.Frame
	press   wire.Compressor
	steps   int
	failed  error
	onEvent func(n *Node, ev *serf.Event) // measurements hook in here
}

// New returns an empty cluster.
func New(opts Options) (*Cluster, error) {
	if opts.Link.Delay == 0 {
		opts.Link.Delay = time.Millisecond
	}
	c := &Cluster{opts: opts, rng: rand.New(rand.NewPCG(opts.Seed, 2))}
	c.net = network{rng: rand.New(rand.NewPCG(opts.Seed, 1)), normal: opts.Link}
	c.log = transcript{w: opts.Log, show: showDefault}
	c.frame = wire.Frame{Label: opts.Label, VerifyIncoming: true, VerifyOutgoing: true}
	if len(opts.Key) > 0 {
		key, err := wire.NewKey(opts.Key)
		if err != nil {
			return nil, err
		}
		c.frame.Keys, c.frame.EncryptionVersion = []wire.Key{key}, 1
	}
	if !opts.Unchecked {
		c.check = newCheckers(c)
	}
	return c, nil
}

// Now is the virtual time.
func (c *Cluster) Now() time.Time { return epoch.Add(c.clock.now) }

// Elapsed is the virtual time since the start.
func (c *Cluster) Elapsed() time.Duration { return c.clock.now }

// Nodes are all nodes, running or not, in the order in which they were added.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// Node returns the node with that label, nil if there is none.
func (c *Cluster) Node(label string) *Node {
	for _, n := range c.nodes {
		if n.label == label {
			return n
		}
	}
	return nil
}

// Err is the first thing that went wrong: a rule was broken.
func (c *Cluster) Err() error { return c.failed }

// fail records that a rule was broken, once.
func (c *Cluster) fail(format string, args ...any) {
	if c.failed == nil {
		c.failed = fmt.Errorf("at "+stamp(c.clock.now)+": "+format, args...)
		c.log.note(c, "BROKEN: "+c.failed.Error())
	}
}

// label returns the n-th label: a to z, then n26, n27 and so on.
func label(n int) string {
	if n < 26 {
		return string(rune('a' + n))
	}
	return fmt.Sprintf("n%d", n)
}

// Add adds n nodes and starts them.
func (c *Cluster) Add(n int) {
	for range n {
		l := label(len(c.nodes))
		c.AddNamed(l, l, nil)
	}
}

// port is every node's.
const port = 7946

// address is that of the node with an index: 10.x.y.z with an even x, unless z
// would be 0 or 255.
func address(i int) netip.AddrPort {
	ip := [4]byte{10, byte(i >> 16 << 1), byte(i >> 8), byte(i + 1)}
	if i&0xff >= 0xfe {
		ip[1], ip[3] = ip[1]|1, byte(i)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(ip), port)
}

// host returns the node with that address, nil if there is none.
func (c *Cluster) host(a netip.AddrPort) *Node {
	if !a.Addr().Is4() || a.Port() != port {
		return nil
	}
	ip := a.Addr().As4()
	i := int(ip[1]>>1)<<16 | int(ip[2])<<8
	if ip[1]&1 == 0 {
		i |= int(ip[3] - 1)
	} else {
		i |= int(ip[3])
	}
	if i >= len(c.nodes) || c.nodes[i].addr != a {
		return nil
	}
	return c.nodes[i]
}

// AddNamed adds a node and starts it: label is what scripts and transcripts
// call it, name what it calls itself.
func (c *Cluster) AddNamed(label, name string, tags []wire.Tag) *Node {
	return c.addNamed(label, name, c.opts.Serf.Swim.Cluster, tags)
}

// addNamed adds a node of a cluster of some name.
func (c *Cluster) addNamed(label, name, cluster string, tags []wire.Tag) *Node {
	i := len(c.nodes)
	n := &Node{c: c, index: i, label: label, name: name, cluster: cluster, addr: address(i), tags: tags}
	c.nodes = append(c.nodes, n)
	n.start(false)
	return n
}

// After calls f at a later time.
func (c *Cluster) After(d time.Duration, f func()) {
	c.clock.schedule(c.clock.now+d, dueCall, nil).call = f
}

// Advance lets d pass, or stops where a rule is broken.
func (c *Cluster) Advance(d time.Duration) {
	until := c.clock.now + d
	for c.failed == nil {
		e := c.clock.next(until)
		if e == nil {
			c.clock.now = until
			return
		}
		c.steps++
		if !c.handle(e) {
			c.clock.release(e)
		}
	}
}

// handle does what is due. It reports whether the entry was kept.
func (c *Cluster) handle(e *event) (kept bool) {
	n := e.node
	switch e.kind {
	case dueCall:
		e.call()
		return false
	case dueTimer:
		n.timer(e)
		return false
	case duePacket:
		if !n.up {
			c.refuse(e.from, n)
			c.net.recycle(e.data)
			return false
		}
	case dueStream:
		if !c.streamArrives(e) {
			return false
		}
	case dueDialed, dueRefused, dueLink:
		if !n.up || n.life != e.life {
			return false
		}
	}
	return n.input(e)
}
