package interop

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// keeps adds a node called x that keeps a snapshot, and writes each user event
// that its handler gets into a file.
func (c *cluster) keeps(p program, flags ...string) *agent {
	c.t.Helper()
	return c.add(p, "x", append(flags, "-snapshot="+c.file("x.snapshot"),
		"-event-handler=user=echo $SERF_USER_EVENT >> "+c.file("x.events"))...)
}

// handled counts what the handler has written.
func (c *cluster) handled() map[string]int {
	count := make(map[string]int)
	text, _ := os.ReadFile(c.file("x.events"))
	for _, name := range strings.Fields(string(text)) {
		count[name]++
	}
	return count
}

func (c *cluster) awaitHandled(event string) {
	c.t.Helper()
	await(c.t, "x handles "+event, func() error {
		if got := c.handled(); got[event] == 0 {
			return fmt.Errorf("it has handled %v", got)
		}
		return nil
	})
}

func (a *agent) fire(event string) {
	a.c.t.Helper()
	if err := a.rpc.UserEvent(event, nil, false); err != nil {
		a.c.t.Fatal(err)
	}
}

func (c *cluster) awaitSnapshot(line string) {
	c.t.Helper()
	await(c.t, "the snapshot has "+line, func() error {
		text, err := os.ReadFile(c.file("x.snapshot"))
		if err == nil && !strings.Contains(string(text), line) {
			err = fmt.Errorf("it is %q", text)
		}
		return err
	})
}

// TestSnapshotChangesHands: a node is killed and started again as the other program,
// and back, on one snapshot file. Each time it is back by itself, with what was
// sent meanwhile and nothing that it had before.
func TestSnapshotChangesHands(t *testing.T) {
	for _, real := range []*program{&newest, &old} {
		t.Run(real.name, func(t *testing.T) {
			t.Parallel()
			need(t, *real)
			c := newCluster(t)
			stays := c.add(ours, "stays")
			x := c.keeps(*real)
			x.join(stays)
			c.sees(c.agents, c.all("alive"))
			times := 0 // events so far, which is the last one's Lamport time
			for life, next := range []program{ours, *real, ours, ours} {
				event := fmt.Sprintf("event-%d", life)
				stays.fire(event)
				times++
				c.awaitHandled(event)
				times = c.awaitRecorded(stays, x, times)
				x.kill()
				away := fmt.Sprintf("away-%d", life)
				stays.fire(away)
				times++
				before := logSize(t, x)
				x.prog = next
				x.start()
				x.await("is back by itself", func() error {
					if log := logFrom(t, x, before); !strings.Contains(log, "Re-joined to previously known node: stays: "+stays.addr()) {
						return fmt.Errorf("its log: %s", log)
					}
					return nil
				})
				c.sees(c.agents, c.all("alive"))
				c.awaitHandled(away)
				if log := logFrom(t, x, before); strings.Contains(log, "Unrecognized snapshot line") || strings.Contains(log, "could not be read") {
					t.Errorf("life %d as %s: it does not understand the other's file:\n%s", life, next.name, log)
				}
			}
			time.Sleep(2 * time.Second)         // for what comes a second time
			for event, n := range c.handled() { // order-free: any fault is one
				if n != 1 && !strings.HasPrefix(event, "nudge") {
					t.Errorf("%s was handled %d times", event, n)
				}
			}
		})
	}
}

// awaitRecorded waits until the snapshot has the other member and the event of that
// Lamport time. Serf keeps lines in a buffer, without a time to write it, until
// there is another line: it gets some. What of these it has not written when it
// is killed is told again, by its own fault.
func (c *cluster) awaitRecorded(stays, x *agent, lamport int) (times int) {
	c.t.Helper()
	times = lamport
	nudged := time.Now()
	await(c.t, "x records the event", func() error {
		text, err := os.ReadFile(c.file("x.snapshot"))
		if err != nil {
			return err
		}
		for n := lamport; n <= times; n++ {
			if strings.Contains(string(text), fmt.Sprintf("event-clock: %d\n", n)) && strings.Contains(string(text), "alive: stays "+stays.addr()+"\n") {
				return nil
			}
		}
		if x.prog.name != ours.name && time.Since(nudged) > 700*time.Millisecond {
			times++
			nudged = time.Now()
			stays.fire(fmt.Sprintf("nudge-%d", times))
		}
		return fmt.Errorf("it is %q", text)
	})
	return times
}

func logSize(t *testing.T, a *agent) int {
	t.Helper()
	info, err := os.Stat(a.log())
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Size())
}

func logFrom(t *testing.T, a *agent, from int) string {
	t.Helper()
	text, err := os.ReadFile(a.log())
	if err != nil {
		t.Fatal(err)
	}
	return string(text[from:])
}

// TestSnapshotOfALeave: who left stays away, by either program's word, unless it
// is told to rejoin.
func TestSnapshotOfALeave(t *testing.T) {
	for _, mix := range []struct{ first, then program }{{ours, ours}, {ours, newest}, {newest, ours}} {
		for _, rejoin := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,%s,rejoin=%v", mix.first.name, mix.then.name, rejoin), func(t *testing.T) {
				t.Parallel()
				need(t, mix.first)
				need(t, mix.then)
				c := newCluster(t)
				stays := c.add(ours, "stays")
				var flags []string
				if rejoin {
					flags = append(flags, "-rejoin")
				}
				x := c.keeps(mix.first, flags...)
				x.join(stays)
				c.sees(c.agents, c.all("alive"))
				if mix.first.name == ours.name { // Serf's is in its buffer until something else happens
					c.awaitSnapshot("alive: stays ")
				}
				if err := x.rpc.Leave(); err != nil {
					t.Fatal(err)
				}
				x.wait()
				c.sees([]*agent{stays}, c.all("alive", x, "left"))
				x.prog = mix.then
				x.start()
				if rejoin {
					c.sees(c.agents, c.all("alive"))
					return
				}
				time.Sleep(5 * time.Second)
				c.sees([]*agent{x}, map[*agent]string{x: "alive"})
				c.sees([]*agent{stays}, c.all("alive", x, "left"))
			})
		}
	}
}

// TestSnapshotKilledUnderEvents: ours, killed again and again while events come.
func TestSnapshotKilledUnderEvents(t *testing.T) {
	c := newCluster(t)
	stays := c.add(ours, "stays")
	x := c.keeps(ours)
	x.join(stays)
	c.sees(c.agents, c.all("alive"))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				_ = stays.rpc.UserEvent(fmt.Sprintf("event-%d", i), nil, false)
			}
		}
	}()
	const kills = 12
	for i := range kills {
		time.Sleep(time.Duration(i) * 73 * time.Millisecond)
		x.kill()
		x.start()
		c.sees(c.agents, c.all("alive"))
	}
	close(stop)
	<-stopped
	stays.fire("last")
	c.awaitHandled("last")
	handled := c.handled()
	for event, n := range handled { // order-free: any fault is one
		if n != 1 {
			t.Errorf("%s was handled %d times", event, n)
		}
	}
	t.Logf("%d kills, %d events", kills, len(handled))
}
