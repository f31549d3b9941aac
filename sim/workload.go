package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// workload does at random what a plan allows. It never looks at the checkers.
type workload struct {
	c    *Cluster
	plan *Plan
	rng  *rand.Rand
	over bool
	next int // numbers what must be unique

	asked, acked int // by the query at the end
}

// begin builds the cluster, most of whose nodes join, and schedules the first action.
func (w *workload) begin() {
	w.c.Add(w.plan.Nodes)
	for i, n := range w.c.nodes {
		n.retry = true
		if i > 0 {
			by := w.c.nodes[w.rng.IntN(i)]
			w.c.After(w.upTo(2*time.Second), func() { n.Join(by, false) })
		}
	}
	w.c.After(w.plan.Every, w.act)
	w.c.After(5*time.Second, w.retryJoins)
}

func (w *workload) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) }

// retryJoins is the agent's -retry-join: who has never joined anybody tries again.
func (w *workload) retryJoins() {
	if w.over {
		return
	}
	for _, n := range w.c.nodes {
		if n.running() && n.retry && !n.joined {
			n.Join(w.other(n), true)
		}
	}
	w.c.After(5*time.Second, w.retryJoins)
}

// act does one thing and schedules the next.
func (w *workload) act() {
	if w.over {
		return
	}
	total := 0
	for _, weight := range w.plan.Weights {
		total += weight
	}
	if total > 0 {
		dice := w.rng.IntN(total)
		for a, weight := range w.plan.Weights {
			if dice -= weight; dice < 0 {
				w.do(action(a))
				break
			}
		}
	}
	w.c.After(w.upTo(2*w.plan.Every), w.act)
}

// any is some node; other is another one than n.
func (w *workload) any() *Node { return w.c.nodes[w.rng.IntN(len(w.c.nodes))] }

func (w *workload) other(n *Node) *Node {
	i := w.rng.IntN(len(w.c.nodes) - 1)
	if i >= n.index {
		i++
	}
	return w.c.nodes[i]
}

func (w *workload) do(a action) {
	n := w.any()
	switch a {
	case doCrash:
		n.Crash(false)
	case doCrashHost:
		n.Crash(true)
	case doRestart:
		w.restart(n)
	case doPause:
		w.pause(n)
	case doLeave:
		n.Leave()
	case doForceLeave:
		n.ForceLeave(w.other(n).name, w.rng.IntN(4) == 0)
	case doJoin:
		n.Join(w.other(n), w.rng.IntN(2) == 0)
	case doTags:
		w.next++
		n.SetTags([]wire.Tag{{Key: "role", Value: fmt.Sprintf("r%d", w.next)}})
	case doEvent:
		w.next++
		n.UserEvent("ev", fmt.Appendf(nil, "%d", w.next), w.rng.IntN(2) == 0) // what fails is in the transcript
	case doQuery:
		w.query(n)
	case doGarbage:
		w.garbage(n)
	case doAnnounce:
		w.announce(n)
	default:
		w.network(a, n)
	}
}

func (w *workload) network(a action, n *Node) {
	m := w.other(n)
	switch a {
	case doCutOneWay:
		w.c.log.life(w.c, n, "cannot reach "+m.label)
		w.c.Cut(n, m, true)
	case doPartition:
		w.partition()
	case doMend:
		w.c.log.note(w.c, "all cuts are mended")
		for _, x := range w.c.nodes {
			for _, y := range w.c.nodes {
				w.c.Cut(x, y, false)
			}
		}
	case doSlowLink:
		w.c.log.life(w.c, n, "reaches "+m.label+" slowly")
		l := *w.c.net.link(n, m)
		l.Delay = 20 * w.plan.Options.Link.Delay
		w.c.SetLink(n, m, l)
	}
}

// restart starts a node that is down, or one that is not. Mostly it joins
// again; otherwise the others have to find it (unless it had left).
func (w *workload) restart(n *Node) {
	for _, x := range w.c.nodes { // rather one that is down
		if !x.up && w.rng.IntN(2) == 0 {
			n = x
			break
		}
	}
	n.retry = n.hasLeft || w.rng.IntN(3) > 0
	keep := w.rng.IntN(2) == 0
	n.Restart(keep)
	switch {
	case !n.retry:
	case keep:
		n.Rejoin(w.other(n))
	default:
		n.Join(w.other(n), w.rng.IntN(2) == 0)
	}
}

// announce has a node say that it restarts; mostly it does, in time or not.
func (w *workload) announce(n *Node) {
	n.AnnounceRestart(time.Second + w.upTo(15*time.Second))
	if w.rng.IntN(3) == 0 {
		return
	}
	life := n.life
	away, back := w.upTo(2*time.Second), w.upTo(20*time.Second)
	w.c.After(away, func() {
		if n.up && n.life == life && !w.over {
			n.Crash(false)
			w.c.After(back, func() {
				if !n.up && n.life == life && !w.over {
					n.Restart(true)
				}
			})
		}
	})
}

// takeBack ends the windows of those that run: their tags are to change no more.
func (w *workload) takeBack() {
	for _, n := range w.c.nodes {
		if w.plan.Weights[doAnnounce] > 0 {
			n.AnnounceRestart(0)
		}
	}
}

func (w *workload) pause(n *Node) {
	n.Pause()
	d := []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second, 20 * time.Second}[w.rng.IntN(4)]
	life := n.life
	w.c.After(w.upTo(d), func() {
		if n.life == life && !w.over {
			n.Resume()
		}
	})
}

func (w *workload) query(n *Node) {
	p := serf.QueryParam{Ack: w.rng.IntN(2) == 0, RelayFactor: uint8(w.rng.IntN(3))}
	switch w.rng.IntN(4) {
	case 0:
		p.Nodes = []string{w.any().name, w.any().name}
	case 1:
		p.Tags = []wire.Tag{{Key: "role", Value: "r[0-5]"}}
	}
	if w.rng.IntN(2) == 0 {
		p.Timeout = time.Second + w.upTo(10*time.Second)
	}
	w.next++
	n.Query("q", fmt.Appendf(nil, "%d", w.next), p)
}

// garbage sends what no member would send, in datagrams and on streams.
func (w *workload) garbage(n *Node) {
	w.c.log.life(w.c, n, "gets garbage")
	from := w.other(n)
	for range 20 {
		b := w.c.net.buffer()
		for range w.rng.IntN(200) {
			b = append(b, byte(w.rng.Uint32()))
		}
		if len(b) > 0 && w.rng.IntN(2) == 0 {
			b[0] &= 15 // where the types are
		}
		if w.rng.IntN(4) > 0 {
			w.c.arrive(w.c.clock.now, from, n, b)
			continue
		}
		e := w.c.clock.schedule(w.c.clock.now, dueStream, n)
		e.from, e.data, e.raw = from.addr, b, true
		e.dial = &stream{dialer: from, life: from.life, to: n, ended: true, until: w.c.clock.now + time.Second}
	}
}

// partition cuts the cluster in two or three.
func (w *workload) partition() {
	groups := make([][]*Node, 2+w.rng.IntN(2))
	for _, n := range w.c.nodes {
		i := w.rng.IntN(len(groups))
		groups[i] = append(groups[i], n)
	}
	text := "partition"
	for _, g := range groups {
		text += " |"
		for _, n := range g {
			text += " " + n.label
		}
	}
	w.c.log.note(w.c, text)
	w.c.Partition(groups...)
}
