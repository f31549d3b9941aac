package main

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

// devDirPattern names the cluster's directory below the system's for temporary
// files; the keeper removes no directory of another name.
const devDirPattern = "ibuki-dev-"

// devConfig is what the agents read beside their flags: so that a walk through
// everything takes seconds. None of it changes what happens, only when.
const devConfig = `{"reconnect_interval": "1s"}
`

// devCluster is a set of real agent processes on this machine.
type devCluster struct {
	program  string   // what is run as the agent and its commands
	self     string   // this program, for the keeper and the handlers
	env      []string // added to the environment of all that is run
	dir      string
	mark     string
	began    time.Time
	nodes    []*devNode
	watching bool
	search   *devSearch // with -groonga: what is done with its cluster
	keeper   *devKeeper
	spawner  devSpawner
	hold     io.Closer

	mu      sync.Mutex
	closing bool

	sayMu sync.Mutex
	tell  func(devNews) // never nil; one call at a time
}

// devNews is one line of what happens.
type devNews struct {
	at   time.Duration // since the cluster's start
	node string        // who saw it; "" for the cluster itself
	text string
	view bool // a member list, not an event
}

func (n devNews) String() string {
	return strings.TrimRight(fmt.Sprintf("%8.3fs  %-8s %s", n.at.Seconds(), n.node, n.text), " ")
}

// newDevCluster makes room for n nodes and starts the keeper, but no node yet.
func newDevCluster(program string, n int, tell func(devNews)) (*devCluster, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	places, hold, err := devPlaces(n)
	if err != nil {
		return nil, err
	}
	c := &devCluster{program: program, self: self, hold: hold, tell: tell}
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
func (c *devCluster) prepare() error {
	c.began = time.Now()
	c.mark = rand.Text()
	dir, err := os.MkdirTemp("", devDirPattern)
	if err != nil {
		return err
	}
	c.dir = dir
	if err := os.WriteFile(c.configFile(), []byte(devConfig), 0o600); err != nil {
		return err
	}
	if c.keeper, err = devStartKeeper(c.self, c.mark, dir); err != nil {
		os.RemoveAll(dir)
		return fmt.Errorf("cannot start the keeper: %w", err)
	}
	return nil
}

func (c *devCluster) configFile() string { return filepath.Join(c.dir, "dev.json") }

func (c *devCluster) add(name string, place devPlace) *devNode {
	n := &devNode{
		name: name, place: place, state: devDown, since: c.began,
		log:    filepath.Join(c.dir, name+".log"),
		record: filepath.Join(c.dir, name+".events"),
	}
	c.nodes = append(c.nodes, n)
	return n
}

// localArgs are an agent's arguments on this machine, where the nodes share what
// hosts would have each.
func (c *devCluster) localArgs(n *devNode, more ...string) []string {
	return append([]string{
		"agent", "-node=" + n.name, "-bind=" + n.place.bind(), "-rpc-addr=" + n.place.rpcAddr(),
		"-profile=local", "-config-file=" + c.configFile(), "-log-level=debug",
	}, more...)
}

// joinArgs make a node find the others by itself, whichever of them run.
func (c *devCluster) joinArgs(n *devNode) []string {
	args := []string{"-retry-interval=1s"}
	for _, other := range c.nodes {
		if other != n && len(args) < 5 {
			args = append(args, "-retry-join="+other.place.bind())
		}
	}
	return args
}

// say tells a line of news.
func (c *devCluster) say(node, format string, args ...any) {
	c.news(devNews{node: node, text: fmt.Sprintf(format, args...)})
}

func (c *devCluster) news(n devNews) {
	c.sayMu.Lock()
	defer c.sayMu.Unlock()
	n.at = time.Since(c.began)
	c.tell(n)
}

// node finds a node by its name or number.
func (c *devCluster) node(name string) (*devNode, error) {
	for i, n := range c.nodes {
		if n.name == name || fmt.Sprint(i) == name || fmt.Sprintf("node%d", i) == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("there is no node %q; they are %s to %s", name, c.nodes[0].name, c.nodes[len(c.nodes)-1].name)
}

// died is a node whose agent ended although nobody asked, nil if there is none.
func (c *devCluster) died() *devNode {
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
func (c *devCluster) processes() []*devNode {
	var all []*devNode
	for _, n := range c.nodes {
		all = append(append(all, n), n.beside...)
	}
	return all
}

// close ends every process and removes the directory. It returns when nothing
// is left.
func (c *devCluster) close() {
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
	devSweep(c.mark, pids)
	for _, n := range c.processes() {
		_ = c.ended(n, 5*time.Second) // killed above; the keeper is the second net
	}
	c.keeper.close()
	os.RemoveAll(c.dir)
	if c.hold != nil {
		c.hold.Close()
	}
}
