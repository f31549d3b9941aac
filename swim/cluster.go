package swim

import (
	"errors"
	"fmt"

	"github.com/ibuki-dev/ibuki/wire"
)

// ErrCluster: the other side belongs to a cluster of another name.
var ErrCluster = errors.New("not the same cluster")

// foreign reports whether metadata name another cluster than this node's. Who names
// none, as every plain node, is nobody's. (P245)
func (m *Machine) foreign(meta []byte) bool {
	if m.cfg.Cluster == "" {
		return false
	}
	c := m.layer.Cluster(meta)
	return c != "" && c != m.cfg.Cluster
}

// refuseForeign counts a claim about a member of another cluster, and names it now and then.
// It comes by way of somebody that has let both in. (P247)
func (m *Machine) refuseForeign(a *wire.Alive) {
	if _, report := m.drops.add(DropCluster, m.clock.real); report {
		m.trace(Trace{Kind: TraceClusterRefused, Level: LevelWarn, Node: a.Node, Addr: a.Addr,
			Err: errCluster(m.layer.Cluster(a.Meta), m.cfg.Cluster)})
	}
}

func errCluster(theirs, ours string) error {
	return fmt.Errorf("%w: %q and %q", ErrCluster, theirs, ours)
}

// kinCheck looks whether a push/pull comes from another cluster.
//
// Rule: it does if some of its members name another one, and none this one. Where
// both are named, somebody has let both in: it is merged without the others'. (P246)
type kinCheck struct {
	own   string // "": everything may come in
	ours  bool
	other string // the first name that is not own
}

func (m *Machine) addKin(k *kinCheck, n *wire.PushNodeState) {
	if k.own == "" || k.ours {
		return
	}
	switch c := m.layer.Cluster(n.Meta); c {
	case "":
	case k.own:
		k.ours = true
	default:
		if k.other == "" {
			k.other = c
		}
	}
}

func (k *kinCheck) check() error {
	if k.ours || k.other == "" {
		return nil
	}
	return errCluster(k.other, k.own)
}
