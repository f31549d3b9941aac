// Package logging is the agent's log: lines as Serf prints them, or JSON; on standard
// output, in a file that is rotated, in syslog, and for those who watch it. Nobody who
// writes a line waits for whoever reads it.
package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/printable"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
)

// The log levels as slog has them; Serf's names are in levelName.
const (
	LevelTrace = slog.LevelDebug - 4
	LevelDebug = slog.LevelDebug
	LevelInfo  = slog.LevelInfo
	LevelWarn  = slog.LevelWarn
	LevelError = slog.LevelError
)

const (
	recentLines = 512  // kept for those who start to watch the log
	monitorLag  = 512  // lines that a watcher may be behind, on top of those
	printLag    = 4096 // lines that wait for standard output
)

// LevelNames are the levels that -log-level takes, lowest first.
var LevelNames = []string{"TRACE", "DEBUG", "INFO", "WARN", "ERR"}

// ParseLevel reads one of LevelNames, in either case.
func ParseLevel(s string) (slog.Level, error) {
	switch strings.ToUpper(s) {
	case "TRACE":
		return LevelTrace, nil
	case "DEBUG":
		return LevelDebug, nil
	case "INFO":
		return LevelInfo, nil
	case "WARN":
		return LevelWarn, nil
	case "ERR":
		return LevelError, nil
	}
	return 0, fmt.Errorf("Invalid log level: %s. Valid log levels are: %v", strings.ToUpper(s), LevelNames)
}

func levelName(l slog.Level) string {
	switch {
	case l < LevelDebug:
		return "TRACE"
	case l < LevelInfo:
		return "DEBUG"
	case l < LevelWarn:
		return "INFO"
	case l < LevelError:
		return "WARN"
	}
	return "ERR"
}

// Log is the agent's log: lines as Serf writes them, the recent ones kept for
// `monitor`, live ones for any number of watchers. Nothing that it is asked to
// do waits for the output or for a watcher: what cannot be taken is
// counted and reported in one line.
//
// Records of the core are kept as they are and made into text only for somebody
// who reads them, because most are below the level that is printed.
type Log struct {
	mu       sync.Mutex
	level    slog.Level
	format   Format
	ring     [recentLines]record
	next     int // where the next record goes
	watchers []*watcher
	unsaid   int          // lines that the output did not take
	syslog   *syslogLines // nil: none
	closed   bool

	lines chan string
	open  chan struct{} // closed by Open
	never chan struct{} // closed by Close
	once  sync.Once
	done  chan struct{} // closed when the printer has ended
}

// record is one line, as text or as what it is rendered from.
type record struct {
	at    time.Time
	level slog.Level
	text  string
	core  bool // trace instead of text
	trace swim.Trace
}

// line is the record as Serf prints it, without an end of line.
func (r *record) line() string {
	return r.at.Format("2006/01/02 15:04:05") + " [" + levelName(r.level) + "] " + r.message()
}

// message is the line without time and level.
func (r *record) message() string {
	text := r.text
	if r.core {
		text = printable.Line(serf.Render(r.trace))
	}
	return strings.TrimSuffix(text, "\n")
}

type watcher struct {
	level slog.Level
	ch    chan string
}

// New returns a log that prints lines of at least level to out, each behind
// four spaces, but only from Open on.
func New(out io.Writer, level slog.Level) *Log {
	l := &Log{
		level: level,
		lines: make(chan string, printLag),
		open:  make(chan struct{}),
		never: make(chan struct{}),
		done:  make(chan struct{}),
	}
	go l.print(out)
	return l
}

// print writes lines until Close. Only it touches out, which may block.
func (l *Log) print(out io.Writer) {
	defer close(l.done)
	select {
	case <-l.open:
	case <-l.never:
		return
	}
	l.mu.Lock()
	prefix := l.format.prefix()
	l.mu.Unlock()
	buf := make([]byte, 0, 4096)
	for line := range l.lines {
		buf = append(buf[:0], prefix...)
		buf = append(append(buf, line...), '\n')
		// As many as are there in one write, but not without an end.
		for n := len(l.lines); n > 0 && len(buf) < 32<<10; n-- {
			buf = append(buf, prefix...)
			buf = append(append(buf, <-l.lines...), '\n')
		}
		if _, err := out.Write(buf); err != nil {
			for range l.lines { // nobody reads any more
			}
			return
		}
	}
}

// Open lets the lines out, those first that came before.
func (l *Log) Open() { l.once.Do(func() { close(l.open) }) }

