//go:build !windows && !plan9

package logging

import (
	"log/syslog"
)

// unixSyslog is the host's own syslog.
type unixSyslog struct{ w *syslog.Writer }

func openSyslog(facility int) (systemLog, error) {
	w, err := syslog.New(syslog.Priority(facility<<3|severityNotice), syslogTag)
	if err != nil {
		return nil, err
	}
	return unixSyslog{w}, nil
}

func (s unixSyslog) write(severity int, text string) error {
	switch severity {
	case severityDebug:
		return s.w.Debug(text)
	case severityInfo:
		return s.w.Info(text)
	case severityNotice:
		return s.w.Notice(text)
	case severityWarning:
		return s.w.Warning(text)
	}
	return s.w.Err(text)
}

func (s unixSyslog) Close() error { return s.w.Close() }
