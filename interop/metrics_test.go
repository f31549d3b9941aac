package interop

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// metricServer is a statsd that keeps the names it heard, and their kinds.
type metricServer struct {
	conn net.PacketConn

	mu    sync.Mutex
	heard map[string]string
}

func newMetricServer(t *testing.T, ip string) *metricServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	s := &metricServer{conn: conn, heard: map[string]string{}}
	t.Cleanup(func() { conn.Close() })
	host, _ := os.Hostname()
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			for line := range strings.Lines(string(buf[:n])) {
				name, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
				_, kind, ok := strings.Cut(rest, "|")
				if !ok {
					name, kind = "not a line: "+line, "?"
				}
				s.mu.Lock()
				s.heard[strings.Replace(name, "serf-agent."+host+".", "serf-agent.HOST.", 1)] = kind
				s.mu.Unlock()
			}
		}
	}()
	return s
}

func (s *metricServer) names() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.heard)
}

// Two agents, one of each program, live through the same; each tells a statsd of
// its own. Whatever name Serf's one tells, ours does, as the same kind.
func TestMetricsHaveSerfsNames(t *testing.T) {
	t.Parallel()
	need(t, newest)
	c := newCluster(t)
	add := func(p program, name string) (*agent, *metricServer) {
		s := newMetricServer(t, c.net+"2")
		text, err := json.Marshal(map[string]any{"statsd_addr": s.conn.LocalAddr().String(), "event_handlers": []string{"user=true # handler"}})
		if err != nil {
			t.Fatal(err)
		}
		c.write(name+".json", string(text))
		return c.add(p, name, "-config-file="+c.file(name+".json")), s
	}
	a, serfs := add(newest, "a")
	b, our := add(ours, "b")
	third := c.add(newest, "c")
	b.join(a)
	third.join(a)
	c.sees(c.agents, c.all("alive"))
	for _, x := range []*agent{a, b} {
		if err := x.rpc.UserEvent("deploy it:now", []byte("x"), false); err != nil {
			t.Fatal(err)
		}
		if _, stderr, code := command(t, x.prog, "query", "-rpc-addr="+x.rpcAddr(), "-timeout=1s", "load"); code != 0 {
			t.Fatal(stderr)
		}
	}
	third.kill()
	c.sees([]*agent{a, b}, c.all("alive", third, "failed"))
	third.start()
	c.sees(c.agents, c.all("alive"))
	if err := third.rpc.UpdateTags(map[string]string{"k": "v"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := third.rpc.Leave(); err != nil {
		t.Fatal(err)
	}
	third.wait()
	c.sees([]*agent{a, b}, c.all("alive", third, "left"))

	missing := func() (list []string) {
		have := our.names()
		for name, kind := range serfs.names() { // order-free: sorted below
			if have[name] != kind && !onlyOnce[strings.TrimPrefix(name, "serf-agent.")] {
				list = append(list, name+" "+kind)
			}
		}
		slices.Sort(list)
		return list
	}
	await(t, "what comes every 30 s", func() error {
		if serfs.names()["serf-agent.serf.queue.Intent"] == "" {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	await(t, "the names", func() error {
		if list := missing(); len(list) > 0 {
			return fmt.Errorf("not told by ours: %q", list)
		}
		return nil
	})
	if n := len(serfs.names()); n < 25 {
		t.Errorf("Serf told only %d names: %q", n, slices.Sorted(maps.Keys(serfs.names())))
	}
	have, real := our.names(), serfs.names()
	for name, kind := range have { // order-free: each is an error of its own
		if kind == "?" {
			t.Error(name)
		}
		if real[name] == "" {
			t.Logf("only ours told %s, %s", name, kind)
		}
	}
}

// onlyOnce are metrics that depend on which of the two was hit by something.
var onlyOnce = map[string]bool{
	"memberlist.degraded.timeout": true, // whose suspicion ended first
	"memberlist.degraded.probe":   true, // whose probe failed
	"memberlist.msg.suspect":      true,
	"serf.member.flap":            true,
	"serf.coordinate.rejected":    true,
	"runtime.gc_pause_ns":         true, // told for each collection; ours may have none in that time
}
