package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ibuki-dev/ibuki/netns"
)

// nodes is how many hosts a cluster in namespaces has.
const nodes = 3

// logBytes is the size of the file system that a gateway keeps its writes on.
const logBytes = "128m"

// hosts is a cluster of three hosts, each a network namespace with an agent, a Groonga
// server and a gateway, whose writes are kept on a small file system of its own.
type hosts struct {
	world
	network *netns.Network
	keep    string // the gateways' flag: log, or, of an earlier build, buffer
	ended   int    // servers that ended by themselves
	filled  int    // how often a server was seen to be filled
	filling [nodes]bool
}

// newHosts starts a cluster whose gateways keep writes with -log, or are of an earlier build and
// keep them with -buffer.
func newHosts(t *testing.T, keep string) *hosts {
	t.Helper()
	need(t, "groonga", "iptables", "mount")
	build(t)
	h := &hosts{world: world{t: t, net: "192.168.100.", dir: t.TempDir()}, network: netns.New(t, nodes), keep: keep}
	h.placeOnHosts()
	for i := range nodes {
		h.mount(i)
		h.servers = append(h.servers, h.on(i, h.server(i, h.volumes[i])))
		h.agents = append(h.agents, h.on(i, h.agent(i)))
		h.gateways = append(h.gateways, h.on(i, h.keeper(i)))
	}
	all := append(append(append([]*process{}, h.servers...), h.agents...), h.gateways...)
	t.Cleanup(func() {
		for _, p := range all {
			if p.cmd != nil {
				_ = p.cmd.Process.Signal(syscall.SIGCONT)
				p.kill()
			}
		}
		if t.Failed() {
			for _, p := range all {
				t.Logf("%s printed last:\n%s", p.name, p.tail())
			}
		}
	})
	for _, p := range all {
		p.start()
	}
	h.heal()
	return h
}

// address is the address of a host.
func (h *hosts) address(i int) string { return fmt.Sprintf("192.168.100.%d", 50+i) }

// placeOnHosts writes a catalog of one slice with a replica on each host.
func (h *hosts) placeOnHosts() {
	var replicas []any
	for i := range nodes {
		v := fmt.Sprintf("%s:%d", h.address(i), groongaPort)
		h.volumes = append(h.volumes, v)
		replicas = append(replicas, map[string]any{"dimension": "_key", "slicer": "hash", "slices": []any{map[string]any{
			"label": "slice0", "weight": 100, "volume": map[string]any{"address": v + "/groonga.000"},
		}}})
	}
	h.writeCatalog(replicas)
}

// mount gives the writes of a gateway a file system of their own, which can be full.
func (h *hosts) mount(i int) {
	h.t.Helper()
	dir := h.kept(i)
	if err := os.Mkdir(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+logBytes, "tmpfs", dir).CombinedOutput(); err != nil {
		h.t.Skipf("needs to mount a file system: %v: %s", err, out)
	}
	h.t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
}

// kept is the mounted directory of a gateway; its writes are in a directory in it.
func (h *hosts) kept(i int) string { return h.file(fmt.Sprint("disk", i)) }

// on has a process run in the namespace of a host.
func (h *hosts) on(i int, p *process) *process {
	p.args = append([]string{"ip", "netns", "exec", h.network.Host(i)}, p.args...)
	return p
}

// agent is the agent of a host.
func (h *hosts) agent(i int) *process {
	args := []string{ibuki(), "agent", "-node=" + h.address(i), "-bind=" + h.address(i), "-rpc-addr=127.0.0.1:7373",
		"-profile=local", "-live-nodes=" + h.listFile(i), "-retry-interval=1s"}
	for j := range nodes {
		if j != i {
			args = append(args, "-retry-join="+h.address(j))
		}
	}
	return h.process(fmt.Sprint("agent", i), args...)
}

// keeper is the gateway of a host.
func (h *hosts) keeper(i int) *process {
	program := ibuki()
	if h.keep == "buffer" {
		program = *before
	}
	return h.process(fmt.Sprint("gateway", i), program, "gateway", "-catalog="+h.file("catalog.json"), "-live-nodes="+h.listFile(i),
		"-http="+h.frontOf(i), "-"+h.keep+"="+h.kept(i)+"/writes")
}

func (h *hosts) frontOf(i int) string { return fmt.Sprintf("%s:%d", h.address(i), gatewayPort) }

// dial connects from within the namespace of a host. A socket stays in the namespace in
// which it was made, so the thread is there for the call only.
func (h *hosts) dial(i int, addr string) (net.Conn, error) {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	defer home.Close()
	there, err := os.Open("/var/run/netns/" + h.network.Host(i))
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", addr, 2*time.Second)
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back) // the thread must not serve anybody else
	}
	runtime.UnlockOSThread()
	return conn, err
}

// fetch asks, from within the namespace of a host, a server or gateway of it.
func (h *hosts) fetch(i int, addr, uri string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return h.dial(i, addr) },
	}}
	return getBy(&client, addr, uri)
}

