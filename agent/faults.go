package agent

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

const (
	// faultPause is how long a source is not named again.
	faultPause = time.Minute
	// maxFaultSources is how many sources are told apart at a time. Beyond it
	// they share one entry.
	maxFaultSources = 256
	// faultLines is how many lines all sources together may cause in a faultPause.
	faultLines = 32
)

// faults counts what came from outside and could not be used, by reason, and
// names each source at most once a minute.
type faults struct {
	logger *slog.Logger

	mu      sync.Mutex
	counts  map[string]uint64 // by kind and reason; both from small fixed sets
	sources map[faultSource]*faultEntry
	minute  time.Time // when lines was last set to 0
	lines   int
}

type faultSource struct {
	kind string
	addr netip.Addr // not valid: everybody beyond maxFaultSources
}

type faultEntry struct {
	named  time.Time
	unsaid int
}

func newFaults(logger *slog.Logger) *faults {
	return &faults{
		logger:  logger,
		counts:  make(map[string]uint64),
		sources: make(map[faultSource]*faultEntry),
	}
}

// note counts one fault. err says more than reason does, or is nil.
func (f *faults) note(kind, reason string, from netip.AddrPort, err error) {
	line := f.count(time.Now(), kind, reason, from)
	if line == "" {
		return
	}
	if err != nil {
		line += ": " + oneLine(err.Error())
	}
	f.logger.Warn(line)
}

// count returns the line to write, or "".
func (f *faults) count(now time.Time, kind, reason string, from netip.AddrPort) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[kind+" "+reason]++
	e := f.entry(now, faultSource{kind, from.Addr()})
	if now.Sub(f.minute) >= faultPause {
		f.minute, f.lines = now, 0
	}
	if now.Sub(e.named) < faultPause || f.lines >= faultLines {
		e.unsaid++
		return ""
	}
	f.lines++
	line := fmt.Sprintf("agent: bad %s (%s) from %v", kind, reason, from)
	if e.unsaid > 0 {
		line += fmt.Sprintf(", and %d more since it was named last", e.unsaid)
	}
	e.named, e.unsaid = now, 0
	return line
}

func (f *faults) entry(now time.Time, s faultSource) *faultEntry {
	e := f.sources[s]
	if e != nil {
		return e
	}
	if len(f.sources) >= maxFaultSources {
		for s, e := range f.sources { // order-free: all that are old go
			if now.Sub(e.named) >= faultPause {
				delete(f.sources, s)
			}
		}
	}
	if len(f.sources) >= maxFaultSources {
		s.addr = netip.Addr{}
		if e = f.sources[s]; e != nil {
			return e
		}
	}
	e = &faultEntry{}
	f.sources[s] = e
	return e
}

// total returns how many faults there were of a kind, whatever the reason, and
// all of them by kind and reason.
func (f *faults) snapshot() map[string]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[string]uint64, len(f.counts))
	for k, n := range f.counts { // order-free: copied into a map
		out[k] = n
	}
	return out
}

// Faults are the counters of what came from outside and could not be used, by
// kind and reason ("packet crc", "stream truncated").
func (a *Agent) Faults() map[string]uint64 { return a.faults.snapshot() }
