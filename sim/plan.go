package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// action is one kind of thing that a seeded run does to its cluster.
type action uint8

const (
	doCrash action = iota
	doCrashHost
	doRestart
	doPause
	doLeave
	doForceLeave
	doJoin
	doTags
	doEvent
	doQuery
	doCutOneWay
	doPartition
	doMend
	doSlowLink
	doGarbage
	doAnnounce
	numActions
)

var actionWords = [numActions]string{"crash", "crash-host", "restart", "pause", "leave", "force-leave", "join",
	"tags", "event", "query", "cut", "partition", "mend", "slow-link", "garbage", "announce"}

// Plan is what a seed draws before its run begins: the cluster, the faults and
// the workload. Each run has some kinds of faults and not others, so that rare
// combinations come up ("swarm testing").
type Plan struct {
	Seed    uint64
	Nodes   int
	Profile string
	Mode    string        // plain, native, or mixed: every second node is plain
	Length  time.Duration // of phase one
	Every   time.Duration // mean time between actions
	Weights [numActions]int
	Options Options
}

var modes = [3]string{"mixed", "plain", "native"}

// Draw draws the plan of a seed.
func Draw(seed uint64) Plan {
	rng := rand.New(rand.NewPCG(seed, 4))
	p := Plan{Seed: seed, Nodes: 3 + rng.IntN(10), Mode: modes[seed%3]}
	if rng.IntN(24) == 0 {
		p.Nodes = 32
	}
	p.Profile = []string{"lan", "lan", "local", "wan"}[rng.IntN(4)]
	p.Length = 20*time.Second + time.Duration(rng.IntN(40))*time.Second
	p.Every = time.Duration(200+rng.IntN(3000)) * time.Millisecond
	p.drawOptions(rng)
	for a := range p.Weights {
		if rng.IntN(3) > 0 {
			p.Weights[a] = 1 + rng.IntN(4)
		}
	}
	// What is broken must have a chance to be mended, or all runs end in ruins.
	p.Weights[doRestart] = p.Weights[doCrash] + p.Weights[doCrashHost] + p.Weights[doLeave]
	p.Weights[doMend] = max(p.Weights[doCutOneWay], p.Weights[doPartition])
	return p
}

func (p *Plan) drawOptions(rng *rand.Rand) {
	o := &p.Options
	o.Seed = p.Seed
	s := &o.Serf
	s.Swim = profiles[p.Profile]()
	s.Swim.Plain = p.Mode == "plain"
	o.Mixed = p.Mode == "mixed"
	// Repair is made quicker than the profiles have it, so that runs are short.
	s.Swim.PushPullInterval = time.Duration(5+rng.IntN(25)) * time.Second
	s.ReconnectInterval = time.Duration(3+rng.IntN(12)) * time.Second
	s.Swim.NoStreamPing = rng.IntN(4) == 0
	s.NoCoordinates = rng.IntN(4) == 0
	if rng.IntN(4) == 0 {
		s.CoalescePeriod, s.QuiescentPeriod = 2*time.Second, 500*time.Millisecond
	}
	if rng.IntN(8) == 0 {
		s.Protocol = 4
	}
	if rng.IntN(8) == 0 {
		s.UserCoalescePeriod, s.UserQuiescentPeriod = 2*time.Second, 500*time.Millisecond
	}
	if rng.IntN(8) == 0 {
		s.ReconnectTimeout, s.TombstoneTimeout, s.ReapInterval = 30*time.Second, 15*time.Second, 5*time.Second
	}
	if rng.IntN(8) == 0 {
		s.EventBuffer, s.QueryBuffer = 4, 4
	}
	o.Compress = rng.IntN(4) == 0
	if rng.IntN(4) == 0 {
		o.Label = "sim"
	}
	if rng.IntN(6) == 0 {
		o.Key = []byte("0123456789abcdef")
	}
	if rng.IntN(3) == 0 {
		o.TimerLate = time.Duration(1+rng.IntN(50)) * time.Millisecond
	}
	if rng.IntN(4) == 0 {
		o.EarlyTimers = 0.1
	}
	o.NoRefusals = rng.IntN(2) == 0
	if rng.IntN(2) == 0 {
		o.AnswerDelay = 2 * time.Second
	}
	o.Link = drawLink(rng, p.Profile)
	// Natives hold events back as the agent has them do (P226), but for the seeds in which the
	// fold of the events is compared with the list at each step (V1).
	if !s.Swim.Plain && s.CoalescePeriod == 0 && rng.IntN(2) == 0 {
		s.LeadingEdge = 10 * time.Millisecond
	}
}

