package interop

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/serf/client"
)

// tick is the user event that flows during a migration; its payload is its number.
const tick = "tick"

// traffic sends ticks at a steady rate, by one node at a time.
type traffic struct {
	t    *testing.T
	mu   sync.Mutex
	by   *client.RPCClient
	sent int // ticks 0 … sent-1 were taken by an agent
	held bool
	stop chan struct{}
	done sync.WaitGroup
}

func startTraffic(t *testing.T, by *agent) *traffic {
	tr := &traffic{t: t, stop: make(chan struct{})}
	tr.from(by)
	tr.done.Go(func() {
		every := time.NewTicker(100 * time.Millisecond)
		defer every.Stop()
		for {
			select {
			case <-tr.stop:
				return
			case <-every.C:
				tr.send()
			}
		}
	})
	t.Cleanup(tr.end)
	return tr
}

func (tr *traffic) send() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.held {
		return
	}
	if err := tr.by.UserEvent(tick, []byte(strconv.Itoa(tr.sent)), false); err != nil {
		tr.t.Errorf("tick %d: %v", tr.sent, err)
		return
	}
	tr.sent++
}

// from lets another agent send from now on.
func (tr *traffic) from(a *agent) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.by = a.rpc
}

// hold lets the traffic rest, or go on.
func (tr *traffic) hold(on bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.held = on
}

// count is how many ticks were sent: all those below it.
func (tr *traffic) count() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.sent
}

func (tr *traffic) end() {
	select {
	case <-tr.stop:
	default:
		close(tr.stop)
	}
	tr.done.Wait()
}

// migration is a cluster whose nodes are replaced one by one while ticks flow.
type migration struct {
	*cluster
	traffic *traffic
	since   map[*agent]int // the first tick that the node's present life has to hear
	lives   map[*agent][]life
}

// life is one life of a node.
type life struct {
	program string
	from    int // what its stream had told before
}

// present is the life that the node has.
func (m *migration) present(a *agent) life { return m.lives[a][len(m.lives[a])-1] }

// by is the program that told the node's happening of that number.
func (m *migration) by(a *agent, number int) (name string) {
	for _, l := range m.lives[a] {
		if l.from <= number {
			name = l.program
		}
	}
	return name
}

