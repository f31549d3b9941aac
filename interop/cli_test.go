package interop

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/logtest"
)

// cliRun is what a command showed.
type cliRun struct {
	Stdout, Stderr string
	Code           int
}

// cli runs a command line against an agent and takes out what differs from run to
// run: the order of members and of answers, and times.
func cli(t *testing.T, p program, a *agent, line string) cliRun {
	t.Helper()
	words := strings.Split(line, " ")
	stdout, stderr, code := command(t, p, append([]string{words[0], "-rpc-addr=" + a.rpcAddr()}, words[1:]...)...)
	return cliRun{normal(stdout), normal(stderr), code}
}

var (
	took    = regexp.MustCompile(`\d+\.\d+s`)
	rttTook = regexp.MustCompile(`\d+\.\d+ ms`)
	// Serf 0.9.4 names the address without the port.
	oldJoinFault = regexp.MustCompile(`Failed to join \S+: dial tcp (\S+):`)
	lastInBlock  = regexp.MustCompile(`(?m) +$`)
)

// A help text is each program's own; that it is shown, and after what fault, is
// not.
var helpText = regexp.MustCompile(`(?s)Usage: (serf|ibuki|ours) .*`)

// The real program prints tags in random order.
var tagList = regexp.MustCompile(`\S+=\S*,\S+=\S*`)

func normal(out string) string {
	out = helpText.ReplaceAllString(out, "HELP")
	out = tagList.ReplaceAllStringFunc(out, func(list string) string {
		tags := strings.Split(list, ",")
		slices.Sort(tags)
		return strings.Join(tags, ",")
	})
	var v any
	if json.Unmarshal([]byte(out), &v) == nil {
		sortLists(v)
		data, _ := json.MarshalIndent(v, "", "  ")
		return string(data)
	}
	out = oldJoinFault.ReplaceAllString(out, "failed to join $1: dial tcp $1:")
	out = took.ReplaceAllString(out, "TIME")
	out = rttTook.ReplaceAllString(out, "TIME")
	out = lastInBlock.ReplaceAllString(out, "")
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func sortLists(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			sortLists(e)
		}
	case []any:
		for _, e := range v {
			sortLists(e)
		}
		slices.SortFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
}

// sharedCommands give the same answer whichever agent of a cluster is asked, by
// whichever program.
var sharedCommands = []string{
	"members",
	"members -detailed",
	"members -format=json",
	"members -format=json -detailed",
	"members -status=alive",
	"members -status=failed",
	"members -status=left|alive",
	"members -name=node-.*",
	"members -name=node-a",
	"members -role=web",
	"members -tag=zone=e.*",
	"members -tag zone=east -tag role=web",
	"members -tag=nonsense",
	"members -format=nonsense",
	"members --name node-b --format json",
	"event deploy",
	"event deploy v=1",
	"event -coalesce=false deploy v=2",
	"event",
	"event a b c",
	"query -timeout=1s nobody-answers",
	"query -timeout=1s -format=json nobody-answers payload",
	"query -timeout=1s -node=node-a -node=node-b -tag=role=web ask",
	"query -timeout=1s -no-ack ask",
	"query -timeout=1s -relay-factor=2 -format=json ask x",
	"query -timeout=1s -node=node-a ask x",
	"query -timeout=1s -node=nobody ask x",
	"query",
	"query -format=nonsense ask",
	"query -timeout=1s _serf_nosuch",
	"force-leave",
	"force-leave nobody",
	"tags",
	"tags -delete=nothing",
	"join",
	"join 127.0.0.1:1",
	"join -replay 127.0.0.1:1",
	"leave -nonsense",
	"members -nonsense",
	"monitor -log-level=nonsense",
	"version",
}

