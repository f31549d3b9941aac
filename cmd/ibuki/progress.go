package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/terminal"
)

// progressPatience is how long nothing is said before progress is shown.
const progressPatience = time.Second

// progress is one line on a terminal that says how far something is that takes longer than a
// second. It is on stderr, so that the output stays Serf's; where stderr is no terminal
// there is none.
type progress struct {
	e     *env
	text  string // what is before the time
	begun time.Time
	mu    sync.Mutex
	on    bool // the line is shown
	end   chan struct{}
	done  sync.WaitGroup
}

// showProgress begins to show progress when it has taken progressPatience. The text
// is what the line says first.
func (e *env) showProgress(format string, args ...any) *progress {
	p := &progress{e: e, text: fmt.Sprintf(format, args...), begun: time.Now(), end: make(chan struct{})}
	if terminal.Is(e.stderr) {
		p.done.Go(p.run)
	}
	return p
}

func (p *progress) run() {
	tick := time.NewTicker(progressPatience)
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
func (p *progress) draw() {
	fmt.Fprintf(p.e.stderr, "\r\x1b[K%s, %.0f s", p.text, time.Since(p.begun).Seconds())
}

// pause takes the line away so that something can be printed, until resume.
func (p *progress) pause() {
	p.mu.Lock()
	if p.on {
		fmt.Fprint(p.e.stderr, "\r\x1b[K")
	}
}

// resume shows the line again, with another text.
func (p *progress) resume(format string, args ...any) {
	p.text = fmt.Sprintf(format, args...)
	if p.on {
		p.draw()
	}
	p.mu.Unlock()
}

// stop takes the line away for good.
func (p *progress) stop() {
	close(p.end)
	p.done.Wait()
	p.pause()
	p.on = false
	p.mu.Unlock()
}
