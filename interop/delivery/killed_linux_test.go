package delivery

import (
	"context"
	"sync"
	"testing"
	"time"
)

// Gateways are killed while clients write through all of them and servers are away. A
// client of a killed gateway gets an error; what was acknowledged is on all replicas.
func TestKilledGatewaysLoseNothing(t *testing.T) {
	need(t, "groonga")
	build(t)
	w := newWorld(t, placing{{0, 1}, {2, 2}})
	w.fill()
	ctx, cancel := context.WithCancel(context.Background())
	notes := make([]*written, 3)
	var wg sync.WaitGroup
	for i := range notes {
		name := string(rune('a' + i))
		wg.Go(func() { notes[i] = write(ctx, name, time.Millisecond, w.front(0), w.front(1), w.front(2)) })
	}
	for i, gateway := range []int{0, 1, 0, 2} {
		server := w.servers[i%len(w.servers)]
		time.Sleep(200 * time.Millisecond)
		server.kill() // writes for it wait at the gateway that is killed next
		time.Sleep(300 * time.Millisecond)
		w.gateways[gateway].kill()
		time.Sleep(200 * time.Millisecond)
		server.start() // it is back before that gateway
		time.Sleep(300 * time.Millisecond)
		w.gateways[gateway].start()
		took := w.settle()
		t.Logf("killed %s and %s; all was whole %v after both were started again", server.name, w.gateways[gateway].name, took.Round(time.Millisecond))
	}
	cancel()
	wg.Wait()
	w.settle()
	var keys []string
	for _, n := range notes {
		t.Logf("writes: %v", n)
		keys = append(keys, n.keys...)
	}
	if len(keys) < 50 {
		t.Errorf("only %d writes were acknowledged", len(keys))
	}
	w.compare(keys)
}
