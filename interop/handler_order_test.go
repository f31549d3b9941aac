//go:build unix

package interop

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// handled is what the handlers of an agent wrote, line by line.
func (a *agent) handled() []string {
	b, err := os.ReadFile(a.c.file(a.name + ".handled"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		a.c.t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// awaitHandled waits for the last line of a step.
func (a *agent) awaitHandled(last string) {
	a.c.t.Helper()
	a.await("handled "+last, func() error {
		if got := a.handled(); !slices.Contains(got, last) {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
}

// writes is a handler that notes what it was run for, after so many seconds.
func writes(c *cluster, agent, filter, mark, seconds string) string {
	return fmt.Sprintf(`-event-handler=%s=who=$(cut -f1 | sort | paste -sd,); sleep %s; echo "%s:$SERF_EVENT:$SERF_USER_EVENT$SERF_QUERY_NAME:$who" >> %s`,
		filter, seconds, mark, c.file(agent+".handled"))
}

// TestHandlerOrder plays one script of events on an agent of the real Serf and on ours,
// and compares what their handlers were run for, in which order: one at a time over all
// handlers, in the order of the events; a deploy that is sent five times runs once;
// members that join together are one run. (P110, P113, P154)
func TestHandlerOrder(t *testing.T) {
	need(t, newest)
	t.Parallel()
	want := strings.Fields(`
		J:member-join::lb A:member-join::lb
		A:user:first:a A:user:second:b
		J:member-join::web1,web2,web3 A:member-join::web1,web2,web3
		A:user:deploy:v5
		S:user:slow:x A:user:slow:x A:user:after1:y A:user:after2:z`)
	for _, p := range []program{newest, ours} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			a := c.add(p, "lb", writes(c, "lb", "member-join", "J", "0"), writes(c, "lb", "user:slow", "S", "1.5"), writes(c, "lb", "*", "A", "0"))
			event := func(name, payload string, coalesce bool) {
				if err := a.rpc.UserEvent(name, []byte(payload), coalesce); err != nil {
					t.Fatal(err)
				}
			}
			a.awaitHandled("A:member-join::lb")
			event("first", "a", false)
			event("second", "b", false)
			a.awaitHandled("A:user:second:b")
			for i := range 3 {
				c.add(newest, fmt.Sprint("web", i+1)).join(a)
			}
			a.awaitHandled("A:member-join::web1,web2,web3")
			for i := range 5 {
				event("deploy", fmt.Sprint("v", i+1), true)
				time.Sleep(150 * time.Millisecond)
			}
			a.awaitHandled("A:user:deploy:v5")
			event("slow", "x", false)
			event("after1", "y", false)
			event("after2", "z", false)
			a.awaitHandled("A:user:after2:z")
			if got := a.handled(); !slices.Equal(got, want) {
				t.Errorf("handlers ran\n%q, want\n%q", got, want)
			}
		})
	}
}

// TestBalancerByHandlers: the configuration of a load balancer that one handler adds
// servers to and another one drains and removes them from. A server that leaves and is
// started again at once is in it afterwards, as with the real Serf.
func TestBalancerByHandlers(t *testing.T) {
	need(t, newest)
	t.Parallel()
	for _, p := range []program{newest, ours} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			list := c.file("servers")
			a := c.add(p, "lb",
				fmt.Sprintf("-event-handler=member-join=cut -f1 >> %s", list),
				fmt.Sprintf(`-event-handler=member-leave,member-failed=for n in $(cut -f1); do sleep 2; grep -vx "$n" %s > %s.new; mv %s.new %s; done`, list, list, list, list),
				writes(c, "lb", "user", "U", "0"))
			web := c.add(newest, "web1")
			web.join(a)
			servers := func() []string {
				b, _ := os.ReadFile(list)
				all := strings.Fields(string(b))
				slices.Sort(all)
				return all
			}
			a.await("web1 is in the list", func() error {
				if got := servers(); !slices.Equal(got, []string{"lb", "web1"}) {
					return fmt.Errorf("%q", got)
				}
				return nil
			})
			if err := web.rpc.Leave(); err != nil {
				t.Fatal(err)
			}
			web.wait()
			web.start()
			web.join(a)
			time.Sleep(2 * time.Second) // until what was held back waits for its turn
			if err := a.rpc.UserEvent("end", nil, false); err != nil {
				t.Fatal(err)
			}
			a.awaitHandled("U:user:end:")
			if got := servers(); !slices.Equal(got, []string{"lb", "web1"}) {
				t.Errorf("the list is %q", got)
			}
		})
	}
}
