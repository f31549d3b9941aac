package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// AddKnown adds n nodes that know each other from the start, to a cluster that
// has none: what one machine learns of all of them by their messages is frozen,
// and all start from it and share it (serf.Base). It takes the time and the memory
// of n members, where n joins would take those of n².
func (c *Cluster) AddKnown(n int, tags []wire.Tag) error {
	base, err := c.learn(n, tags)
	if err != nil {
		return err
	}
	c.base = base
	for range n {
		l := knownName(len(c.nodes))
		c.AddNamed(l, l, tags)
	}
	return c.failed
}

// knownName is the name of the i-th: their order is that of the nodes, so that who
// goes through two lists of members does so in step.
func knownName(i int) string { return fmt.Sprintf("n%06d", i) }

// learn is what a machine knows that has heard of nodes 0 to n-1.
func (c *Cluster) learn(n int, tags []wire.Tag) (*serf.Base, error) {
	cfg := c.opts.Serf
	cfg.Tags, cfg.Swim.Name, cfg.Swim.Addr = tags, knownName(0), address(0)
	m, err := serf.New(cfg, rand.New(rand.NewPCG(c.opts.Seed, 5)), c.Now())
	if err != nil {
		return nil, err
	}
	own := m.Swim().Local()
	alive := wire.Alive{Incarnation: own.Incarnation, Meta: own.Meta, Versions: own.Versions, Native: own.Native}
	var msg []byte
	for i := 1; i < n; i++ {
		alive.Node, alive.Addr = knownName(i), address(i)
		msg = alive.AppendTo(msg[:0])
		m.HandlePacket(c.Now(), alive.Addr, msg)
		m.Output()
	}
	return m.Base(), nil
}
