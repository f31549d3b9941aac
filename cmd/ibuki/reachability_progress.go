package main

import (
	"fmt"
	"sync"
	"time"
)

// reachProgress is one line on a terminal that says how far the test is. It is on stderr, so
// that the output stays Serf's; where stderr is no terminal there is none.
type reachProgress struct {
	t    *reachTest
	mu   sync.Mutex
	acks int
	on   bool // the line is shown
	end  chan struct{}
	done sync.WaitGroup
}

// showProgress begins to show progress when the test has taken reachPatience.
func (t *reachTest) showProgress() *reachProgress {
	p := &reachProgress{t: t, end: make(chan struct{})}
	if isTerminal(t.stderr) {
		p.done.Go(p.run)
	}
	return p
}

func (p *reachProgress) run() {
	tick := time.NewTicker(reachPatience)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.mu.Lock()
			p.on = true
			p.draw()
			p.mu.Unlock()
		case <-p.end:
			return
		}
	}
}

// draw: the caller holds mu.
func (p *reachProgress) draw() {
	fmt.Fprintf(p.t.stderr, "\r\x1b[K%d of %d have answered, %.0f s",
		p.acks, len(p.t.live), time.Since(p.t.begun).Seconds())
}

// pause takes the line away so that something can be printed, until resume.
func (p *reachProgress) pause() {
	p.mu.Lock()
	if p.on {
		fmt.Fprint(p.t.stderr, "\r\x1b[K")
	}
}

func (p *reachProgress) resume(acks int) {
	p.acks = acks
	if p.on {
		p.draw()
	}
	p.mu.Unlock()
}

// stop takes the line away for good.
func (p *reachProgress) stop() {
	close(p.end)
	p.done.Wait()
	p.pause()
	p.on = false
	p.mu.Unlock()
}
