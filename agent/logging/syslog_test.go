package logging

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// heardLog is a system log in memory.
type heardLog struct {
	mu     sync.Mutex
	lines  []string
	stuck  chan struct{} // not nil: write waits for it
	closed bool
}

func (h *heardLog) write(severity int, text string) error {
	if h.stuck != nil {
		<-h.stuck
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, fmt.Sprintf("%d %s", severity, text))
	return nil
}

func (h *heardLog) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	return nil
}

func TestSyslogGetsWhatIsPrinted(t *testing.T) {
	heard := &heardLog{}
	l := New(io.Discard, LevelInfo)
	l.addSyslog(heard)
	logger := l.Logger()
	logger.Debug("agent: below the level")
	logger.Info("agent: one")
	logger.Warn("agent: two")
	logger.Error("agent: three", "err", io.EOF)
	l.SetLevel(LevelTrace)
	logger.Debug("agent: four")
	l.Close()
	want := []string{"5 agent: one", "4 agent: two", "3 agent: three: EOF", "6 agent: four"}
	if !slices.Equal(heard.lines, want) || !heard.closed {
		t.Errorf("heard %q, closed %v, want %q", heard.lines, heard.closed, want)
	}
}

// A system log that does not take its lines holds up nobody, and hears of it.
func TestSyslogThatIsStuck(t *testing.T) {
	heard := &heardLog{stuck: make(chan struct{})}
	s := startSyslog(heard)
	for i := range syslogLag + 10 {
		s.add(LevelInfo, fmt.Sprint("line ", i))
	}
	close(heard.stuck)
	for end := time.Now().Add(10 * time.Second); len(s.lines) > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	s.add(LevelInfo, "after")
	s.end()
	<-s.done
	if n := len(heard.lines); n < 2 || heard.lines[n-1] != "5 after" || !strings.Contains(heard.lines[n-2], "log lines were lost") {
		t.Errorf("the last of %d lines: %q", n, heard.lines[max(0, n-2):])
	}
}

func TestSyslogFacilities(t *testing.T) {
	for name, want := range map[string]int{"": 16, "LOCAL0": 16, "local7": 23, "KERN": 0, "daemon": 3, "ftp": 11} {
		if got, err := ParseFacility(name); err != nil || got != want {
			t.Errorf("%q: %d, %v", name, got, err)
		}
	}
	for _, name := range []string{"LOCAL8", "x", " ", "16"} {
		if _, err := ParseFacility(name); err == nil || err.Error() != "invalid syslog facility: "+name {
			t.Errorf("%q: %v", name, err)
		}
	}
}
