package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/logtest"
)

// serfOnPath is the real program, if it is installed. It is looked up before
// testscript puts this program on the PATH under that name.
var serfOnPath, _ = exec.LookPath("serf")

// eachSerf runs a test with each real program that there is.
func eachSerf(t *testing.T, test func(t *testing.T, serf string)) {
	programs := map[string]string{
		"newest": cmp.Or(os.Getenv("IBUKI_SERF"), serfOnPath),
		"old":    os.Getenv("IBUKI_SERF_OLD"),
	}
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			if program == "" {
				t.Skip("no real serf: neither IBUKI_SERF / IBUKI_SERF_OLD nor serf on PATH")
			}
			test(t, program)
		})
	}
}

// shot is what a run of a program showed.
type shot struct {
	stdout, stderr string
	code           int
}

// shoot runs a program; "serf" is this one.
func shoot(t *testing.T, program string, args ...string) shot {
	t.Helper()
	var out, fault bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdout, cmd.Stderr = &out, &fault
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return shot{out.String(), fault.String(), cmd.ProcessState.ExitCode()}
}

// A comparison is one command line for both programs.
type comparison struct {
	args     []string
	anyOrder bool // the real program's order of lines is random
}

func words(line string) comparison { return comparison{args: strings.Fields(line)} }

func wordsAnyOrder(line string) comparison {
	return comparison{args: strings.Fields(line), anyOrder: true}
}

// compare runs both and compares all that they show; after is called after each.
func (c comparison) compare(t *testing.T, serf, addr string, after func(program string)) {
	t.Helper()
	args := slices.Insert(slices.Clone(c.args), 1, "-rpc-addr="+addr)
	theirs := shoot(t, serf, args...)
	after(serf)
	ours := shoot(t, "serf", args...)
	after("serf")
	for _, s := range []*shot{&theirs, &ours} {
		s.stdout = normalOutput(s.stdout, c.anyOrder)
	}
	if ours != theirs {
		t.Errorf("%q:\n%+v\nthe real one:\n%+v", c.args, ours, theirs)
	}
}

var goroutines = regexp.MustCompile(`("?goroutines"?(?: =|:) "?)\d+`)

