//go:build linux

package main

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// idle measures what gateways cost that have nothing to do.
func (b *bench) idle() error {
	c, err := b.cluster("idle", b.ours, []string{"-log"}, true)
	defer c.end()
	if err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	leader, _ := c.leader()
	var before []time.Duration
	for _, g := range c.gateways {
		before = append(before, g.cpu())
	}
	time.Sleep(b.still)
	for i, g := range c.gateways {
		what := "follows"
		if i == leader {
			what = "leads"
		}
		fmt.Printf("at rest, a gateway that %s: %.2f %% of a processor\n", what, 100*(g.cpu()-before[i]).Seconds()/b.still.Seconds())
	}
	return nil
}

// killed measures how long no write is done after the leader was killed.
func (b *bench) killed() error { return b.pauses("killed", syscall.SIGKILL) }

// stopped does after it was stopped.
func (b *bench) stopped() error { return b.pauses("stopped", syscall.SIGSTOP) }

func (b *bench) pauses(name string, s syscall.Signal) error {
	c, err := b.cluster(name, b.ours, []string{"-log"}, true)
	defer c.end()
	if err != nil {
		return err
	}
	var took []time.Duration
	for n := range b.faults {
		time.Sleep(time.Second + time.Duration(n*37%200)*time.Millisecond)
		leader, _ := c.leader()
		if leader < 0 {
			return fmt.Errorf("nobody leads")
		}
		began := time.Now()
		c.gateways[leader].signal(s)
		done, err := c.resumed(leader, fmt.Sprint(name, n))
		if err != nil {
			return err
		}
		took = append(took, done.Sub(began))
		if s == syscall.SIGSTOP {
			c.gateways[leader].signal(syscall.SIGCONT)
		} else {
			<-c.gateways[leader].gone
			err = c.gateways[leader].start()
		}
		if err == nil {
			err = c.settle(true)
		}
		if err != nil {
			return err
		}
	}
	slices.Sort(took)
	fmt.Printf("leader %s, writes go on at another gateway: median %v, worst %v, of %d\n", name,
		took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), len(took))
	return nil
}

// resumed writes to the other gateways, one write after the other, until one that was begun
// after the fault is done.
func (c *cluster) resumed(but int, key string) (time.Time, error) {
	front := c.front((but + 1) % len(c.gateways))
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	var err error
	for began := time.Now(); time.Since(began) < patience; {
		if err = load(client, front, []byte(`[{"_key":"`+key+`"}]`)); err == nil {
			return time.Now(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%w\n%s", err, c.gateways[(but+1)%len(c.gateways)].tail())
}

// falseElections counts changes of the leader while all processors are busy.
func (b *bench) falseElections() error {
	c, err := b.cluster("busy", b.ours, []string{"-log"}, true)
	defer c.end()
	if err != nil {
		return err
	}
	_, before := c.leader()
	var over atomic.Bool
	var wg sync.WaitGroup
	for range 4 * runtime.NumCPU() {
		wg.Go(func() {
			for x := uint64(1); !over.Load(); {
				for range 1 << 20 {
					x = x*6364136223846793005 + 1
				}
			}
		})
	}
	s := overHTTP("busy", c.fronts())
	span := b.span
	b.span = b.still
	err = b.play(s, 1)
	b.span = span
	over.Store(true)
	wg.Wait()
	if err != nil {
		return err
	}
	_, after := c.leader()
	fmt.Printf("%d busy threads for %v, one client: the term rose by %d; %.0f writes a second, the slowest hundredth %v\n",
		4*runtime.NumCPU(), b.still, after-before, s.runs[1][0].rate, s.runs[1][0].p99.Round(time.Millisecond))
	return nil
}
