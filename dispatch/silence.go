package dispatch

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// silentAfter is how long a write may go without an answer before it is said. Most take
// milliseconds, and an index of many records minutes.
const silentAfter = 10 * time.Second

// silences are the writes to a server that have had no answer for so long. A server whose
// process was killed in the middle of a write may come back with a lock left: it answers
// everything but writes to what is locked, and these wait for ever.
type silences struct {
	log    *slog.Logger
	server string

	mu   sync.Mutex
	list map[*groonga.Command]silence
}

// silence is one of them.
type silence struct {
	what  string
	since time.Time
}

func (s silence) String() string {
	return fmt.Sprintf("%s has had no answer for %.0f s. A lock that a killed process has left is undone by lock_clear at the server; an index of many records takes its time",
		s.what, time.Since(s.since).Seconds())
}

// begin notes that a write is sent; the result, that it was answered or failed.
func (s *silences) begin(c *groonga.Command) (end func()) {
	if c.Kind() != groonga.Write {
		return func() {}
	}
	began := time.Now()
	timer := time.AfterFunc(silentAfter, func() {
		waits := silence{what: c.Name, since: began}
		for _, name := range []string{"table", "name", "target_name"} {
			if v := c.Get(name); v != "" {
				waits.what += " " + v
				break
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.list == nil {
			s.list = make(map[*groonga.Command]silence)
		}
		s.list[c] = waits
		s.log.Warn("a write waits at a server", "volume", s.server, "why", waits.String())
	})
	return func() {
		timer.Stop()
		s.mu.Lock()
		defer s.mu.Unlock()
		if waits, ok := s.list[c]; ok {
			delete(s.list, c)
			s.log.Info("the write at a server has ended", "volume", s.server, "write", waits.what, "after", time.Since(waits.since).Round(time.Second))
		}
	}
}

// fault is what waits longest; "" if nothing does.
func (s *silences) fault() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var longest silence
	for _, waits := range s.list { // order-free: the first one by time
		if longest.what == "" || waits.since.Before(longest.since) {
			longest = waits
		}
	}
	if longest.what == "" {
		return ""
	}
	return longest.String()
}