// TestCommands compares our commands with the real ones, each against an agent of
// either program, with all four at the same cluster.
func TestCommands(t *testing.T) {
	t.Parallel()
	need(t, newest)
	c := newCluster(t)
	a := c.add(ours, "node-a", "-tag=role=web", "-tag=zone=east")
	b := c.add(newest, "node-b", "-tag=role=db", "-tag=zone=west")
	for _, agent := range c.agents {
		defer agent.answer()()
	}
	a.join(b)
	c.sees(c.agents, c.all("alive"))
	for _, line := range sharedCommands {
		for _, run := range []struct {
			p  program
			at *agent
		}{{newest, a}, {ours, a}, {ours, b}} {
			sameCommand(t, line, run.p, run.at, newest, b)
		}
	}
	t.Run("info", func(t *testing.T) { infoCommand(t, a, b) })
	t.Run("tags", func(t *testing.T) { tagsCommand(t, c, a, b) })
	t.Run("monitor", func(t *testing.T) { monitorCommand(t, a, b) })
	t.Run("force-leave", func(t *testing.T) { forceLeaveCommand(t, c, a, b) })
	t.Run("leave", func(t *testing.T) { leaveCommand(t, a, b) })
}

// TestOldCommands runs the commands of Serf 0.9.4 at our agent and at its own.
func TestOldCommands(t *testing.T) {
	t.Parallel()
	need(t, old)
	c := newCluster(t)
	a := c.add(ours, "node-a", "-tag=role=web", "-tag=zone=east")
	b := c.add(old, "node-b", "-tag=role=db", "-tag=zone=west")
	for _, agent := range c.agents {
		defer agent.answer()()
	}
	b.join(a)
	c.sees(c.agents, c.all("alive"))
	for _, line := range sharedCommands {
		sameCommand(t, line, old, a, old, b)
	}
	leaveOne(t, old, a)
	leaveOne(t, ours, b)
}

// sameCommand compares a command with the real program's at the real agent. Queries may
// differ for a while: the real agent adds empty acks and answers at their end at
// times, and one query goes out by gossip alone, which may miss a node.
func sameCommand(t *testing.T, line string, p program, at *agent, realProgram program, real *agent) {
	t.Helper()
	tries := 1
	if strings.HasPrefix(line, "query") {
		tries = 10
	}
	var got, want cliRun
	for range tries {
		want, got = hideVersion(cli(t, realProgram, real, line)), hideVersion(cli(t, p, at, line))
		if got == want {
			return
		}
	}
	t.Errorf("%s: %s at %s's agent:\n%+v\nthe real one at the real one:\n%+v", line, p.name, at.prog.name, got, want)
}

// hideVersion leaves of the version only that it is one: ours has its own.
func hideVersion(r cliRun) cliRun {
	r.Stdout = regexp.MustCompile(`(?m)^(ibuki )?v?\d+\.\d+\.\d+\S*$`).ReplaceAllString(r.Stdout, "VERSION")
	return r
}

var infoKey = regexp.MustCompile(`(?m)^(\s*[a-z_0-9]+)(:| = ).*$`)

// infoCommand: the figures differ; what they are called does not.
func infoCommand(t *testing.T, a, b *agent) {
	keys := func(p program, at *agent, line string) string {
		r := cli(t, p, at, line)
		if r.Code != 0 || r.Stderr != "" {
			t.Errorf("%s at %s: %+v", p.name, at.name, r)
		}
		var sections map[string]map[string]any
		if json.Unmarshal([]byte(r.Stdout), &sections) != nil {
			return infoKey.ReplaceAllString(r.Stdout, "$1$2")
		}
		var list []string
		for section, values := range sections {
			list = append(list, section)
			for key := range values {
				list = append(list, section+"."+key)
			}
		}
		slices.Sort(list)
		return strings.Join(list, "\n")
	}
	for _, line := range []string{"info", "info -format=json"} {
		want := keys(newest, b, line)
		for _, got := range []string{keys(newest, a, line), keys(ours, a, line), keys(ours, b, line)} {
			if tags := regexp.MustCompile(`(?m)^.*(role|zone).*\n?`); tags.ReplaceAllString(got, "") != tags.ReplaceAllString(want, "") {
				t.Errorf("%s:\n%s\nthe real one:\n%s", line, got, want)
			}
		}
	}
}