// order asks a gateway for a command that has to succeed.
func (h *hosts) order(i int, name string, args ...string) {
	h.t.Helper()
	text, err := h.fetch(i, h.frontOf(i), command(name, args...))
	if err != nil || !strings.HasPrefix(text, "[[0,") {
		h.t.Fatalf("%s %v: %v %.200s", name, args, err, text)
	}
}

// stand is what is read of a gateway's /status here.
type stand struct {
	standing
	Cluster struct {
		Log *struct {
			Leader string `json:"leader"`
			Leased bool   `json:"leased"`
			Fault  string `json:"fault"`
			Term   uint64 `json:"term"`
		} `json:"log"`
		Volumes []struct {
			Address  string `json:"address"`
			State    string `json:"state"`
			Fault    string `json:"fault"`
			Waiting  int    `json:"waiting"`
			Position *struct {
				State   string `json:"state"`
				Why     string `json:"why"`
				Applied uint64 `json:"applied"`
			} `json:"position"`
		} `json:"volumes"`
	} `json:"cluster"`
}

func (h *hosts) stand(i int) (s stand, err error) {
	text, err := h.fetch(i, h.frontOf(i), "/status")
	if err == nil {
		err = json.Unmarshal([]byte(text), &s)
	}
	return s, err
}

// amiss says what is not as it is in a cluster without faults; "" is nothing.
func (h *hosts) amiss() string {
	for i := range nodes {
		s, err := h.stand(i)
		if err != nil {
			return fmt.Sprintf("gateway %d: %v", i, err)
		}
		if s.List.Alive != nodes {
			return fmt.Sprintf("gateway %d: %d nodes are alive", i, s.List.Alive)
		}
		if l := s.Cluster.Log; h.keep == "log" && (l == nil || l.Leader == "" || l.Fault != "" || !l.Leased) {
			return fmt.Sprintf("gateway %d: log %+v", i, l)
		}
		for _, v := range s.Cluster.Volumes {
			if v.State != "active" || v.Waiting > 8 || v.Position != nil && v.Position.State != "up" {
				return fmt.Sprintf("gateway %d: %s is %s, %s, position %+v", i, v.Address, v.State, v.Fault, v.Position)
			}
		}
	}
	return ""
}

// heal waits until nothing is amiss, and returns how long that took.
func (h *hosts) heal() time.Duration {
	h.t.Helper()
	start := time.Now()
	for why := h.amiss(); why != ""; why = h.amiss() {
		h.revive()
		if time.Since(start) > patience {
			for i := range nodes {
				text, err := h.fetch(i, h.frontOf(i), "/status")
				h.t.Logf("gateway %d: %v %s", i, err, text)
			}
			h.t.Fatalf("after %v: %s", patience, why)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(start)
}

// revive starts a server again that ended by itself, as the manager of services of a host
// does. One that has to be filled is filled by the gateways.
func (h *hosts) revive() {
	h.t.Helper()
	for i, p := range h.servers {
		select {
		case <-p.gone:
			h.ended++
			h.t.Logf("%s ended by itself; it printed last: %.300s", p.name, p.tail())
			p.start()
		default:
		}
		s, err := h.stand(i)
		if err != nil || len(s.Cluster.Volumes) != nodes || s.Cluster.Volumes[i].Position == nil {
			continue
		}
		filling := s.Cluster.Volumes[i].Position.State == "filling"
		if filling && !h.filling[i] {
			h.filled++
			h.t.Logf("%s is filled", p.name)
		}
		h.filling[i] = filling
	}
}

// leader is the host whose gateway leads the log; with -buffer the first puts writes in
// their order.
func (h *hosts) leader() int {
	for i := range nodes {
		s, err := h.stand(i)
		for j := range nodes {
			if err == nil && s.Cluster.Log != nil && s.Cluster.Log.Leader == h.frontOf(j) {
				return j
			}
		}
	}
	return 0
}

// block has a host drop what a rule of iptables matches; the rule begins with its chain.
func (h *hosts) block(i int, rule ...string) {
	h.t.Helper()
	args := append([]string{"netns", "exec", h.network.Host(i), program("iptables"), "-w", "-A"}, rule...)
	if out, err := exec.Command("ip", append(args, "-j", "DROP")...).CombinedOutput(); err != nil {
		h.t.Fatalf("iptables %v: %v: %s", rule, err, out)
	}
}

// unblock ends all that block did at a host.
func (h *hosts) unblock(i int) {
	if out, err := exec.Command("ip", "netns", "exec", h.network.Host(i), program("iptables"), "-w", "-F").CombinedOutput(); err != nil {
		h.t.Errorf("iptables -F: %v: %s", err, out)
	}
}

// contents is all that a server has, without what the gateways keep of their own there.
func (h *hosts) contents(i int) (lines []string, err error) {
	text, err := h.fetch(i, h.volumes[i], command("dump", "sort_hash_table", "yes"))
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "config_set ibuki.") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines, err
}