// Close ends the log. It waits at most a second for the output to take what
// was said. If Open was not called, nothing is printed.
func (l *Log) Close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	close(l.lines)
	for _, w := range l.watchers {
		close(w.ch)
	}
	l.watchers = nil
	if l.syslog != nil {
		l.syslog.end()
	}
	l.mu.Unlock()
	select {
	case <-l.open:
	default:
		close(l.never)
	}
	soon, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	select {
	case <-l.done:
	case <-soon.Done():
	}
	if l.syslog == nil {
		return
	}
	select {
	case <-l.syslog.done:
	case <-soon.Done():
	}
}

// addSyslog sends every line from now on that is printed to a system log too. It
// belongs to the log from then on; once only.
func (l *Log) addSyslog(to systemLog) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.syslog = startSyslog(to)
}

// SetLevel changes from which level on lines are printed.
func (l *Log) SetLevel(level slog.Level) {
	l.mu.Lock()
	l.level = level
	l.mu.Unlock()
}

// Trace takes a record of the core.
func (l *Log) Trace(now time.Time, t *swim.Trace) {
	l.add(record{at: now, level: traceLevel(t.Level), core: true, trace: *t})
}

func traceLevel(l swim.TraceLevel) slog.Level {
	switch l {
	case swim.LevelTrace:
		return LevelTrace
	case swim.LevelDebug:
		return LevelDebug
	case swim.LevelInfo:
		return LevelInfo
	case swim.LevelWarn:
		return LevelWarn
	}
	return LevelError
}

// add keeps, prints and passes on one record.
func (l *Log) add(r record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.ring[l.next%recentLines] = r
	l.next++
	line := ""
	if r.level >= l.level {
		line = r.line()
		l.say(r.at, l.printed(&r, line))
		if l.syslog != nil {
			l.syslog.add(r.level, r.message())
		}
	}
	for i := 0; i < len(l.watchers); i++ {
		w := l.watchers[i]
		if r.level < w.level {
			continue
		}
		if line == "" {
			line = r.line()
		}
		select {
		case w.ch <- line:
		default: // too slow: it is told by the closed channel
			close(w.ch)
			l.watchers = append(l.watchers[:i], l.watchers[i+1:]...)
			i--
		}
	}
}

// say hands a line to the printer. The caller holds mu.
func (l *Log) say(at time.Time, line string) {
	if l.unsaid > 0 {
		r := record{at: at, level: LevelWarn, text: fmt.Sprintf("agent: %d log lines were lost: the output was too slow", l.unsaid)}
		select {
		case l.lines <- l.printed(&r, r.line()):
			l.unsaid = 0
		default:
		}
	}
	select {
	case l.lines <- line:
	default:
		l.unsaid++
	}
}

// Watch delivers lines of at least level, the recent ones first. The channel is
// closed by cancel, when the log ends, or when the reader is too slow.
func (l *Log) Watch(level slog.Level) (lines <-chan string, cancel func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &watcher{level: level, ch: make(chan string, recentLines+monitorLag)}
	if l.closed {
		close(w.ch)
		return w.ch, func() {}
	}
	for i := max(0, l.next-recentLines); i < l.next; i++ {
		if r := &l.ring[i%recentLines]; r.level >= level {
			w.ch <- r.line()
		}
	}
	l.watchers = append(l.watchers, w)
	return w.ch, func() { l.unwatch(w) }
}

func (l *Log) unwatch(w *watcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, other := range l.watchers {
		if other == w {
			l.watchers = append(l.watchers[:i], l.watchers[i+1:]...)
			close(w.ch)
			return
		}
	}
}

// Logger returns a slog.Logger that writes here. Attributes follow the message
// as Serf would have written them: those named err, client or addr behind a colon,
// others as key=value.
func (l *Log) Logger() *slog.Logger { return slog.New(&slogHandler{log: l}) }

type slogHandler struct {
	log   *Log
	attrs []slog.Attr
}

// Enabled is always true: what is not printed is still kept for watchers.
func (h *slogHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *slogHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	write := func(a slog.Attr) bool {
		switch a.Key {
		case "err", "client", "addr":
			b.WriteString(": ")
		default:
			b.WriteString(" " + a.Key + "=")
		}
		b.WriteString(a.Value.String())
		return true
	}
	for _, a := range h.attrs {
		write(a)
	}
	r.Attrs(write)
	h.log.add(record{at: r.Time, level: r.Level, text: b.String()})
	return nil
}

func (h *slogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &slogHandler{log: h.log, attrs: append(append([]slog.Attr(nil), h.attrs...), attrs...)}
}

// WithGroup is not used by the agent: Serf's lines have no groups.
func (h *slogHandler) WithGroup(string) slog.Handler { return h }