// normalOutput takes out what is random: the order of lists, where it is, and
// the number of goroutines.
func normalOutput(out string, anyOrder bool) string {
	out = goroutines.ReplaceAllString(out, "${1}N")
	if !anyOrder {
		return out
	}
	var v any
	if json.Unmarshal([]byte(out), &v) == nil {
		sortLists(v)
		b, _ := json.MarshalIndent(v, "", "  ")
		return string(b) + "\n"
	}
	lines := strings.Split(out, "\n")
	for i := range lines {
		// The last line has lost the spaces that fill an empty last column.
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func sortLists(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v { // order-free: each by itself
			sortLists(e)
		}
	case []any:
		slices.SortFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		for _, e := range v {
			sortLists(e)
		}
	}
}

// comparisons do not depend on what the agent is.
var comparisons = []comparison{
	wordsAnyOrder("members"),
	wordsAnyOrder("members --detailed"),
	wordsAnyOrder("members -format=json"),
	wordsAnyOrder("members -format json -status alive"),
	words("members -status=nosuch"),
	words("members -status=nosuch -format=json"),
	words("members -name=n1"),
	words("members -role=web"),
	words("members -tag role=w.* -format=json"),
	words("members -tag role"),
	words("members -format=xml"),
	wordsAnyOrder("members extra arguments -name=ignored"),
	words("info"),
	words("info -format=json"),
	words("info -format=xml"),
	words("event deploy"),
	words("event -coalesce=false deploy payload"),
	words("event --coalesce deploy payload"),
	wordsAnyOrder("query -timeout=300ms -no-ack nobody-answers x"),
	wordsAnyOrder("query -timeout=300ms answer"),
	wordsAnyOrder("query -timeout=300ms -format=json -relay-factor=1 answer y"),
	wordsAnyOrder("query -timeout=300ms -node=n1 -node n2,n3 -tag=role=web answer"),
	wordsAnyOrder("query -timeout=300ms -node=n1 -format=json answer"),
	words("query -format=xml q"),
	words("query -relay-factor=256 q"),
	words("query -tag==x q"),
	words("tags -set role=web -set a=b=c,d -delete nosuch"),
	words("tags -delete a"),
	words("tags -set x"),
	words("force-leave nosuch"),
	words("force-leave -prune nosuch"),
	words("monitor -log-level=loud"),
	words("members -rpc-auth=wrong"),
	words("leave -rpc-addr=127.0.0.1:1"),
	words("info -rpc-addr=nonsense"),
}

// Our command line and the real one show the same for the same real agent.
func TestSameAsSerf(t *testing.T) {
	eachSerf(t, func(t *testing.T, serf string) {
		n1, n2 := startSerf(t, serf, "n1"), startSerf(t, serf, "n2")
		for _, c := range append(slices.Clone(comparisons),
			words("join "+n2.bind),
			words("join "+n2.bind+" 127.0.0.1:1"),
			words("join -replay 127.0.0.1:1"),
			wordsAnyOrder("members"),
			wordsAnyOrder("members -detailed"),
			wordsAnyOrder("members -format=json"),
			wordsAnyOrder("query -timeout=1s answer"),
			comparison{args: []string{"event", "long", strings.Repeat("x", 1000)}},
			comparison{args: []string{"query", "long", strings.Repeat("x", 2000)}},
			comparison{args: []string{"tags", "-set", "long=" + strings.Repeat("x", 2000)}},
		) {
			c.compare(t, serf, n1.rpc, func(string) {})
		}
		if got := shoot(t, "serf", "leave", "-rpc-addr="+n1.rpc); got != (shot{stdout: "Graceful leave complete\n"}) {
			t.Errorf("leave: %+v", got)
		}
		<-n1.ended
		if got := shoot(t, "serf", "members", "-rpc-addr="+n2.rpc, "-status=left"); !strings.HasPrefix(got.stdout, "n1 ") {
			t.Errorf("members after leave: %+v", got)
		}
	})
}

// The real command line gets from our server what ours gets, and asks for the
// same.
func TestSerfAgainstServer(t *testing.T) {
	eachSerf(t, func(t *testing.T, serf string) {
		members := fakeMembers()
		members[0].Tags = map[string]string{"role": "web"} // one: the order of tags is random
		members[1].Name, members[1].Tags = "n1", nil
		a, err := newFakeAgent("", members)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.end)
		for _, c := range append(slices.Clone(comparisons),
			words("members -name=("),
			words("join 10.0.0.1 10.0.0.2:7947"),
			words("join -replay 10.9.9.9"),
			words("event bad"),
			words("query bad"),
			words("force-leave bad"),
			words("tags -delete bad"),
			words("leave"),
		) {
			asked := map[string]string{}
			c.compare(t, serf, a.addr, func(program string) { asked[program] = a.takeLast() })
			if asked[serf] != asked["serf"] {
				t.Errorf("%q asks %s; the real one %s", c.args, asked["serf"], asked[serf])
			}
		}
	})
}

func (a *fakeAgent) takeLast() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() { a.last = "" }()
	return a.last
}

// Faults of the command line: the same streams and exit codes. The texts of
// the help are our own.
func TestSameFaults(t *testing.T) {
	eachSerf(t, func(t *testing.T, serf string) {
		for _, line := range []string{
			"", "-h", "--help", "-version", "nosuch", "nosuch -h", "help", "-x", "--", "-- members",
			"join", "event", "query", "tags", "force-leave", "event a b c", "query a b c", "force-leave a b",
			"members -h", "-h members", "members -help -x", "-x members", "-x", "event -- -h -h -h",
			"members --nosuch", "members -status", "query -timeout x q", "query -relay-factor x q",
			"event -coalesce=x e", "tags x", "-x -v", "members --version",
		} {
			theirs, ours := shoot(t, serf, strings.Fields(line)...), shoot(t, "serf", strings.Fields(line)...)
			if ours.code != theirs.code || (ours.stdout == "") != (theirs.stdout == "") || (ours.stderr == "") != (theirs.stderr == "") {
				t.Errorf("%q:\n%+v\nthe real one:\n%+v", line, ours, theirs)
			}
			firstLine := func(s string) string { return strings.SplitN(s, "\n", 2)[0] }
			if theirs.code == 1 && !strings.HasPrefix(line, "-x ") && firstLine(ours.stderr) != firstLine(theirs.stderr) {
				t.Errorf("%q: %q\nthe real one: %q", line, ours.stderr, theirs.stderr)
			}
		}
	})
}

