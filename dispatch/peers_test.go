package dispatch

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// network is what connects the gateways of a test.
type network struct {
	mu   sync.Mutex
	d    map[string]*Dispatcher
	hold map[string]chan struct{} // frozen gateways
}

var errGone = errors.New("connection refused")

func (n *network) to(ctx context.Context, addr string) (*Dispatcher, error) {
	n.mu.Lock()
	d, hold := n.d[addr], n.hold[addr]
	n.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if d == nil {
		return nil, errGone
	}
	return d, nil
}

func (n *network) Exchange(ctx context.Context, addr string, m PeerMessage) (PeerMessage, error) {
	d, err := n.to(ctx, addr)
	if err != nil {
		return PeerMessage{}, err
	}
	return d.Exchange(m), nil
}

func (n *network) Forward(ctx context.Context, addr string, c *groonga.Command) (groonga.Answer, error) {
	d, err := n.to(ctx, addr)
	if err != nil {
		return groonga.Answer{}, err
	}
	next := c.Clone()
	next.Forwarded = true
	return d.Do(ctx, next)
}

// cluster is several gateways before the same servers.
type cluster struct {
	*rig
	net  *network
	gate []*rig // one a gateway: its own Config, Dispatcher and buffer
}

func newCluster(t *testing.T, slices, replicas, gateways int) *cluster {
	c := &cluster{rig: newRig(t, slices, replicas), net: &network{d: map[string]*Dispatcher{}, hold: map[string]chan struct{}{}}}
	for i := range gateways {
		g := *c.rig
		g.cfg.Self, g.cfg.PeerClient = gatewayAddr(i), c.net
		for j := range gateways {
			if j != i {
				g.cfg.Peers = append(g.cfg.Peers, Peer{Name: fmt.Sprint("node", j), Addr: gatewayAddr(j)})
			}
		}
		g.cfg.Dir = t.TempDir()
		c.gate = append(c.gate, &g)
	}
	for i := range gateways {
		c.startGateway(i)
	}
	time.Sleep(time.Second) // they find each other
	return c
}

func gatewayAddr(i int) string { return fmt.Sprintf("gate%d:10040", i) }

func (c *cluster) startGateway(i int) {
	g := c.gate[i]
	g.buffered(BufferConfig{})
	g.start()
	c.net.mu.Lock()
	c.net.d[gatewayAddr(i)] = g.d
	c.net.mu.Unlock()
}

func (c *cluster) killGateway(i int) {
	c.net.mu.Lock()
	c.net.d[gatewayAddr(i)] = nil
	c.net.mu.Unlock()
	g := c.gate[i]
	g.d.Close()
	if err := g.cfg.Buffer.Close(); err != nil {
		c.t.Error(err)
	}
	g.d = nil
}

func (c *cluster) stop() {
	for i, g := range c.gate {
		if g.d != nil {
			c.killGateway(i)
		}
	}
	c.rig.d = c.gate[0].d
	for _, f := range c.fakes {
		f.set(func() {
			if f.frozen != nil {
				close(f.frozen)
				f.frozen = nil
			}
		})
		f.kill()
	}
	time.Sleep(time.Minute)
}

func TestOneGatewayPutsWritesInSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 3, 3)
		defer c.stop()
		c.gate[2].must("table_create --name T")
		c.gate[1].must(load("a"))
		if got := c.gate[2].d.Status().Sequencer; got != gatewayAddr(0) {
			t.Errorf("sequencer %s", got)
		}
		if n := c.gate[0].d.Status().Volumes[0].Delivered; n != 2 {
			t.Errorf("the sequencer delivered %d", n)
		}
		c.killGateway(0)
		c.gate[2].must(load("b")) // before anybody has noticed
		time.Sleep(2 * time.Second)
		c.gate[2].must(load("c"))
		if n := c.gate[1].d.Status().Volumes[0].Delivered; n == 0 {
			t.Error("the next one did not take over")
		}
		c.startGateway(0)
		time.Sleep(2 * time.Second)
		c.gate[1].must(load("d"))
		if n := c.gate[0].d.Status().Volumes[0].Delivered; n != 1 {
			t.Errorf("the first one is back and delivered %d", n)
		}
		for i := range 3 {
			if got := c.fake(i).keys("T"); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
				t.Errorf("node%d: %v", i, got)
			}
		}
	})
}

// What waits at one gateway keeps the others from reading, also when that gateway
// is gone, and also after a restart.
func TestAServerIsReadWhenNoGatewayHoldsWritesForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 3, 3)
		defer c.stop()
		c.gate[0].must("table_create --name T")
		c.fake(2).kill()
		c.gate[1].must(load("a"))
		for i, g := range c.gate {
			if s := g.state(2); s != "inactive" {
				t.Errorf("gateway %d: %s", i, s)
			}
		}
		c.killGateway(0) // it holds the write
		c.killGateway(1)
		time.Sleep(2 * time.Second)
		c.fake(2).restart()
		c.startGateway(1)
		time.Sleep(3 * time.Second)
		for _, i := range []int{1, 2} {
			if s := c.gate[i].state(2); s != "inactive" {
				t.Errorf("gateway %d reads from a server that lacks what a dead gateway holds: %s", i, s)
			}
		}
		c.gate[1].must(load("b")) // newer: it has to wait behind
		time.Sleep(3 * time.Second)
		if got := c.fake(2).keys("T"); len(got) != 0 {
			t.Errorf("newer writes came first: %v", got)
		}
		c.startGateway(0)
		time.Sleep(5 * time.Second)
		for i, g := range c.gate {
			if s := g.state(2); s != "active" {
				t.Errorf("gateway %d: %s", i, s)
			}
		}
		if !slices.Equal(c.fake(2).got, c.fake(0).got) {
			t.Errorf("another order:\n%v\n%v", c.fake(2).got, c.fake(0).got)
		}
	})
}

func TestAFrozenSequencerIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 2, 2)
		defer c.stop()
		c.gate[0].must("table_create --name T")
		c.net.mu.Lock()
		hold := make(chan struct{})
		c.net.hold[gatewayAddr(0)] = hold
		c.net.mu.Unlock()
		start := time.Now()
		c.gate[1].must(load("a"))
		if took := time.Since(start); took > time.Second {
			t.Errorf("a write took %v", took)
		}
		c.net.mu.Lock()
		c.net.hold[gatewayAddr(0)] = nil
		c.net.mu.Unlock()
		close(hold)
	})
}

// A write that was forwarded, done elsewhere and then overwritten does not come back
// when the gateway that had recorded it returns.
func TestAWriteDoneElsewhereDoesNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 2, 2)
		defer c.stop()
		c.gate[0].must("table_create --name T")
		c.fake(0).freeze()
		c.fake(1).freeze()
		done := make(chan error, 1)
		go func() {
			_, err := c.gate[1].do(`load --table T --values '[{"_key":"a","x":"old"}]'`)
			done <- err
		}()
		time.Sleep(50 * time.Millisecond) // the sequencer has recorded it
		c.killGateway(0)
		c.fake(0).thaw()
		c.fake(1).thaw()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		c.gate[1].must(`load --table T --values '[{"_key":"a","x":"new"}]'`)
		c.startGateway(0)
		time.Sleep(3 * time.Second)
		for i := range 2 {
			if got := c.fake(i).dump(); !strings.Contains(got, "new") {
				t.Errorf("node%d: %s", i, got)
			}
		}
	})
}

// Servers and gateways die, freeze and come back at random, one of each kind at a time.
// In the end all replicas are equal and have all that was acknowledged.
func TestRandomFaultsLoseNothing(t *testing.T) {
	for seed := range uint64(*seeds) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomFaults(t, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
}

// seeds is how many runs of faults there are.
var seeds = flag.Int("seeds", 6, "runs of random faults")

func randomFaults(t *testing.T, random *rand.Rand) {
	sliceCount := 1 + random.IntN(2)
	c := newCluster(t, sliceCount, 3, 3)
	defer c.stop()
	c.gate[0].must("table_create --name T")
	var mu sync.Mutex
	acked := make(map[string]bool)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("w%d-%d", w, i)
				c.net.mu.Lock()
				d := c.net.d[gatewayAddr((w+i)%3)]
				c.net.mu.Unlock()
				if d == nil {
					time.Sleep(10 * time.Millisecond)
					continue
				}
				cmd, _ := groonga.ParseLine(load(key))
				if _, err := d.Do(ctx, cmd); err == nil {
					mu.Lock()
					acked[key] = true
					mu.Unlock()
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	for range 12 {
		c.fault(random)
	}
	cancel()
	wg.Wait()
	time.Sleep(time.Minute)
	for s := range sliceCount {
		for r := 1; r < 3; r++ {
			if a, b := c.fake(s*3), c.fake(s*3+r); a.dump() != b.dump() {
				t.Errorf("replicas %s and %s differ: %d and %d keys", a.addr, b.addr, len(a.keys("T")), len(b.keys("T")))
			}
		}
	}
	have := make(map[string]bool)
	for s := range sliceCount {
		for _, k := range c.fake(s * 3).keys("T") {
			have[k] = true
		}
	}
	missing := 0
	for k := range acked {
		if !have[k] {
			missing++
		}
	}
	if missing > 0 || len(acked) < 100 {
		t.Errorf("%d of %d acknowledged writes are missing", missing, len(acked))
	}
	for i, g := range c.gate {
		for _, v := range g.d.Status().Volumes {
			if v.State != "active" || v.Waiting != 0 {
				t.Errorf("gateway %d: %+v", i, v)
			}
		}
	}
}

// fault breaks a server, a gateway or both for a while.
func (c *cluster) fault(random *rand.Rand) {
	pause := func() { time.Sleep(time.Duration(50+random.IntN(1500)) * time.Millisecond) }
	server := c.fake(random.IntN(len(c.fakes)))
	gate := random.IntN(3)
	what := random.IntN(3)
	if what != 1 {
		if random.IntN(2) == 0 {
			server.kill()
		} else {
			server.freeze()
		}
	}
	if what != 0 {
		time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
		c.killGateway(gate)
	}
	pause()
	if what != 0 && random.IntN(2) == 0 {
		c.startGateway(gate)
		gate = -1
		pause()
	}
	if what != 1 {
		server.mu.Lock()
		frozen := server.frozen != nil
		server.mu.Unlock()
		if frozen {
			server.thaw()
		} else {
			server.restart()
		}
	}
	pause()
	if what != 0 && gate >= 0 {
		c.startGateway(gate)
	}
	pause()
}
