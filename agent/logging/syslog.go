package logging

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

const (
	// syslogLag is how many lines may wait for the system's log.
	syslogLag = 1024
	// syslogTag is what the lines are filed under: Serf's, so that what sorts a
	// host's log sorts ours.
	syslogTag = "serf"
	// defaultFacility is Serf's.
	defaultFacility = "LOCAL0"
)

// syslogFacilities are the names that syslog_facility takes, in the order of
// their numbers; "" is a number that has no name.
var syslogFacilities = strings.Split("KERN,USER,MAIL,DAEMON,AUTH,SYSLOG,LPR,NEWS,UUCP,CRON,AUTHPRIV,FTP,,,,,"+
	"LOCAL0,LOCAL1,LOCAL2,LOCAL3,LOCAL4,LOCAL5,LOCAL6,LOCAL7", ",")

// ParseFacility returns the facility's number. Empty is Serf's default.
func ParseFacility(name string) (int, error) {
	if name == "" {
		name = defaultFacility
	}
	for i, known := range syslogFacilities {
		if known != "" && strings.EqualFold(name, known) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("invalid syslog facility: %s", name)
}

// The severities of syslog.
const (
	severityError   = 3
	severityWarning = 4
	severityNotice  = 5
	severityInfo    = 6
	severityDebug   = 7
)

// syslogSeverity is where Serf files a level.
func syslogSeverity(l slog.Level) int {
	switch {
	case l < LevelDebug:
		return severityDebug
	case l < LevelInfo:
		return severityInfo
	case l < LevelWarn:
		return severityNotice
	case l < LevelError:
		return severityWarning
	}
	return severityError
}

// systemLog is a connection to the system's log; write may wait.
type systemLog interface {
	write(severity int, text string) error
	Close() error
}

// syslogLines feed a system log beside everything else. What it does not take in
// time is counted and told in one line.
type syslogLines struct {
	mu     sync.Mutex
	lines  chan syslogLine
	lost   int
	closed bool
	done   chan struct{} // closed when the writer has ended
}

type syslogLine struct {
	level slog.Level
	text  string
}

func startSyslog(to systemLog) *syslogLines {
	s := &syslogLines{lines: make(chan syslogLine, syslogLag), done: make(chan struct{})}
	go s.run(to)
	return s
}

func (s *syslogLines) run(to systemLog) {
	defer close(s.done)
	defer to.Close()
	for l := range s.lines {
		// A system log that went away is dialled again by the next line; there is
		// nobody to tell of this one.
		_ = to.write(syslogSeverity(l.level), l.text)
	}
}

// UseSyslog sends every line from now on that is printed to the host's syslog too,
// under a facility by its name. Once only.
func (l *Log) UseSyslog(facilityName string) error {
	facility, err := ParseFacility(facilityName)
	if err != nil {
		return err
	}
	to, err := openSyslog(facility)
	if err != nil {
		return fmt.Errorf("Syslog setup failed: %w", err)
	}
	l.addSyslog(to)
	return nil
}

// add hands a line on. It never waits.
func (s *syslogLines) add(level slog.Level, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.lost > 0 {
		lost := syslogLine{LevelWarn, fmt.Sprintf("agent: %d log lines were lost: syslog was too slow", s.lost)}
		select {
		case s.lines <- lost:
			s.lost = 0
		default:
		}
	}
	select {
	case s.lines <- syslogLine{level, text}:
	default:
		s.lost++
	}
}

// end closes the connection when what is there is written. It does not wait.
func (s *syslogLines) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.lines)
	}
}