// ticks are the numbers that a stream told, in order.
func ticks(saw []happening) (numbers []int) {
	for _, h := range saw {
		if h.kind == "user" && h.name == tick {
			n, _ := strconv.Atoi(h.payload)
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// hears waits until the node's stream and its handler have told every tick from
// the beginning of its present life up to, and without, the given one. A tick that
// gossip lost comes with one of the exchanges that the agents have with each other every half
// minute, if it is among the newest 512 events by then: so there are no new ones meanwhile.
func (m *migration) hears(a *agent, end int) {
	m.t.Helper()
	begin := m.since[a]
	m.traffic.hold(true)
	defer m.traffic.hold(false)
	complete := func(numbers []int) error {
		there := map[int]bool{}
		for _, n := range numbers {
			there[n] = true
		}
		var missing []int
		for n := begin; n < end; n++ {
			if !there[n] {
				missing = append(missing, n)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("%s, ticks %d to %d: %v are missing; the first is known to %v; exchanges and faults:\n%s",
				a.prog.name, begin, end-1, missing, m.knowing(missing[0]), m.faults(a))
		}
		return nil
	}
	const exchanges = 4 * patience
	awaitFor(m.t, exchanges, a.name+": each tick that was sent in its life, by its stream", func() error {
		return complete(ticks(a.events(m.present(a).from)))
	})
	awaitFor(m.t, exchanges, a.name+": each tick that was sent in its life, by its handler", func() error {
		return complete(m.handled(a))
	})
}

// faults are the lines of a node's log that tell why it may lack something.
func (m *migration) faults(a *agent) string {
	data, _ := os.ReadFile(a.log())
	var lines []string
	for _, l := range strings.Split(string(data), "\n") {
		if strings.Contains(l, "[WARN]") || strings.Contains(l, "[ERR]") || strings.Contains(l, "ush/pull") || strings.Contains(l, "re-join") {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// knowing are the nodes whose streams or handlers told a tick.
func (m *migration) knowing(n int) (names []string) {
	for _, a := range m.agents {
		if slices.Contains(ticks(a.events(0)), n) {
			names = append(names, a.name+"'s stream")
		}
		if slices.Contains(m.handled(a), n) {
			names = append(names, a.name+"'s handler")
		}
	}
	return names
}

// handled are the numbers that the node's handler wrote down, in all its lives.
func (m *migration) handled(a *agent) (numbers []int) {
	data, err := os.ReadFile(m.file(a.name + ".ticks"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		m.t.Fatal(err)
	}
	for _, line := range strings.Fields(string(data)) {
		n, err := strconv.Atoi(line)
		if err != nil {
			m.t.Fatalf("%s: its handler was given %q", a.name, line)
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// born notes the beginning of a life: the node is listed by everybody, and its
// stream is open.
func (m *migration) born(a *agent) { m.since[a] = m.traffic.count() }

// gone waits until the process has ended and the client has noticed: Serf's client panics
// when it is closed while an event arrives.
func (m *migration) gone(a *agent) {
	m.t.Helper()
	a.await("the end of the process", func() error {
		select {
		case <-a.gone:
		default:
			return errors.New("it runs")
		}
		if !a.rpc.IsClosed() {
			return errors.New("its client has not noticed")
		}
		return nil
	})
}

// replace is what docs/migrate-from-serf.md says to do with one node.
func (m *migration) replace(a *agent, p program) {
	m.t.Helper()
	began := time.Now()
	m.traffic.from(m.others(a)[0])
	m.hears(a, m.traffic.count())
	heard := time.Now()
	if out, errOut, code := command(m.t, a.prog, "leave", "-rpc-addr="+a.rpcAddr()); code != 0 {
		m.t.Fatalf("%s: leave: %s%s", a.name, out, errOut)
	}
	m.gone(a)
	m.sees(m.others(a), m.all("alive", a, "left"))
	left := time.Now()
	m.lives[a] = append(m.lives[a], life{p.name, a.seenSoFar()})
	a.prog = p
	a.start()
	m.sees(m.agents, m.all("alive"))
	m.born(a)
	m.t.Logf("%s: now %s; waited %.1fs for its ticks, %.1fs for the leave, %.1fs for the return",
		a.name, p.name, heard.Sub(began).Seconds(), left.Sub(heard).Seconds(), time.Since(left).Seconds())
}

// judge: nobody failed, and what was set stayed.
func (m *migration) judge() {
	m.t.Helper()
	for _, a := range m.agents {
		m.judgeEvents(a)
		members, err := a.rpc.Members()
		if err != nil {
			m.t.Error(err)
		}
		for _, o := range m.agents {
			if about, _ := find(members, o.name); about.Tags["color"] != "of-"+o.name || about.Tags["shape"] != "round" {
				m.t.Errorf("%s sees tags of %s: %v", a.name, o.name, about.Tags)
			}
		}
	}
}

// judgeEvents: no member fails, and no tick that ours told is told again, in whichever life.
// (The real agent writes its event clock down every half second: what it told after that
// is told again by whoever goes on from its snapshot.) A real agent that gossip brings the
// end of a member, but not its leave intent, says member-failed until it hears of that: a
// few in a thousand leaves. Ours says member-leave.
func (m *migration) judgeEvents(a *agent) {
	m.t.Helper()
	saw := a.events(0)
	heard := map[string]bool{}
	for i, h := range saw {
		mine := m.by(a, i) == ours.name
		switch {
		case h.kind == "member-failed" && !mine:
			m.t.Logf("%s, a real agent then, had the end of %v and not its leave", a.name, h.members)
		case h.kind == "member-failed" || h.kind == "member-reap":
			m.t.Errorf("%s was told %s of %v", a.name, h.kind, h.members)
		case h.name == tick && heard[h.payload]:
			m.t.Errorf("%s was told tick %s twice", a.name, h.payload)
		}
		if h.name == tick && mine {
			heard[h.payload] = true
		}
	}
}

// TestMigrate plays docs/migrate-from-serf.md: five real agents become ours one by
// one, and real ones again, while ticks flow. The files stay: each program goes
// on from the other's snapshot and tags.
//
// No member fails: no stream of ours is told member-failed (for the real one's see judgeEvents). No event is lost: a tick belongs
// to the life of a node if the sending agent took it after the node was listed alive
// by all five with its stream open, and before its replacement began (a node
// leaves when it has heard what was sent until then); every node's stream and
// handler tell every tick of each of its lives.
func TestMigrate(t *testing.T) {
	t.Parallel()
	for _, from := range []*program{&newest, &old} {
		t.Run(from.name+"-and-back", func(t *testing.T) {
			t.Parallel()
			need(t, *from)
			m := &migration{cluster: newCluster(t), since: map[*agent]int{}, lives: map[*agent][]life{}}
			for i := range 5 {
				name := fmt.Sprintf("node%d", i)
				m.add(*from, name, "-profile=lan", "-snapshot="+m.file(name+".snapshot"), "-rejoin", "-tags-file="+m.file(name+".tags"),
					"-event-handler=user:"+tick+"=cat >> "+m.file(name+".ticks"))
			}
			m.agents[0].join(m.agents[1:]...)
			m.sees(m.agents, m.all("alive"))
			for _, a := range m.agents {
				m.lives[a] = []life{{program: from.name}}
				if err := a.rpc.UpdateTags(map[string]string{"color": "of-" + a.name, "shape": "round"}, nil); err != nil {
					t.Fatal(err)
				}
			}
			t.Cleanup(func() {
				for _, a := range m.agents {
					_ = a.cmd.Process.Kill()
					m.gone(a)
				}
			})
			m.traffic = startTraffic(t, m.agents[4])
			for _, p := range []program{ours, *from} {
				for _, a := range m.agents {
					m.replace(a, p)
				}
				for _, a := range m.agents {
					m.hears(a, m.traffic.count())
				}
				m.judge()
				t.Logf("all are %s now, after %d ticks", p.name, m.traffic.count())
			}
			m.traffic.end()
		})
	}
}
