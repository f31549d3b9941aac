package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/ibuki-dev/ibuki/catalog"
)

// The ports of what runs beside each agent with -groonga.
const (
	groongaPort = 10041
	gatewayPort = 10040
	droongaPort = 10031
)

// addGroonga puts a Groonga server and a gateway beside each agent. The agents are
// named by their addresses, because a volume's host is its node's name (M14).
func (c *cluster) addGroonga() error {
	program, err := exec.LookPath("groonga")
	if err != nil {
		return errors.New("-groonga: there is no groonga on the PATH (Debian and Ubuntu have it in groonga-bin)")
	}
	var hosts []string
	for i, n := range c.nodes {
		if i > 0 && n.place.host == c.nodes[0].place.host {
			return errors.New("-groonga: each node needs a loopback address of its own, which there is on Linux")
		}
		n.name = n.place.host
		hosts = append(hosts, n.place.host)
	}
	text, err := catalog.Generate(catalog.Plan{Hosts: hosts, Port: groongaPort})
	if err != nil {
		return fmt.Errorf("-groonga: %w", err)
	}
	if err := os.WriteFile(c.catalogFile(), text, 0o600); err != nil {
		return err
	}
	for _, n := range c.nodes {
		n.beside = []*node{c.groongaOf(n, program), c.gatewayOf(n)}
	}
	c.search = newSearch(c)
	return nil
}

func (c *cluster) catalogFile() string           { return filepath.Join(c.dir, "catalog.json") }
func (c *cluster) listFile(n *node) string       { return filepath.Join(c.dir, n.name+".live") }
func addrAt(n *node, port int) string            { return net.JoinHostPort(n.place.host, strconv.Itoa(port)) }
func (c *cluster) file(n *node, s string) string { return filepath.Join(c.dir, n.name+s) }

// listArgs make an agent write its list for the gateway.
func (c *cluster) listArgs(n *node) []string {
	if c.search == nil {
		return nil
	}
	return []string{"-live-nodes=" + c.listFile(n)}
}

// groongaOf is the Groonga server beside a node.
func (c *cluster) groongaOf(n *node, program string) *node {
	db := c.file(n, ".db")
	p := &node{
		name: n.name + ".groonga", part: "groonga", place: n.place, other: program,
		state: stateDown, since: c.began, log: c.file(n, ".groonga.log"),
	}
	// In the foreground, a database that is made at the first start.
	args := []string{
		"-s", "--protocol", "http", "--bind-address", n.place.host, "-p", strconv.Itoa(groongaPort),
		"-t", "4", "--log-path", c.file(n, ".groonga.trace"), "--query-log-path", "",
	}
	p.before = func() error {
		if _, err := os.Stat(db); err != nil {
			p.args = append(args[:len(args):len(args)], "-n", db)
			return nil
		}
		p.args = append(args[:len(args):len(args)], db)
		// One that was killed while it wrote has left its locks.
		if out, err := exec.Command(program, db, "lock_clear").CombinedOutput(); err != nil {
			return fmt.Errorf("groonga lock_clear: %w: %s", err, out)
		}
		return nil
	}
	return p
}

// gatewayOf is the gateway beside a node.
func (c *cluster) gatewayOf(n *node) *node {
	return &node{
		name: n.name + ".gateway", part: "gateway", place: n.place, state: stateDown, since: c.began, log: c.file(n, ".gateway.log"),
		args: []string{
			"gateway", "-catalog=" + c.catalogFile(), "-live-nodes=" + c.listFile(n), "-log=" + c.file(n, ".writes"),
			"-http=" + addrAt(n, gatewayPort), "-droonga=" + addrAt(n, droongaPort), "-node=" + n.place.host,
		},
	}
}
