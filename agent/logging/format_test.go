package logging

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/swim"
)

func TestLogAsJSON(t *testing.T) {
	var out bytes.Buffer
	l := New(&out, LevelInfo)
	l.SetFormat(LogJSON)
	lines, cancel := l.Watch(LevelInfo)
	defer cancel()
	l.Open()
	now := time.Unix(1700000000, 5)
	l.Logger().Info("agent: says \"it\"\nin two lines")
	l.Trace(now, &swim.Trace{Kind: swim.TraceSuspect, Level: swim.LevelInfo, Node: "a", Addr: netip.MustParseAddrPort("10.0.0.1:7946"), Incarnation: 3})
	l.Close()
	var got []Record
	for line := range strings.Lines(out.String()) {
		var r Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got = append(got, r)
	}
	if len(got) != 2 {
		t.Fatalf("%d lines: %s", len(got), out.String())
	}
	want := Record{Time: got[1].Time, Level: "INFO", Message: "memberlist: Suspect a has failed, no acks received", Kind: "suspect",
		Node: "a", Addr: "10.0.0.1:7946", Incarnation: 3}
	if got[1] != want || !got[1].Time.Equal(now) {
		t.Errorf("got %+v\nwant %+v", got[1], want)
	}
	if line := <-lines; !strings.Contains(line, "[INFO] agent: says") {
		t.Errorf("a watcher gets %q", line)
	}
}

// A log file is begun anew when it is full, and whoever moves it is followed.
func TestLogFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ibuki.log")
	w, err := File{Path: path, MaxMB: 1, MaxFiles: 2}.Open()
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 1023) + "\n")
	for range 2500 {
		if n, err := w.Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if old, err := filepath.Glob(filepath.Join(dir, "ibuki-*.log")); err != nil || len(old) == 0 {
		t.Errorf("no old file: %v", err)
	}
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := w.Reopen(); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte("new\n"))
	if got, err := os.ReadFile(path); err != nil || string(got) != "new\n" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	if err := w.Reopen(); err != nil {
		t.Fatal(err)
	}
	if _, err := (File{Path: filepath.Join(dir, "no", "such")}).Open(); err == nil {
		t.Error("a file in no folder can be opened")
	}
}

// fullDisk is full until it is not.
type fullDisk struct {
	bytes.Buffer
	full bool
}

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.full {
		return 0, os.ErrClosed
	}
	return d.Buffer.Write(b)
}
func (d *fullDisk) Close() error { return nil }

// A disk that is full loses lines, and is told of it when it has room again.
func TestLogFileOnAFullDisk(t *testing.T) {
	d := &fullDisk{full: true}
	w := &Writer{to: d}
	for range 3 {
		if n, err := w.Write([]byte("lost\n")); n != 5 || err != nil {
			t.Fatal(n, err)
		}
	}
	d.full = false
	_, _ = w.Write([]byte("kept\n"))
	if got := d.String(); !strings.HasPrefix(got, "(3 writes") || !strings.HasSuffix(got, ")\nkept\n") {
		t.Errorf("%q", got)
	}
}
