package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// jobLine is a line of a page by job, on which host it is tried, and what it prints.
type jobLine struct {
	line string
	host int
	want string
}

// jobLines are all calls of the program in blocks of a page, in their order.
func jobLines(t *testing.T, page string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if call, ok := strings.CutPrefix(line, "       ibuki "); ok { // of a block within a list
			lines = append(lines, strings.TrimSpace(call))
		}
	}
	return lines
}

// The pages by job are tried line by line, on hosts of their own.
func TestJobPages(t *testing.T) {
	t.Parallel()
	bin := buildIbuki(t)
	pages := []struct {
		page  string
		lines []jobLine
	}{
		{"not-failed.md", []jobLine{
			{"members", 1, "node1 192.168.100.51:7946 alive"},
			{"why node1", 0, "node1 is alive"},
			{"doctor", 1, "ok address node1 is at 192.168.100.51:7946"},
			{"join 192.168.100.50", 1, "Successfully joined cluster by contacting 1 nodes."},
		}},
		{"replace-a-host.md", []jobLine{
			{"leave", 1, "Graceful leave complete"},
			{"force-leave node1", 0, ""},
			{"agent -node=node1 -bind=192.168.100.61 -retry-join=192.168.100.50", 3, ""},
			{"members -name=node1", 0, "node1 192.168.100.61:7946 alive"},
			{"doctor", 0, "ok udp all live members answer over UDP"},
		}},
	}
	onQuietMachine(t, func(t *testing.T) string {
		w := newWhyNet(t, bin)
		if err := w.IP("-n", w.Host(3), "addr", "add", "192.168.100.61/24", "dev", "eth0"); err != nil {
			t.Fatal(err)
		}
		for _, p := range pages {
			lines := jobLines(t, p.page)
			if len(lines) != len(p.lines) {
				t.Fatalf("%s has the lines %q", p.page, lines)
			}
			for i, l := range p.lines {
				if lines[i] != l.line {
					t.Fatalf("%s: line %d is %q, tried is %q", p.page, i, lines[i], l.line)
				}
				if args := strings.Fields(l.line); args[0] == "agent" {
					w.retire(t, l.host)
					w.start(t, l.host, append(args[1:], "-retry-interval=1s")...)
				} else {
					w.tried(l.host, args, l.want)
				}
			}
		}
		return w.fault
	})
}

// retire ends the agent of a host, so that the host is a new one.
func (w *whyNet) retire(t *testing.T, i int) {
	t.Helper()
	w.run(i, "leave")
	_ = w.agents[i].Wait()
}

// tried runs a line until it succeeds and prints that.
func (w *whyNet) tried(i int, args []string, want string) {
	w.until("ibuki "+strings.Join(args, " "), func() string {
		out, err := exec.Command("ip", append([]string{"netns", "exec", w.Host(i), w.bin}, args...)...).CombinedOutput()
		flat := strings.Join(strings.Fields(string(out)), " ")
		if err != nil {
			return "! " + err.Error() + ": " + flat
		}
		return flat
	}, func(got string) bool { return !strings.HasPrefix(got, "!") && strings.Contains(got, want) })
}