// tagsCommand changes each agent's tags by the other program's command.
func tagsCommand(t *testing.T, c *cluster, a, b *agent) {
	for _, set := range []struct {
		p  program
		at *agent
	}{{newest, a}, {ours, b}, {ours, a}, {newest, b}} {
		before := setTags(t, ours, set.at, "tags -set=k=v=1 -set=l= -delete=role")
		if before != (cliRun{"Successfully updated agent tags", "", 0}) {
			t.Errorf("tags: %+v", before)
		}
		if got := setTags(t, set.p, set.at, "tags -delete=k -delete l -set role=web -set both=1 -delete both"); got != before {
			t.Errorf("tags of %s at %s: %+v", set.p.name, set.at.name, got)
		}
		for _, observer := range c.agents {
			observer.await("tags", func() error {
				members, err := observer.rpc.Members()
				m, _ := find(members, set.at.name)
				if err == nil && (m.Tags["role"] != "web" || m.Tags["k"] != "" || m.Tags["both"] != "1" || len(m.Tags) != 3) {
					return fmt.Errorf("%v", m.Tags)
				}
				return err
			})
		}
	}
}

// setTags runs a tags command. The real agent may lose its own update and say so
// after 5 s: memberlist's queue starts its counter anew when a broadcast of the
// same name was the only one, and of two broadcasts of one length and number the
// older vanishes, neither sent nor finished. That answer of that agent, and no
// other, is asked again.
func setTags(t *testing.T, p program, at *agent, line string) cliRun {
	t.Helper()
	const lost = "Error setting tags: timeout waiting for update broadcast"
	got := cli(t, p, at, line)
	for try := 1; try < 3 && at.prog != ours && got == (cliRun{lost, "", 1}); try++ {
		t.Logf("the real agent lost its update; try %d", try+1)
		got = cli(t, p, at, line)
	}
	return got
}

// monitorCommand reads each agent's log by the other program's command.
func monitorCommand(t *testing.T, a, b *agent) {
	for _, watch := range []struct {
		p  program
		at *agent
	}{{newest, a}, {ours, b}, {ours, a}} {
		cmd := exec.Command(watch.p.path, "monitor", "-log-level=debug", "-rpc-addr="+watch.at.rpcAddr())
		var out logtest.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		var name string
		await(t, "monitor shows the event", func() error {
			name = fmt.Sprintf("seen-%d", time.Now().UnixNano()) // the log is streamed from some moment on
			if err := watch.at.rpc.UserEvent(name, nil, false); err != nil {
				return err
			}
			time.Sleep(200 * time.Millisecond) // an attempt; the next one follows
			if !strings.Contains(out.String(), name) {
				return fmt.Errorf("%s", out.String())
			}
			return nil
		})
		_ = cmd.Process.Signal(syscall.SIGINT)
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			t.Errorf("%s monitor does not end by an interrupt", watch.p.name)
		}
	}
}

// forceLeaveCommand declares a failed member left, each agent's by the other program.
func forceLeaveCommand(t *testing.T, c *cluster, a, b *agent) {
	lost := c.add(ours, "node-c")
	for _, force := range []struct {
		p    program
		at   *agent
		line string
		left string // "" for pruned
	}{{newest, a, "force-leave node-c", "left"}, {ours, b, "force-leave node-c", "left"}, {ours, b, "force-leave -prune node-c", ""}} {
		if lost.cmd.ProcessState != nil {
			lost.start()
		}
		lost.join(a)
		c.sees(c.agents, c.all("alive"))
		lost.kill()
		c.sees([]*agent{a, b}, c.all("alive", lost, "failed"))
		if got := cli(t, force.p, force.at, force.line); got != (cliRun{}) {
			t.Errorf("%s: %+v", force.line, got)
		}
		want := c.all("alive", lost, force.left)
		if force.left == "" {
			delete(want, lost)
		}
		c.sees([]*agent{force.at}, want)
	}
}

// leaveCommand ends each agent by the other program's command.
func leaveCommand(t *testing.T, a, b *agent) {
	leaveOne(t, newest, a)
	leaveOne(t, ours, b)
}

func leaveOne(t *testing.T, p program, at *agent) {
	t.Helper()
	if got := cli(t, p, at, "leave"); got != (cliRun{"Graceful leave complete", "", 0}) {
		t.Errorf("leave by %s at the agent of %s: %+v", p.name, at.prog.name, got)
	}
	at.wait()
}
