package swim

import (
	"slices"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

func TestClusterJoinsFailsLeaves(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster(5)
	dead := ns[4]
	dead.down = true
	w.run(30 * time.Second)
	for _, n := range ns[:4] {
		if s := n.state(dead); s != wire.StateDead {
			t.Errorf("%s: state %d", n.Local().Name, s)
		}
		if !slices.Equal(n.layer.log, []string{"dead node5"}) {
			t.Errorf("%s: %q", n.Local().Name, n.layer.log)
		}
	}
	ns[3].Leave(w.now)
	w.run(5 * time.Second)
	if !ns[3].LeaveSent() {
		t.Error("leave not sent")
	}
	for _, n := range ns[:3] {
		if s := n.state(ns[3]); s != wire.StateLeft {
			t.Errorf("%s: state %d", n.Local().Name, s)
		}
	}
}