// drawLink draws the faults of all ways in phase one, each kind on or off.
func drawLink(rng *rand.Rand, profile string) Link {
	l := Link{Delay: time.Duration(100+rng.IntN(5000)) * time.Microsecond}
	if profile == "wan" {
		l.Delay = time.Duration(20+rng.IntN(180)) * time.Millisecond
	}
	if rng.IntN(2) == 0 {
		l.Jitter = time.Duration(rng.IntN(20)) * l.Delay
	}
	for _, p := range []*float64{&l.Loss, &l.Duplicate, &l.Reorder, &l.StreamFail, &l.Truncate} {
		if rng.IntN(2) == 0 {
			*p = []float64{0.01, 0.05, 0.1, 0.25}[rng.IntN(4)]
		}
	}
	l.ReorderBy = time.Duration(1+rng.IntN(1000)) * time.Millisecond
	return l
}

// String is the plan on one line.
func (p Plan) String() string {
	var b strings.Builder
	o := &p.Options
	fmt.Fprintf(&b, "seed=%d nodes=%d mode=%s profile=%s length=%v every=%v pushpull=%v reconnect=%v",
		p.Seed, p.Nodes, p.Mode, p.Profile, p.Length, p.Every, o.Serf.Swim.PushPullInterval, o.Serf.ReconnectInterval)
	l := o.Link
	fmt.Fprintf(&b, " delay=%v jitter=%v loss=%v dup=%v reorder=%v/%v truncate=%v stream-fail=%v",
		l.Delay, l.Jitter, l.Loss, l.Duplicate, l.Reorder, l.ReorderBy, l.Truncate, l.StreamFail)
	fmt.Fprintf(&b, " late=%v early=%v answer=%v", o.TimerLate, o.EarlyTimers, o.AnswerDelay)
	for _, f := range []struct {
		on   bool
		word string
	}{
		{o.Compress, "compress"}, {o.Label != "", "label"}, {o.Key != nil, "key"}, {o.NoRefusals, "no-refusals"},
		{o.Serf.CoalescePeriod > 0, "coalesce"}, {o.Serf.LeadingEdge > 0, "leading-edge"}, {o.Serf.Protocol == 4, "protocol-4"},
		{o.Serf.UserCoalescePeriod > 0, "coalesce-user"}, {o.Serf.ReconnectTimeout > 0, "reap"},
		{o.Serf.EventBuffer > 0, "small-buffers"},
		{o.Serf.Swim.NoStreamPing, "no-stream-ping"}, {o.Serf.NoCoordinates, "no-coordinates"},
	} {
		if f.on {
			b.WriteString(" " + f.word)
		}
	}
	for a, w := range p.Weights {
		if w > 0 {
			fmt.Fprintf(&b, " %s:%d", actionWords[a], w)
		}
	}
	return b.String()
}

// Bound is how long after the healing all views have to agree at the latest:
// the longest suspicion a few times over, a round of probes, and as many
// push/pulls and attempts to reconnect (both choose at random) as it takes to
// miss somebody with a probability of about one in a million.
func (p Plan) Bound() time.Duration {
	s := p.Options.Serf.Swim
	n := p.Nodes
	suspicion := float64(s.SuspicionMult*s.SuspicionMaxMult) * math.Max(1, math.Log10(float64(n))) * float64(s.ProbeInterval)
	pushPull := s.PushPullInterval
	if n > 32 {
		pushPull *= time.Duration(math.Ceil(math.Log2(float64(n))-5) + 1)
	}
	return 10*time.Second + 3*time.Duration(suspicion) + 2*time.Duration(n)*s.ProbeInterval +
		15*pushPull + 15*p.Options.Serf.ReconnectInterval
}
