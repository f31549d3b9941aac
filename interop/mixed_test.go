package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/serf/client"
)

// mix is one way to put a cluster of two of ours and two real agents together.
type mix struct {
	real     *program
	weJoin   bool // ours join the real ones, or the other way round
	flags    []string
	protocol uint8
}

func (m mix) String() string {
	who := "real-joins-ours"
	if m.weJoin {
		who = "ours-joins-real"
	}
	return strings.Join(append([]string{m.real.name, who}, m.flags...), ",")
}

// mixes: both versions, both directions, both protocol versions, compression on
// and off, each pair of them at least once.
var mixes = []mix{
	{&newest, true, []string{"-protocol=5"}, 5},
	{&newest, false, []string{"-protocol=5", "-disable-compression"}, 5},
	{&newest, true, []string{"-protocol=4", "-disable-compression"}, 4},
	{&newest, false, []string{"-protocol=4"}, 4},
	{&old, true, []string{"-protocol=5", "-disable-compression"}, 5},
	{&old, false, []string{"-protocol=4"}, 4},
	{&old, false, []string{"-protocol=5"}, 5},
}

// mixed is a running mixed cluster: o are ours, r the real ones.
type mixed struct {
	*cluster
	mix mix
	o   [2]*agent
	r   [2]*agent
}

func TestMixed(t *testing.T) {
	for _, m := range mixes {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			need(t, *m.real)
			c := &mixed{cluster: newCluster(t, m.flags...), mix: m}
			c.o[0] = c.add(ours, "ours-0", "-tag=kind=ours", "-tag=number=0")
			c.r[0] = c.add(*m.real, "real-0", "-tag=kind=real", "-tag=number=0")
			c.o[1] = c.add(ours, "ours-1", "-tag=kind=ours", "-tag=number=1")
			c.r[1] = c.add(*m.real, "real-1", "-tag=kind=real", "-tag=number=1")
			for _, step := range []struct {
				name string
				run  func()
			}{
				{"join", c.joins}, {"members", c.membersAgree}, {"tags", c.tagsChange}, {"events", c.userEvents},
				{"queries", c.queries}, {"coordinates", c.coordinates}, {"leave", c.leaves}, {"fail", c.failures},
				{"still", c.stillThere},
			} {
				began := time.Now()
				step.run()
				t.Logf("%-12s %.1fs", step.name, time.Since(began).Seconds())
			}
		})
	}
}

func (c *mixed) joins() {
	c.t.Helper()
	if c.mix.weJoin {
		c.o[0].join(c.r[0])
		c.o[1].join(c.r[0])
		c.r[1].join(c.r[0])
	} else {
		c.r[0].join(c.o[0])
		c.r[1].join(c.o[0])
		c.o[1].join(c.o[0])
	}
	c.sees(c.agents, c.all("alive"))
	for _, a := range c.agents {
		a.await("member-join of each other", func() error {
			for _, other := range c.others(a) {
				if n := told(a.events(0), "member-join", other.name); n != 1 {
					return fmt.Errorf("%d of %s", n, other.name)
				}
			}
			return nil
		})
	}
}

// membersAgree demands that every agent has the same to say of every member.
func (c *mixed) membersAgree() {
	c.t.Helper()
	for _, a := range c.agents {
		a.await("fields of members", func() error {
			members, err := a.rpc.Members()
			if err != nil {
				return err
			}
			for _, about := range c.agents {
				m, _ := find(members, about.name)
				want := fmt.Sprintf("%s 7946 map[kind:%s number:%s]", about.ip, about.name[:4], about.name[5:])
				if got := fmt.Sprintf("%v %d %v", m.Addr, m.Port, m.Tags); got != want {
					return fmt.Errorf("%s: %s, not %s", about.name, got, want)
				}
				if m.ProtocolMin != 1 || m.ProtocolMax != 5 || m.DelegateMin != 2 || m.DelegateMax != 5 || m.DelegateCur != c.mix.protocol {
					return fmt.Errorf("%s: protocols %+v", about.name, m)
				}
			}
			return nil
		})
	}
}

// tagsChange changes tags on one agent of either program.
func (c *mixed) tagsChange() {
	c.t.Helper()
	for _, a := range []*agent{c.o[0], c.r[0]} {
		marks := c.marks()
		if err := a.rpc.UpdateTags(map[string]string{"color": "blue=1", "number": "7"}, []string{"kind"}); err != nil {
			c.t.Fatalf("%s: tags: %v", a.name, err)
		}
		c.tagsAre(a, "map[color:blue=1 number:7]")
		for _, observer := range c.agents {
			observer.await("member-update of "+a.name, func() error {
				if told(observer.events(marks[observer]), "member-update", a.name) == 0 {
					return fmt.Errorf("none")
				}
				return nil
			})
		}
		if err := a.rpc.UpdateTags(map[string]string{"kind": a.name[:4], "number": "0"}, []string{"color"}); err != nil {
			c.t.Fatalf("%s: tags: %v", a.name, err)
		}
		c.tagsAre(a, fmt.Sprintf("map[kind:%s number:0]", a.name[:4]))
	}
}

