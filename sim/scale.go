package sim

import (
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// ScaleOptions are those of a Scale.
type ScaleOptions struct {
	Nodes int
	Seed  uint64
	// Plain is Serf's own algorithm. Otherwise all nodes are native.
	Plain bool
	// NoExchange switches the periodic exchange of whole states off, which at a
	// hundred thousand plain nodes would be all that there is to compute.
	NoExchange bool
	// Link is what the ways are like. Zero: a delay of 0.5 ms ± half of that.
	Link Link
	// Loss is which share of the datagrams is lost beside that.
	Loss float64
}

// Scale is a quiet cluster of any size in which all know each other, to measure
// what it costs, and how long it takes until all know what happens to one.
type Scale struct {
	c    *Cluster
	opts ScaleOptions
}

// scaleTags are every node's: three, as many have.
var scaleTags = []wire.Tag{{Key: "dc", Value: "east-1"}, {Key: "role", Value: "web"}, {Key: "version", Value: "1.4.2"}}

// smallBuffers is from how many nodes on they keep few events: five hundred empty
// slots a node are more than all the rest.
const smallBuffers = 256

// NewScale makes the cluster.
func NewScale(o ScaleOptions) (*Scale, error) {
	opts := Options{Seed: o.Seed, Link: o.Link, Unchecked: true}
	if opts.Link == (Link{}) {
		opts.Link = Link{Delay: 250 * time.Microsecond, Jitter: 500 * time.Microsecond}
	}
	opts.Link.Loss = max(opts.Link.Loss, o.Loss)
	opts.Serf.Swim.Plain = o.Plain
	if o.NoExchange {
		opts.Serf.Swim.PushPullInterval = 1000 * time.Hour
	}
	if o.Nodes >= smallBuffers {
		opts.Serf.EventBuffer, opts.Serf.QueryBuffer = 16, 16
	}
	c, err := New(opts)
	if err != nil {
		return nil, err
	}
	if err := c.AddKnown(o.Nodes, scaleTags); err != nil {
		return nil, err
	}
	return &Scale{c: c, opts: o}, nil
}

// Advance lets d pass.
func (s *Scale) Advance(d time.Duration) error {
	s.c.Advance(d)
	return s.c.failed
}

// Traffic is what one node sends in a second: datagrams, their bytes and those on
// streams, without the headers of IP, UDP and TCP.
type Traffic struct {
	Datagrams, DatagramBytes, StreamBytes float64
}

// Idle lets d pass and says what the nodes sent.
func (s *Scale) Idle(d time.Duration) (Traffic, error) {
	w := &s.c.net
	sent, bytes, streamed := w.sent, w.bytes, w.streamed
	s.c.Advance(d)
	per := 1 / (float64(len(s.c.nodes)) * d.Seconds())
	return Traffic{float64(w.sent-sent) * per, float64(w.bytes-bytes) * per, float64(w.streamed-streamed) * per}, s.c.failed
}

// Spread is how news spread: when the first other node was told, half of them,
// and the last; Missed were not told in time. Copies is how often a node
// received it on average.
type Spread struct {
	First, Half, Last time.Duration
	Missed            int
	Copies            float64
}

// spread collects the times at which nodes were told.
func (s *Scale) spread(told []time.Duration, from time.Duration, expected int) Spread {
	slices.Sort(told)
	r := Spread{Missed: max(0, expected-len(told))}
	if n := len(told); n > 0 {
		r.First, r.Half, r.Last = told[0]-from, told[(n-1)/2]-from, told[n-1]-from
	}
	return r
}

// Crash ends the process of one node, with host its host as well, and waits until
// every other is told that it has failed, at most for limit.
func (s *Scale) Crash(which int, host bool, limit time.Duration) (Spread, error) {
	victim := s.c.nodes[which%len(s.c.nodes)]
	from, expected := s.c.clock.now, s.running()-1
	var told []time.Duration
	s.c.onEvent = func(_ *Node, ev *serf.Event) {
		if ev.Type == serf.EventMemberFailed && slices.ContainsFunc(ev.Members, func(m serf.Member) bool { return m.Name == victim.name }) {
			told = append(told, s.c.clock.now)
		}
	}
	victim.Crash(host)
	s.await(&told, expected, limit)
	s.c.onEvent = nil
	return s.spread(told, from, expected), s.c.failed
}

// Event sends a user event and waits until every other node is told, at most for limit.
func (s *Scale) Event(which int, limit time.Duration) (Spread, error) {
	n := s.c.nodes[which%len(s.c.nodes)]
	from, expected := s.c.clock.now, s.running()-1
	before := s.received()
	var told []time.Duration
	s.c.onEvent = func(o *Node, ev *serf.Event) {
		if ev.Type == serf.EventUser && o != n {
			told = append(told, s.c.clock.now)
		}
	}
	if err := n.UserEvent("deploy", make([]byte, 64), false); err != nil {
		return Spread{}, err
	}
	s.await(&told, expected, limit)
	s.c.onEvent = nil
	r := s.spread(told, from, expected)
	s.c.Advance(settleFor) // until nobody sends it any more
	r.Copies = float64(s.received()-before) / float64(expected)
	return r, s.c.failed
}

// settleFor is longer than the last copies of a message are under way.
const settleFor = 5 * time.Second

// await advances until so many are told.
func (s *Scale) await(told *[]time.Duration, expected int, limit time.Duration) {
	for end := s.c.clock.now + limit; len(*told) < expected && s.c.clock.now < end && s.c.failed == nil; {
		s.c.Advance(5 * time.Millisecond)
	}
}

func (s *Scale) running() int {
	n := 0
	for _, x := range s.c.nodes {
		if x.running() {
			n++
		}
	}
	return n
}

// received is how many Serf messages all nodes have received in packets.
func (s *Scale) received() uint64 {
	var n uint64
	for _, x := range s.c.nodes {
		if x.running() {
			n += x.machine.Counts().Received
		}
	}
	return n
}

// Steps is how many entries of the clock were handled.
func (s *Scale) Steps() int { return s.c.steps }

// Elapsed is the virtual time since the start.
func (s *Scale) Elapsed() time.Duration { return s.c.clock.now }
