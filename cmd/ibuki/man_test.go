package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// All manual pages are such that a formatter has nothing to say about them, and
// they show every flag.
func TestManualPages(t *testing.T) {
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("there is no mandoc")
	}
	dir := t.TempDir()
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	e := &env{name: "ibuki", all: commands, cmd: manCommand, stdout: new(bytes.Buffer), stderr: new(bytes.Buffer)}
	if code := runMan(e, []string{"-dir", dir}); code != 0 {
		t.Fatalf("exit code %d: %s", code, e.stdout)
	}
	for _, c := range append([]*command{{name: ""}}, listedCommands()...) {
		path := filepath.Join(dir, strings.TrimSuffix("ibuki-"+c.name, "-")+".1")
		if out, err := exec.Command(mandoc, "-Tlint", "-Wwarning", path).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		page, err := exec.Command(mandoc, "-Tascii", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		text := bareText(page)
		for _, o := range options(c.help) {
			if !strings.Contains(text, "-"+o.name) {
				t.Errorf("%s does not show -%s", path, o.name)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "ibuki-agent.1")); err != nil {
		t.Error(err)
	}
}

// bareText takes out what makes text bold on a printer.
func bareText(page []byte) string {
	var out []byte
	for _, b := range page {
		if b == '\b' {
			out = out[:max(0, len(out)-1)]
			continue
		}
		out = append(out, b)
	}
	return string(out)
}

func TestManRefuses(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"nosuch"}, `There is no command "nosuch".`},
		{[]string{"agent", "join"}, "Name one command."},
		{[]string{"-dir", "x", "agent"}, "With -dir all pages are written"},
		{[]string{"-dir", filepath.Join(t.TempDir(), "nosuch")}, "Cannot write the manual"},
	} {
		var out bytes.Buffer
		e := &env{name: "ibuki", all: commands, cmd: manCommand, stdout: &out, stderr: &out}
		if code := runMan(e, c.args); code != 1 || !strings.Contains(out.String(), c.want) {
			t.Errorf("man %q: exit code %d, %q; want %q", c.args, code, out.String(), c.want)
		}
	}
}
