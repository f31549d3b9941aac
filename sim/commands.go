package sim

import (
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// The commands are what a user does at a node's own command line. They do
// nothing while the process is down or paused.

// running reports whether the node can take a command.
func (n *Node) running() bool { return n.up && !n.paused }

// did writes what was done to the transcript, if it failed.
func (n *Node) did(what string, err error) {
	if err != nil {
		n.c.log.life(n.c, n, "cannot "+what+": "+err.Error())
	}
}

// Join joins by another node; ignoreOld: user events from before are not told.
func (n *Node) Join(by *Node, ignoreOld bool) {
	if !n.running() {
		return
	}
	id, err := n.machine.Join(n.c.Now(), by.addr, "", ignoreOld)
	n.joins[id] = by.label
	n.did("join "+by.label, err)
	n.act()
}

// Rejoin joins by another node as one does that has a snapshot of former days.
func (n *Node) Rejoin(by *Node) {
	if !n.running() {
		return
	}
	id, err := n.machine.Rejoin(n.c.Now(), by.addr, by.name)
	n.joins[id] = by.label
	n.did("rejoin "+by.label, err)
	n.act()
}

// Leave begins to leave; the process ends when that is done.
func (n *Node) Leave() {
	if !n.running() {
		return
	}
	n.c.log.life(n.c, n, "leaves")
	n.leftAt = n.life
	n.did("leave", n.machine.Leave(n.c.Now()))
	n.act()
}

// AnnounceRestart says that the node will restart within d.
func (n *Node) AnnounceRestart(d time.Duration) {
	if !n.running() {
		return
	}
	n.c.log.life(n.c, n, "will restart within "+d.String())
	n.did("announce a restart", n.machine.AnnounceRestart(n.c.Now(), d))
	n.act()
}

// ForceLeave makes a failed member a left one.
func (n *Node) ForceLeave(name string, prune bool) {
	if !n.running() {
		return
	}
	n.c.log.life(n.c, n, "forces "+name+" out")
	for _, x := range n.c.nodes {
		if x.name == name {
			x.leftAt = x.life
		}
	}
	n.did("force "+name+" out", n.machine.ForceLeave(n.c.Now(), name, prune))
	n.act()
}

// SetTags replaces the node's tags.
func (n *Node) SetTags(tags []wire.Tag) {
	if !n.running() {
		return
	}
	err := n.machine.SetTags(n.c.Now(), tags)
	if err == nil {
		n.tags = tags
	}
	n.did("set tags", err)
	n.act()
}

// UserEvent sends a user event.
func (n *Node) UserEvent(name string, payload []byte, coalesce bool) error {
	if !n.running() {
		return serf.ErrNotAlive
	}
	if n.c.check != nil {
		n.c.check.sent[name+" "+string(payload)] = true
	}
	err := n.machine.UserEvent(n.c.Now(), name, payload, coalesce)
	n.did("send event "+name, err)
	n.act()
	return err
}

// Query asks a query.
func (n *Node) Query(name string, payload []byte, p serf.QueryParam) {
	if !n.running() {
		return
	}
	id, err := n.machine.Query(n.c.Now(), name, payload, p)
	if err == nil && n.c.check != nil {
		n.c.check.asked(n, id, p)
	}
	n.did("ask "+name, err)
	n.act()
}
