package livefile

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/live"
)

// TestFragmentsAreAccepted gives what is written to the programs that it is for.
func TestFragmentsAreAccepted(t *testing.T) {
	nodes := says(node("10.0.0.1:10031/droonga", live.Alive), node("a b\n}", live.Alive), node("c", live.Failed))
	for _, test := range []struct {
		program, format, around string
		args                    []string
	}{
		{"haproxy", live.FormatHAProxy, "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nfrontend f\n  bind 127.12.0.1:1\n  default_backend ibuki\n", []string{"-c", "-f", "AROUND", "-f", "LIST"}},
		{"nginx", live.FormatNginx, "pid PID;\nerror_log stderr;\nevents {}\nhttp { include LIST; server { listen 127.12.0.1:1; location / { proxy_pass http://ibuki; } } }\n",
			[]string{"-t", "-q", "-c", "AROUND"}},
	} {
		t.Run(test.program, func(t *testing.T) {
			program, err := exec.LookPath(test.program)
			if err != nil {
				t.Skip("no program: ", err)
			}
			f := target(t, test.format)
			f.Port = 8080
			f.mustUpdate(t, Order{}, nodes)
			check(t, program, f, test.around, test.args)
			f.mustUpdate(t, Order{}, says(node("c", live.Failed))) // nobody is alive
			check(t, program, f, test.around, test.args)
		})
	}
}

// check runs a program's check of its configuration.
func check(t *testing.T, program string, f *Target, around string, args []string) {
	t.Helper()
	dir := filepath.Dir(f.Path)
	config := filepath.Join(dir, "around.cfg")
	words := strings.NewReplacer("AROUND", config, "LIST", f.Path, "PID", filepath.Join(dir, "pid"))
	if err := os.WriteFile(config, []byte(words.Replace(around)), 0o644); err != nil {
		t.Fatal(err)
	}
	var real []string
	for _, a := range args {
		real = append(real, words.Replace(a))
	}
	cmd := exec.Command(program, real...)
	if out, err := cmd.CombinedOutput(); err != nil {
		list, _ := os.ReadFile(f.Path)
		t.Errorf("%s: %v\n%s\n%s", program, err, out, list)
	}
}
