package serf

import (
	"slices"
	"testing"
	"time"
)

func TestSmoke(t *testing.T) {
	w := newWorld(t)
	ns := w.cluster("a", "b", "c")
	a, b, c := ns[0], ns[1], ns[2]
	if got := a.take(); !slices.Equal(got, []string{"member-join a", "member-join b", "member-join c"}) {
		t.Error(got)
	}
	if err := a.UserEvent(w.now, "deploy", []byte("v1"), false); err != nil {
		t.Fatal(err)
	}
	a.act()
	w.run(2 * time.Second)
	for _, n := range ns {
		if n.take(); n == nil {
			t.Fatal()
		}
	}
	_ = b
	c.down = true
	w.run(30 * time.Second)
	a.wantStatus(c, StatusFailed)
	t.Log(a.take(), b.log)
}
