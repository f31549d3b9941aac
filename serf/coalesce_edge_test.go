package serf

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// edgeRig is a machine that tells the first of a burst at once.
func edgeRig(t *testing.T) *node {
	return newWorld(t).add("self", func(c *Config) { c.LeadingEdge = 10 * time.Millisecond })
}

// toldBy is what the machine told since the last call, one word an event.
func toldBy(m *node) string {
	var out []string
	for _, e := range m.Output().Events {
		word := e.Type.String()
		if e.Type == EventUser {
			word = e.Name + string(e.Payload)
		}
		for _, x := range e.Members {
			word += " " + x.Name
		}
		out = append(out, word)
	}
	return strings.Join(out, ", ")
}

// P226: the first is told with its input, the others together at the end of the window.
func TestP226_LeadingEdge(t *testing.T) {
	m := edgeRig(t)
	at := func(ms int) time.Time { return m.w.now.Add(time.Minute + time.Duration(ms)*time.Millisecond) }
	alive := func(ms, i int) {
		a := wire.Alive{Incarnation: 1, Node: fmt.Sprint("n", i), Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), 7946), Versions: fullVersions}
		m.HandlePacket(at(ms), m.addr, a.AppendTo(nil))
	}
	check := func(want string) {
		t.Helper()
		if got := toldBy(m); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	alive(0, 1)
	check("member-join n1")
	alive(2, 2)
	alive(4, 3)
	d := wire.Dead{Incarnation: 1, Node: "n1", From: "n2"}
	m.HandlePacket(at(6), m.addr, d.AppendTo(nil))
	check("")
	m.HandleTimeout(at(9))
	check("")
	m.HandleTimeout(at(10))
	check("member-failed n1, member-join n2 n3")
	alive(15, 4) // the telling at 10 ms opened a window
	check("")
	m.HandleTimeout(at(20))
	check("member-join n4")
	alive(31, 5)
	check("member-join n5")
	// User events likewise: of one name the newest of a window.
	for i := range 4 {
		if err := m.UserEvent(at(40+i), "e", []byte(fmt.Sprint(i)), true); err != nil {
			t.Fatal(err)
		}
	}
	check("e0")
	m.HandleTimeout(at(50))
	check("e3")
}
