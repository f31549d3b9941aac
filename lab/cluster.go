package lab

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// dirPattern names the cluster's directory below the system's for temporary
// files; the keeper removes no directory of another name.
const dirPattern = "ibuki-dev-"

// agentConfig is what the agents read beside their flags: so that a walk through
// everything takes seconds. None of it changes what happens, only when.
const agentConfig = `{"reconnect_interval": "1s"}
`

// cluster is a set of real agent processes on this machine.
type cluster struct {
	program  string   // what is run as the agent and its commands
	self     string   // this program, for the keeper and the handlers
	env      []string // added to the environment of all that is run
	dir      string
	mark     string
	began    time.Time
	nodes    []*node
	watching bool
	search   *search // with -groonga: what is done with its cluster
	keeper   *keeper
	spawner  spawner
	hold     io.Closer

	mu      sync.Mutex
	closing bool

	sayMu sync.Mutex
	tell  func(notice) // never nil; one call at a time
}

// notice is one line of what happens.
type notice struct {
	at   time.Duration // since the cluster's start
	node string        // who saw it; "" for the cluster itself
	text string
	view bool // a member list, not an event

	// Of an event: its type, its time and what it is about, for the screen's journal.
	kind  string
	clock uint64
	names []string
}

func (n notice) String() string {
	return strings.TrimRight(fmt.Sprintf("%8.3fs  %-8s %s", n.at.Seconds(), n.node, n.text), " ")
}

// newCluster makes room for n nodes and starts the keeper, but no node yet.
func newCluster(program string, n int, tell func(notice)) (*cluster, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	places, hold, err := findPlaces(n)
	if err != nil {
		return nil, err
	}
	c := &cluster{program: program, self: self, hold: hold, tell: tell}
	if c.program == "" {
		c.program = self
	}
	if err := c.prepare(); err != nil {
		hold.Close()
		return nil, err
	}
	for i, p := range places {
		c.add(fmt.Sprintf("node%d", i), p)
	}
	return c, nil
}

// prepare makes the directory and starts the keeper of it.
func (c *cluster) prepare() error {
	c.began = time.Now()
	c.mark = rand.Text()
	dir, err := os.MkdirTemp("", dirPattern)
	if err != nil {
		return err
	}
	c.dir = dir
	if err := os.WriteFile(c.configFile(), []byte(agentConfig), 0o600); err != nil {
		return err
	}
	if c.keeper, err = startKeeper(c.self, c.mark, dir); err != nil {
		os.RemoveAll(dir)
		return fmt.Errorf("cannot start the keeper: %w", err)
	}
	return nil
}

func (c *cluster) configFile() string { return filepath.Join(c.dir, "dev.json") }

func (c *cluster) add(name string, place place) *node {
	n := &node{
		name: name, place: place, state: stateDown, since: c.began,
		log:    filepath.Join(c.dir, name+".log"),
		record: filepath.Join(c.dir, name+".events"),
	}
	c.nodes = append(c.nodes, n)
	return n
}

// localArgs are an agent's arguments on this machine, where the nodes share what
// hosts would have each.
func (c *cluster) localArgs(n *node, more ...string) []string {
	return append([]string{
		"agent", "-node=" + n.name, "-bind=" + n.place.bind(), "-rpc-addr=" + n.place.rpcAddr(),
		"-profile=local", "-config-file=" + c.configFile(), "-log-level=debug",
	}, more...)
}

// joinArgs make a node find the others by itself, whichever of them run.
func (c *cluster) joinArgs(n *node) []string {
	args := []string{"-retry-interval=1s"}
	for _, other := range c.nodes {
		if other != n && len(args) < 5 {
			args = append(args, "-retry-join="+other.place.bind())
		}
	}
	return args
}

// say tells a line of news.
func (c *cluster) say(node, format string, args ...any) {
	c.news(notice{node: node, text: fmt.Sprintf(format, args...)})
}

func (c *cluster) news(n notice) {
	c.sayMu.Lock()
	defer c.sayMu.Unlock()
	n.at = time.Since(c.began)
	c.tell(n)
}

// node finds a node by its name or number.
func (c *cluster) node(name string) (*node, error) {
	for i, n := range c.nodes {
		if n.name == name || fmt.Sprint(i) == name || fmt.Sprintf("node%d", i) == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("there is no node %q; they are %s to %s", name, c.nodes[0].name, c.nodes[len(c.nodes)-1].name)
}

// died is a node whose agent ended although nobody asked, nil if there is none.
func (c *cluster) died() *node {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if n.died {
			return n
		}
	}
	return nil
}

// processes are all of the cluster's: the agents, and what is beside them.
func (c *cluster) processes() []*node {
	var all []*node
	for _, n := range c.nodes {
		all = append(append(all, n), n.beside...)
	}
	return all
}

// close ends every process and removes the directory. It returns when nothing
// is left.
func (c *cluster) close() {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return
	}
	c.closing = true
	var pids []int
	for _, n := range c.processes() {
		if n.pid != 0 {
			pids = append(pids, n.pid)
		}
	}
	c.mu.Unlock()
	if c.search != nil {
		c.search.stop()
	}
	Sweep(c.mark, pids)
	for _, n := range c.processes() {
		_ = c.ended(n, 5*time.Second) // killed above; the keeper is the second net
	}
	c.keeper.close()
	os.RemoveAll(c.dir)
	if c.hold != nil {
		c.hold.Close()
	}
}
