package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/writelog/member"
)

// The check of a log says what it has, and where it is damaged.
func TestCheckOfALog(t *testing.T) {
	dir := t.TempDir()
	m, err := member.Open(member.Config{Dir: dir, Name: "alone"})
	if err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); m.View().Leader == "" && time.Since(begun) < time.Minute; time.Sleep(time.Millisecond) {
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	check := func() (string, int) {
		var out bytes.Buffer
		e := &env{name: "ibuki", stdout: &out, stderr: &out}
		code := checkLog(e, dir)
		return out.String(), code
	}
	if out, code := check(); code != 0 || !strings.Contains(out, "intact: entries 2 to 2") {
		t.Errorf("exit code %d, %s", code, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "0*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2]++
	if err := os.WriteFile(files[0], text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := check(); code != 1 || !strings.Contains(out, "DAMAGED: ") || !strings.Contains(out, "joins as a new member") {
		t.Errorf("exit code %d, %s", code, out)
	}
}
