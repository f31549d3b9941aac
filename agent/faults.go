package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/agent/logging"
	"github.com/ibuki-dev/ibuki/printable"
	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

const (
	// faultPause is how long a source is not named again.
	faultPause = time.Minute
	// maxFaultSources is how many sources are told apart at a time. Beyond it
	// they share one entry.
	maxFaultSources = 256
	// faultLines is how many lines all sources together may cause in a faultPause.
	faultLines = 32
	// coreFaultLines is the same for warnings and errors of the core.
	coreFaultLines = 256
	// coreFaultsEach is how many of those one source may cause for one reason.
	coreFaultsEach = 3
)

// faults counts what came from outside and could not be used, by reason, and
// names each source at most once a minute.
type faults struct {
	logger *slog.Logger

	mu     sync.Mutex
	counts map[string]uint64 // by kind and reason; both from small fixed sets
	named  limiter           // what the agent itself refuses
	core   limiter           // what the core complains of

	ledger ledger
}

type faultSource struct {
	kind  string
	trace swim.TraceKind
	addr  netip.Addr // not valid: everybody beyond maxFaultSources
}

// limiter says which lines may be written.
type limiter struct {
	each, all int // how many lines in a faultPause: of one source, of all

	sources map[faultSource]*faultEntry
	begun   time.Time // of the present faultPause
	lines   int
}

type faultEntry struct {
	begun  time.Time
	lines  int
	unsaid int
}

// admit reports whether a line about s may be written, and how many about it
// were not since the last one.
func (l *limiter) admit(now time.Time, s faultSource) (unsaid int, ok bool) {
	e := l.entry(now, s)
	if now.Sub(l.begun) >= faultPause {
		l.begun, l.lines = now, 0
	}
	if now.Sub(e.begun) >= faultPause {
		e.begun, e.lines = now, 0
	}
	if e.lines >= l.each || l.lines >= l.all {
		e.unsaid++
		return 0, false
	}
	e.lines++
	l.lines++
	unsaid, e.unsaid = e.unsaid, 0
	return unsaid, true
}

func (l *limiter) entry(now time.Time, s faultSource) *faultEntry {
	e := l.sources[s]
	if e != nil {
		return e
	}
	if len(l.sources) >= maxFaultSources {
		for s, e := range l.sources { // order-free: all that are old go
			if now.Sub(e.begun) >= faultPause {
				delete(l.sources, s)
			}
		}
	}
	if len(l.sources) >= maxFaultSources {
		s.addr = netip.Addr{}
		if e = l.sources[s]; e != nil {
			return e
		}
	}
	e = &faultEntry{}
	l.sources[s] = e
	return e
}

func newFaults(logger *slog.Logger) *faults {
	return &faults{
		logger: logger,
		counts: make(map[string]uint64),
		named:  limiter{each: 1, all: faultLines, sources: make(map[faultSource]*faultEntry)},
		core:   limiter{each: coreFaultsEach, all: coreFaultLines, sources: make(map[faultSource]*faultEntry)},
	}
}

// note counts one fault. err says more than reason does, or is nil.
func (f *faults) note(kind, reason string, from netip.AddrPort, err error) {
	now := time.Now()
	if k, ok := unusable(kind, reason, from); ok {
		text := ""
		if err != nil {
			text = err.Error()
		}
		f.ledger.add(now, k, text)
	}
	line := f.count(now, kind, reason, from)
	if line == "" {
		return
	}
	if err != nil {
		line += ": " + printable.Line(plainError{err}.Error())
	}
	f.logger.Warn(line)
}

// plainError is an error of the protocol in an operator's words: what Serf says, and the cure.
type plainError struct{ error }

// curable are the faults that an operator can mend.
var curable = []struct {
	err  error
	text string
}{
	{wire.ErrDecrypt, "no installed keys could decrypt the message: the other agent has another key (-encrypt, -keyring-file)"},
	{wire.ErrNotEncrypted, "encryption is configured but remote state is not encrypted: the other agent has no key (-encrypt, -keyring-file)"},
	{wire.ErrUnexpectedEncryption, "remote state is encrypted and encryption is not configured: this agent needs the cluster's key (-encrypt, -keyring-file)"},
	{wire.ErrLabel, "the other agent has another label (-cluster-label)"},
}

func (e plainError) Error() string {
	for _, c := range curable {
		if errors.Is(e.error, c.err) {
			return c.text
		}
	}
	return strings.ReplaceAll(e.error.Error(), "wire: ", "")
}

func (e plainError) Unwrap() error { return e.error }

// count returns the line to write, or "".
func (f *faults) count(now time.Time, kind, reason string, from netip.AddrPort) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[kind+" "+reason]++
	unsaid, ok := f.named.admit(now, faultSource{kind: kind, addr: from.Addr()})
	if !ok {
		return ""
	}
	line := fmt.Sprintf("agent: bad %s (%s)", kind, reason)
	if from.IsValid() {
		line += fmt.Sprintf(" from %v", from)
	}
	if unsaid > 0 {
		line += fmt.Sprintf(", and %d more since it was named last", unsaid)
	}
	return line
}

// admitTrace reports whether a record of the core is to be logged. Warnings and
// errors are often about what came from outside, at whatever rate it came.
func (f *faults) admitTrace(now time.Time, t *swim.Trace) bool {
	if t.Level < swim.LevelWarn {
		return true
	}
	f.mu.Lock()
	unsaid, ok := f.core.admit(now, faultSource{trace: t.Kind, addr: t.Addr.Addr()})
	f.mu.Unlock()
	if ok && unsaid > 0 {
		f.logger.Warn(fmt.Sprintf("agent: lines like the next one that were not logged: %d", unsaid))
	}
	return ok
}

// logged is a logger that writes the same warning or error at most coreFaultsEach
// times a minute, whatever its attributes: for a server that reports each client.
func (f *faults) logged() *slog.Logger {
	return slog.New(&limitedHandler{Handler: f.logger.Handler(), faults: f})
}

type limitedHandler struct {
	slog.Handler
	faults *faults
}

func (h *limitedHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= logging.LevelWarn {
		h.faults.mu.Lock()
		unsaid, ok := h.faults.core.admit(r.Time, faultSource{kind: r.Message})
		h.faults.mu.Unlock()
		if !ok {
			return nil
		}
		if unsaid > 0 {
			r.AddAttrs(slog.Int("and_before", unsaid))
		}
	}
	return h.Handler.Handle(ctx, r)
}

// snapshot is a copy of the counters.
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
