package serf

import (
	"strings"
	"testing"
	"time"
)

// P232: an event beyond one packet reaches everybody at once, plain members too.
func TestP232_LongEvents(t *testing.T) {
	w := newWorld(t)
	var ns []*node
	for _, name := range []string{"a", "b", "c", "d", "plain"} {
		ns = append(ns, w.add(name, func(c *Config) {
			c.Swim.Plain = name == "plain"
			c.UserEventSizeLimit = 9 * 1024
		}))
	}
	w.joinAll(ns)
	long := strings.Repeat("0123456789", 800)
	if err := ns[0].UserEvent(w.now, "long", []byte(long), false); err != nil {
		t.Fatal(err)
	}
	ns[0].act()
	w.run(20 * time.Millisecond)
	for _, n := range ns {
		e, ok := n.lastEvent(EventUser)
		if !ok || e.Name != "long" || string(e.Payload) != long {
			t.Errorf("%s: %v, %d bytes", n.name(), ok, len(e.Payload))
		}
	}
	w.run(time.Minute)
	for _, n := range ns {
		told := 0
		for _, e := range n.events {
			if e.Type == EventUser {
				told++
			}
		}
		if told != 1 || n.queues.event.Len() != 0 {
			t.Errorf("%s was told %d times; %d wait", n.name(), told, n.queues.event.Len())
		}
	}
	if err := ns[4].UserEvent(w.now, "long", []byte(long), false); err == nil {
		t.Error("a plain node takes it")
	}
}