// Both monitors of a real agent show the same.
func TestSameMonitor(t *testing.T) {
	eachSerf(t, func(t *testing.T, serf string) {
		n := startSerf(t, serf, "n1")
		var outs [2]logtest.Buffer
		var cmds [2]*exec.Cmd
		for i, program := range []string{serf, "serf"} {
			cmds[i] = exec.CommandContext(t.Context(), program, "monitor", "-log-level=err", "-rpc-addr="+n.rpc)
			cmds[i].Stdout, cmds[i].Stderr = &outs[i], &outs[i]
			if err := cmds[i].Start(); err != nil {
				t.Fatal(err)
			}
		}
		ping := func(marker string, args ...string) {
			t.Helper()
			// The first of a kind may come before a monitor listens.
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				if outs[0].Contains(marker) && outs[1].Contains(marker) {
					return
				}
				if time.Now().After(end) {
					t.Fatalf("no %s:\n%s\nthe real one:\n%s", marker, outs[1].String(), outs[0].String())
				}
				if len(args) > 0 {
					shoot(t, serf, args...)
				}
			}
		}
		ping(`"warm-up"`, "event", "-coalesce=false", "-rpc-addr="+n.rpc, "warm-up")
		for _, line := range []string{"event -coalesce=false -rpc-addr=%s deploy pay", "query -timeout=100ms -rpc-addr=%s load",
			"event -coalesce=false -rpc-addr=%s end"} {
			shoot(t, serf, strings.Fields(fmt.Sprintf(line, n.rpc))...)
		}
		ping(`"end"`)
		n.cmd.Process.Kill()
		for _, cmd := range cmds {
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 1 {
				t.Errorf("exit code %d", code)
			}
		}
		theirs, ours := monitorBlocks(outs[0].String()), monitorBlocks(outs[1].String())
		if ours != theirs {
			t.Errorf("%s\nthe real one:\n%s", ours, theirs)
		}
	})
}

// monitorBlocks is the output of a monitor from the event deploy on, without
// what is random: the order of an event's fields.
func monitorBlocks(out string) string {
	blocks := strings.Split(out, "Event Info:\n")
	from := slices.IndexFunc(blocks, func(b string) bool { return strings.Contains(b, `"deploy"`) })
	for i, b := range blocks {
		lines := strings.SplitAfter(b, "\n")
		fields := 0
		for fields < len(lines) && strings.HasPrefix(lines[fields], "\t") {
			fields++
		}
		slices.Sort(lines[:fields])
		blocks[i] = strings.Join(lines, "")
	}
	return strings.Join(blocks[max(from, 0):], "Event Info:\n")
}

// serfAgent is a running real agent.
type serfAgent struct {
	cmd       *exec.Cmd
	bind, rpc string
	ended     chan struct{}
}

// startSerf starts a real agent on loopback and waits until it answers.
func startSerf(t *testing.T, serf, name string) *serfAgent {
	t.Helper()
	a := &serfAgent{bind: freeAddr(t), rpc: freeAddr(t), ended: make(chan struct{})}
	a.cmd = exec.Command(serf, "agent", "-node="+name, "-bind="+a.bind, "-rpc-addr="+a.rpc,
		"-event-handler=query:answer=echo hello", "-log-level=warn")
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		a.cmd.Wait()
		close(a.ended)
	}()
	t.Cleanup(func() {
		a.cmd.Process.Kill()
		<-a.ended
	})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if shoot(t, serf, "members", "-rpc-addr="+a.rpc).code == 0 {
			return a
		}
		if time.Now().After(end) {
			t.Fatal("the real agent does not answer")
		}
	}
}

// freeAddr is a loopback address with a port that was free a moment ago.
func freeAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