func (c *mixed) tagsAre(a *agent, want string) {
	c.t.Helper()
	for _, observer := range c.agents {
		observer.await("tags of "+a.name, func() error {
			members, err := observer.rpc.Members()
			m, _ := find(members, a.name)
			if got := fmt.Sprint(m.Tags); err == nil && got != want {
				return fmt.Errorf("%s, not %s", got, want)
			}
			return err
		})
	}
}

// marks are how much each agent has seen.
func (c *cluster) marks() map[*agent]int {
	marks := map[*agent]int{}
	for _, a := range c.agents {
		marks[a] = a.seenSoFar()
	}
	return marks
}

// userEvents sends from either program; everybody gets each event once.
func (c *mixed) userEvents() {
	c.t.Helper()
	marks := c.marks()
	var sent []happening
	for i, from := range c.agents {
		h := happening{kind: "user", name: fmt.Sprintf("deploy-%d", i), payload: strings.Repeat("\x00\xffdata ", i*10)}
		if err := from.rpc.UserEvent(h.name, []byte(h.payload), false); err != nil {
			c.t.Fatalf("%s: event: %v", from.name, err)
		}
		sent = append(sent, h)
	}
	for _, a := range c.agents {
		a.await("every event", func() error {
			for _, h := range sent {
				if n := count(a.events(marks[a]), h); n != 1 {
					return fmt.Errorf("%s came %d times", h.name, n)
				}
			}
			return nil
		})
	}
}

func count(saw []happening, h happening) int {
	n := 0
	for _, s := range saw {
		if s.kind == h.kind && s.name == h.name && s.payload == h.payload {
			n++
		}
	}
	return n
}

// queries asks from either program, with filters by name and by tag, with acks and
// with relays. The agents answer by the RPC.
func (c *mixed) queries() {
	c.t.Helper()
	for _, a := range c.agents {
		stop := a.answer()
		defer stop()
	}
	for _, from := range []*agent{c.o[0], c.r[0]} {
		for _, q := range []struct {
			name  string
			param client.QueryParam
			who   []*agent
		}{
			{"all", client.QueryParam{}, c.agents},
			{"nodes", client.QueryParam{FilterNodes: []string{"ours-1", "real-1"}}, []*agent{c.o[1], c.r[1]}},
			{"self", client.QueryParam{FilterNodes: []string{from.name}}, []*agent{from}},
			{"tags", client.QueryParam{FilterTags: map[string]string{"kind": "^o.*s$"}}, c.o[:]},
			{"both", client.QueryParam{FilterNodes: []string{"ours-1", "real-0"}, FilterTags: map[string]string{"number": "[1-9]", "kind": "ours|real"}}, c.o[1:]},
			{"relay", client.QueryParam{RelayFactor: 3}, c.agents},
		} {
			c.ask(from, q.name, q.param, q.who)
		}
	}
}

// answer responds to every query until stop: the node's name and the payload.
func (a *agent) answer() (stop func()) {
	a.c.t.Helper()
	rpc, err := client.ClientFromConfig(&client.Config{Addr: a.rpcAddr(), Timeout: patience})
	if err != nil {
		a.c.t.Fatal(err)
	}
	stream := make(chan map[string]any, 1024)
	if _, err := rpc.Stream("query", stream); err != nil {
		a.c.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for record := range stream {
			id, ok := number(record["ID"])
			if !ok {
				a.c.t.Errorf("%s: a query without ID: %v", a.name, record)
				continue
			}
			if err := rpc.Respond(id, []byte(a.name+" "+text(record["Payload"]))); err != nil {
				a.c.t.Logf("%s: respond: %v", a.name, err) // a second asker is gone already
			}
		}
	}()
	return func() {
		rpc.Close()
		<-done
	}
}

func number(v any) (uint64, bool) {
	switch v := v.(type) {
	case int64:
		return uint64(v), true
	case uint64:
		return v, true
	}
	return 0, false
}

// asks is how often a query is sent before a missing answer counts: one query
// goes out by gossip alone, a few packets a node, and the real program now and
// then reaches a node with none of them.
const asks = 5

// ask demands an ack and an answer of each of who, and of nobody else ever.
func (c *cluster) ask(from *agent, name string, param client.QueryParam, who []*agent) {
	c.t.Helper()
	var want, wantAcks []string
	for _, a := range who {
		wantAcks = append(wantAcks, a.name)
		want = append(want, a.name+": "+a.name+" what")
	}
	slices.Sort(want)
	slices.Sort(wantAcks)
	for try := 1; ; try++ {
		gotAcks, got := c.askOnce(from, name, param)
		if slices.Equal(gotAcks, wantAcks) && slices.Equal(got, want) {
			return
		}
		fault := fmt.Sprintf("%s asks %s: acks %q, not %q; answers %q, not %q", from.name, name, gotAcks, wantAcks, got, want)
		if try == asks || !subset(gotAcks, wantAcks) || !subset(got, want) {
			c.t.Fatal(fault)
		}
		c.t.Logf("try %d: %s", try, fault)
	}
}

