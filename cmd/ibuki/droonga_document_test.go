//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/lab"
	"github.com/ibuki-dev/ibuki/netns"
)

// documentStep is one command of a document and what it is to print.
type documentStep struct {
	line    int
	host    string // "node0", "all"
	command string
	output  string
}

// documentSteps reads the console blocks of a document.
func documentSteps(t *testing.T, file string) []documentStep {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	prompt := regexp.MustCompile(`^(node\d|all)[$#] (.*)$`)
	var steps []documentStep
	inside, number := false, 0
	for l := range strings.Lines(string(text)) {
		number++
		l = strings.TrimRight(l, "\n")
		switch {
		case strings.HasPrefix(l, "```"):
			inside = l == "```console"
		case !inside:
		case prompt.MatchString(l):
			m := prompt.FindStringSubmatch(l)
			steps = append(steps, documentStep{line: number, host: m[1], command: m[2]})
		default:
			steps[len(steps)-1].output += l + "\n"
		}
	}
	return steps
}

// matches compares an output with the document's, in which … is anything.
func (s *documentStep) matches(output string) bool {
	parts := strings.Split(strings.TrimSpace(s.output), "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	want := regexp.MustCompile(`(?s)\A` + strings.Join(parts, `.*?`) + `\z`)
	return want.MatchString(strings.TrimSpace(output))
}

// again reports whether the command only looks, so that it can be given until
// what it shows is there.
func (s *documentStep) again() bool {
	return strings.HasPrefix(s.command, "curl -s '") && strings.Contains(s.command, "/select?") ||
		strings.HasPrefix(s.command, "curl -s http") || strings.HasPrefix(s.command, "ibuki members") || strings.HasPrefix(s.command, "cat ")
}

// documentHost is a shell on one host.
type documentHost struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
}

// newDocumentHost opens a shell in a namespace, where /srv and /etc/hosts are the
// host's own, and node names are known.
func newDocumentHost(t *testing.T, namespace, root, hosts, path, mark string) *documentHost {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", namespace, "sh", "-c",
		`mount --bind "$1" /srv && mount --bind "$2" /etc/hosts && exec sh`, "sh", root, hosts)
	cmd.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"), lab.MarkEnv+"="+mark, "no_proxy=*")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &documentHost{t, in, bufio.NewReader(out)}
}

const documentEnd = "--- end of the output ---"

// run gives the shell a command and returns what it prints.
func (h *documentHost) run(command string) string {
	h.t.Helper()
	if _, err := fmt.Fprintf(h.in, "%s\necho; echo '%s'\n", command, documentEnd); err != nil {
		h.t.Fatal(err)
	}
	var output strings.Builder
	for {
		line, err := h.out.ReadString('\n')
		if err != nil {
			h.t.Fatalf("the shell ends: %v\n%s", err, output.String())
		}
		if strings.TrimSpace(line) == documentEnd {
			return output.String()
		}
		output.WriteString(line)
	}
}

// TestDroongaDocument plays docs/droonga.md: three hosts, from nothing to a
// searching cluster, and each of its failures.
func TestDroongaDocument(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster of real processes")
	}
	for _, program := range []string{"groonga", "curl", "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s on the PATH (Debian: groonga-bin, curl, mount)", program)
		}
	}
	t.Parallel()
	network := netns.New(t, 3)
	path, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(buildIbuki(t), filepath.Join(path, "ibuki")); err != nil {
		t.Fatal(err)
	}
	names := "127.0.0.1 localhost\n"
	for i := range 3 {
		names += fmt.Sprintf("192.168.100.%d node%d\n", 50+i, i)
	}
	hostsFile := filepath.Join(dir, "hosts")
	if err := os.WriteFile(hostsFile, []byte(names), 0o644); err != nil {
		t.Fatal(err)
	}
	mark := fmt.Sprintf("document-%d-%d", os.Getpid(), time.Now().UnixNano())
	t.Cleanup(func() { lab.Sweep(mark, nil) })
	hosts := map[string]*documentHost{}
	for i := range 3 {
		name := fmt.Sprintf("node%d", i)
		root := filepath.Join(dir, name)
		if err := os.Mkdir(root, 0o755); err != nil {
			t.Fatal(err)
		}
		hosts[name] = newDocumentHost(t, network.Host(i), root, hostsFile, path, mark)
	}
	for _, s := range documentSteps(t, "../../docs/droonga.md") {
		for _, name := range []string{"node0", "node1", "node2"} {
			if (s.host == name || s.host == "all") && !t.Failed() {
				playStep(t, hosts[name], name, &s)
			}
		}
		if t.Failed() {
			for _, name := range []string{"node0", "node1", "node2"} {
				t.Logf("%s: %s", name, hosts[name].run("tail -n 15 /srv/search/gateway.log /srv/search/agent.log"))
			}
			return
		}
	}
}

// playStep gives one command to one host and compares what it prints.
func playStep(t *testing.T, h *documentHost, name string, s *documentStep) {
	t.Helper()
	began := time.Now()
	for {
		output := h.run(s.command)
		if pid, ok := strings.CutPrefix(s.command, "kill -9 "); ok {
			// On a busy machine it takes a while, and files are closed by the last of the threads.
			h.run(`while [ "$(ls /proc/` + pid + `/task 2>/dev/null | wc -l)" -gt 1 ] || [ -n "$(ls /proc/` + pid + `/fd 2>/dev/null)" ]; do sleep 0.01; done`)
		}
		if s.matches(output) {
			t.Logf("%5.1fs %s$ %s", time.Since(began).Seconds(), name, s.command)
			return
		}
		if !s.again() || time.Since(began) > 30*time.Second {
			t.Errorf("docs/droonga.md, line %d, after %.1fs: %s$ %s\nprints\n%s\nnot\n%s", s.line, time.Since(began).Seconds(), name, s.command, output, s.output)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}
