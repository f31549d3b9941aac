package sim

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestScripts plays testdata/*.txt and compares the transcripts. Each command
// line may be followed by more before the ----; they are played together.
// `go test ./sim -run TestScripts -rewrite` writes the transcripts anew: read
// the difference before you believe it.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		file, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(file, []byte("# ")) {
			t.Errorf("%s does not begin with the rule that it shows (%v)", path, err)
		}
		var s Script
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out, err := s.Run(d.FullCmd() + "\n" + d.Input)
			if err != nil {
				out += "error: " + err.Error() + "\n"
				if s.c != nil && s.c.failed != nil {
					t.Errorf("%s: %v", d.Pos, err)
				}
			}
			if out == "" {
				return "ok"
			}
			return out
		})
	})
}

// TestScriptMisuse: a wrong command is refused with its usage, and does nothing.
func TestScriptMisuse(t *testing.T) {
	for _, line := range []string{
		"members a", "nodes", "nodes x", "nodes 2 profile=moon",
		"nodes 2\njump a", "nodes 2\nadvance", "nodes 2\nadvance soon", "nodes 2\njoin a",
		"nodes 2\njoin a z", "nodes 2\ndrop a b", "nodes 2\nlink a->b loss=much", "nodes 2\nnodes 2",
		"nodes 2\ntrace everything", "nodes 2\nquery a q relay=1000", "nodes 2\nadd a",
	} {
		var s Script
		if out, err := s.Run(line); err == nil {
			t.Errorf("%q is taken, and prints %q", line, out)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error has more than one line: %v", line, err)
		}
	}
}

// TestPlay: a script file that is played gives itself, and so does one without
// its transcripts.
func TestPlay(t *testing.T) {
	for _, name := range []string{"testdata/join.txt", "testdata/force_leave.txt"} {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var out, again strings.Builder
		if err := Play(bytes.NewReader(file), &out); err != nil {
			t.Fatal(err)
		}
		if out.String() != string(file) {
			t.Errorf("%s comes out otherwise:\n%s", name, out.String())
		}
		bare := regexp.MustCompile(`(?m)^----\n(.+\n)*`).ReplaceAllString(string(file), "")
		if err := Play(strings.NewReader(bare), &again); err != nil {
			t.Fatal(err)
		}
		if again.String() != string(file) {
			t.Errorf("%s comes out otherwise without its transcripts:\n%s", name, again.String())
		}
	}
	if err := Play(strings.NewReader("nodes 1\njump a"), io.Discard); err == nil {
		t.Error("a wrong command is played")
	}
}