// subset: everything that was got was wanted, and once.
func subset(got, want []string) bool {
	for i, s := range got {
		if !slices.Contains(want, s) || i > 0 && got[i-1] == s {
			return false
		}
	}
	return true
}

func (c *cluster) askOnce(from *agent, name string, param client.QueryParam) (gotAcks, got []string) {
	c.t.Helper()
	acks, answers := make(chan string, 4096), make(chan client.NodeResponse, 4096)
	param.Name, param.Payload, param.RequestAck, param.Timeout = "ask-"+name, []byte("what"), true, time.Second
	param.AckCh, param.RespCh = acks, answers
	if err := from.rpc.Query(&param); err != nil {
		c.t.Fatalf("%s: query %s: %v", from.name, name, err)
	}
	// At a query's end the real agent sends empty records until it notices.
	spurious := func(name string) bool { return name == "" && from.prog != ours }
	for ack := range acks { // closed when the query is over
		if !spurious(ack) {
			gotAcks = append(gotAcks, ack)
		}
	}
	for answer := range answers {
		if !spurious(answer.From) {
			got = append(got, answer.From+": "+string(answer.Payload))
		}
	}
	slices.Sort(gotAcks)
	slices.Sort(got)
	return gotAcks, got
}

// coordinates: every agent knows every agent's, of the dimension and in the range
// that loopback can have.
func (c *mixed) coordinates() {
	c.t.Helper()
	for _, a := range c.agents {
		for _, about := range c.agents {
			a.await("the coordinate of "+about.name, func() error {
				own, err := a.rpc.GetCoordinate(a.name)
				if err != nil || own == nil {
					return fmt.Errorf("own: %v, %v", own, err)
				}
				coord, err := a.rpc.GetCoordinate(about.name)
				if err != nil || coord == nil {
					return fmt.Errorf("%v, %v", coord, err)
				}
				if !coord.IsValid() || len(coord.Vec) != 8 {
					return fmt.Errorf("%+v", coord)
				}
				if d := own.DistanceTo(coord); d > time.Second {
					return fmt.Errorf("%v away", d)
				}
				return nil
			})
		}
	}
}

// leaves: one of either program leaves and comes back.
func (c *mixed) leaves() {
	c.t.Helper()
	for i, a := range []*agent{c.o[1], c.r[1]} {
		marks := c.marks()
		if err := a.rpc.Leave(); err != nil {
			c.t.Fatalf("%s: leave: %v", a.name, err)
		}
		a.wait()
		c.sees(c.others(a), c.all("alive", a, "left"))
		c.tellOnce(marks, a, "member-leave")
		marks = c.marks() // see tellOnce
		a.start()
		c.sees([]*agent{a}, map[*agent]string{a: "alive"})
		c.sees(c.others(a), c.all("alive", a, "left"))
		a.join([]*agent{c.r[0], c.o[0]}[i]) // by the other program
		c.sees(c.agents, c.all("alive"))
		c.tellOnce(marks, a, "member-join")
	}
}

// tellOnce waits until each other agent told the event of a, once, since marks.
// Joins have a window (Serf coalesces): an observer that came back a moment ago
// tells its first join of a behind a mark set now, at the latest before a's leave
// or failure. So who counts the joins of a return marks again behind that.
func (c *mixed) tellOnce(marks map[*agent]int, a *agent, kind string) {
	c.t.Helper()
	for _, observer := range c.others(a) {
		observer.await(kind+" of "+a.name, func() error {
			if n := told(observer.events(marks[observer]), kind, a.name); n != 1 {
				return fmt.Errorf("told %d times", n)
			}
			return nil
		})
	}
}

// failures: one of either program is killed and comes back by itself.
func (c *mixed) failures() {
	c.t.Helper()
	for _, a := range []*agent{c.o[1], c.r[1]} {
		marks := c.marks()
		a.kill()
		c.sees(c.others(a), c.all("alive", a, "failed"))
		c.tellOnce(marks, a, "member-failed")
		marks = c.marks() // see tellOnce
		a.start()
		c.sees(c.agents, c.all("alive"))
		c.tellOnce(marks, a, "member-join")
	}
}

// stillThere: what stayed up all the time was never told to be gone, by either.
func (c *mixed) stillThere() {
	c.t.Helper()
	for _, a := range []*agent{c.o[0], c.r[0]} {
		for _, about := range []*agent{c.o[0], c.r[0]} {
			for _, kind := range []string{"member-failed", "member-leave", "member-reap"} {
				if n := told(a.events(0), kind, about.name); n != 0 {
					c.t.Errorf("%s told %s of %s %d times", a.name, kind, about.name, n)
				}
			}
		}
	}
}
