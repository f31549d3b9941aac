//go:build !windows && !plan9

package logging

import (
	"log/syslog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What arrives at a host's syslog: facility and severity in front, our name, and
// the line without time and level.
func TestSyslogOnTheWire(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	server, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Skip("needs datagram sockets in the file system: ", err)
	}
	defer server.Close()
	facility, err := ParseFacility("local3")
	if err != nil {
		t.Fatal(err)
	}
	w, err := syslog.Dial("unixgram", path, syslog.Priority(facility<<3|severityNotice), syslogTag)
	if err != nil {
		t.Fatal(err)
	}
	to := unixSyslog{w}
	defer to.Close()
	buf := make([]byte, 1024)
	for severity, front := range map[int]string{ // local3 is 19
		severityDebug: "<159>", severityInfo: "<158>", severityNotice: "<157>", severityWarning: "<156>", severityError: "<155>",
	} {
		if err := to.write(severity, "agent: hello"); err != nil {
			t.Fatal(err)
		}
		_ = server.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, _, err := server.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.TrimSuffix(string(buf[:n]), "\n")
		if !strings.HasPrefix(got, front) || !strings.Contains(got, " serf[") || !strings.HasSuffix(got, ": agent: hello") {
			t.Errorf("severity %d: %q, want %s… serf[PID]: agent: hello", severity, got, front)
		}
	}
}
