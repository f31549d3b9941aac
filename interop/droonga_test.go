package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// The tests of this file are what the original droonga-engine needs of its Serf: it starts
// an agent by its own command line, talks to it by commands, and has a handler
// that calls back. docs/serf-compat.md names the switch that it needs.

// engine is an agent as the engine starts it.
type engine struct {
	*agent
	tagsFile string
	handler  string // script
}

// newEngine prepares a node of the cluster that is not started. handler is
// the text of its event handler; $DIR is a directory of its own.
func newEngine(c *cluster, handler string) *engine {
	c.t.Helper()
	need(c.t, ours)
	ip := fmt.Sprintf("%s%d", c.net, 10+len(c.agents))
	dir := c.file(ip)
	if err := os.Mkdir(dir, 0o700); err != nil {
		c.t.Fatal(err)
	}
	e := &engine{tagsFile: filepath.Join(dir, "tags"), handler: filepath.Join(dir, "handler")}
	e.agent = &agent{c: c, prog: ours, name: ip + ":10031/droonga", ip: ip}
	c.agents = append(c.agents, e.agent)
	c.write(filepath.Join(ip, "handler"), "#!/bin/sh\nDIR="+dir+"\nSERF="+ours.path+"\nRPC="+e.rpcAddr()+"\n"+handler+"\n")
	return e
}

// run starts the agent by the engine's command line; env is added to its environment.
func (e *engine) run(env []string, seeds ...*engine) {
	t := e.c.t
	t.Helper()
	args := []string{"agent", "-bind", e.addr(), "-rpc-addr", e.rpcAddr(), "-log-level", "debug", "-node", e.name,
		"-event-handler", e.handler, "-tags-file", e.tagsFile, "-profile", "local"}
	for _, s := range seeds {
		args = append(args, "-retry-join", s.ip)
	}
	args = append(args, e.flags...)
	out, err := os.OpenFile(e.c.file(e.ip+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	e.cmd = exec.Command(e.prog.path, args...)
	e.cmd.Stdout, e.cmd.Stderr = out, out
	e.cmd.Env = append(os.Environ(), env...)
	e.cmd.SysProcAttr = dieWithParent()
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	e.gone = gone
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait()
		close(gone)
	}(e.cmd)
	t.Cleanup(func() {
		_ = e.cmd.Process.Kill()
		<-e.gone
		if t.Failed() {
			t.Logf("%s printed last:\n%s", e.name, tail(e.c.file(e.ip+".log")))
		}
	})
}

// serf runs a command at the agent, in the engine's way, and demands that it works.
func (e *engine) serf(words ...string) string {
	e.c.t.Helper()
	out, errOut, code := command(e.c.t, ours, append([]string{words[0], "-rpc-addr", e.rpcAddr()}, words[1:]...)...)
	if code != 0 || errOut != "" {
		e.c.t.Errorf("%v: exit %d: %s%s", words, code, out, errOut)
	}
	return out
}

// ready waits until RPC answers.
func (e *engine) ready() {
	e.c.t.Helper()
	e.await("RPC", func() error {
		if _, _, code := command(e.c.t, ours, "members", "-rpc-addr", e.rpcAddr()); code != 0 {
			return fmt.Errorf("exit %d", code)
		}
		return nil
	})
}

// listed is a member in `members -format json`; its tags stay raw so that null shows.
type listed struct {
	Name   string          `json:"name"`
	Addr   string          `json:"addr"`
	Status string          `json:"status"`
	Tags   json.RawMessage `json:"tags"`
}

func (e *engine) members() map[string]listed {
	e.c.t.Helper()
	var answer struct{ Members []listed }
	text := e.serf("members", "-format", "json")
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		e.c.t.Fatalf("members: %v: %s", err, text)
	}
	members := map[string]listed{}
	for _, m := range answer.Members {
		members[m.Name] = m
		if !bytes.HasPrefix(m.Tags, []byte("{")) {
			e.c.t.Errorf("the tags of %s are %s", m.Name, m.Tags)
		}
	}
	if _, ok := members[e.name]; !ok {
		e.c.t.Errorf("%s does not list itself: %s", e.name, text)
	}
	return members
}

func (e *engine) tags() (tags map[string]string) {
	e.c.t.Helper()
	if err := json.Unmarshal(e.members()[e.name].Tags, &tags); err != nil {
		e.c.t.Error(err)
	}
	return tags
}

// lists waits until the agent lists the other one so.
func (e *engine) lists(other *engine, status string) {
	e.c.t.Helper()
	e.ready() // it may just have been started
	e.await(other.name+" is "+status, func() error {
		if got := e.members()[other.name].Status; got != status {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}

// lines are the lines that the handler wrote into a file of $DIR.
func (e *engine) lines(file string) []string {
	data, _ := os.ReadFile(filepath.Join(filepath.Dir(e.handler), file))
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

func newDroonga(t *testing.T) *cluster {
	t.Helper()
	t.Parallel()
	return newCluster(t)
}

// TestDroongaStart: the engine dials 7946 until that answers, closes the connection and
// sets a tag at once. RPC has to answer by then, and the connection does no harm. P153 P147
func TestDroongaStart(t *testing.T) {
	c := newDroonga(t)
	e := newEngine(c, "true")
	for range 5 {
		e.run(nil)
		var conn net.Conn
		for end := time.Now().Add(patience); ; { // as fast as it goes: the moment matters
			var err error
			if conn, err = net.Dial("tcp", e.addr()); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal(err)
			}
		}
		conn.Close()
		e.serf("tags", "-set", "type=engine")
		if got := e.tags()["type"]; got != "engine" {
			t.Errorf("type is %q", got)
		}
		for range 50 {
			if conn, err := net.Dial("tcp", e.addr()); err == nil {
				conn.Close()
			} else {
				t.Error(err)
			}
		}
		e.members()
		e.serf("leave")
		<-e.gone
	}
	if log := tail(c.file(e.ip + ".log")); strings.Contains(log, "[ERR]") || strings.Contains(log, "[WARN]") {
		t.Errorf("it complains:\n%s", log)
	}
}

// TestDroongaTags: a tag is in the list and in the file when the command returns; keys
// hold ':' and '/', a value begins after the first '='. P161
func TestDroongaTags(t *testing.T) {
	c := newDroonga(t)
	e := newEngine(c, "true")
	e.run(nil)
	e.ready()
	want := map[string]string{}
	for i, tag := range []string{
		"internal-name=" + e.ip + ":41234/droonga", "buffered-for-192.168.0.1:10031/droonga=2015-01-01T00:00:00Z", "a:b/c=d=e=f", "empty=", "role=service-provider",
	} {
		e.serf("tags", "-set", tag)
		k, v, _ := strings.Cut(tag, "=")
		want[k] = v
		if i == 3 {
			e.serf("tags", "-delete", "a:b/c")
			delete(want, "a:b/c")
		}
		if got := e.tags(); !reflect.DeepEqual(got, want) {
			t.Errorf("after %s: %v, not %v", tag, got, want)
		}
		var kept map[string]string
		data, err := os.ReadFile(e.tagsFile)
		if err == nil {
			err = json.Unmarshal(data, &kept)
		}
		if err != nil || !reflect.DeepEqual(kept, want) {
			t.Errorf("the file after %s: %v, %v; not %v", tag, kept, err, want)
		}
	}
	e.serf("leave")
	<-e.gone
	e.run(nil)
	e.ready()
	if got := e.tags(); !reflect.DeepEqual(got, want) {
		t.Errorf("after a restart: %v, not %v", got, want)
	}
}

// TestDroongaHandler: a handler calls back while it runs, does not read its input, has the
// agent's environment and this node's, and its runs follow each other. P154 P155
func TestDroongaHandler(t *testing.T) {
	c := newDroonga(t)
	e := newEngine(c, `exec <&-
echo begin $SERF_USER_EVENT >> $DIR/runs
echo "$ENGINE_MARK $SERF_SELF_NAME" >> $DIR/environment
[ "$SERF_EVENT" = user ] && $SERF tags -rpc-addr $RPC -set "seen-$SERF_USER_EVENT=yes" && $SERF members -rpc-addr $RPC > $DIR/members
echo end $SERF_USER_EVENT >> $DIR/runs`)
	e.run([]string{"ENGINE_MARK=here"})
	e.ready()
	for i := range 5 {
		e.serf("event", "-coalesce=false", fmt.Sprint("e", i), strings.Repeat("x", 400))
	}
	e.await("five tags set by handlers", func() error {
		tags := e.tags()
		for i := range 5 {
			if tags[fmt.Sprint("seen-e", i)] != "yes" {
				return fmt.Errorf("%v", tags)
			}
		}
		return nil
	})
	e.await("the end of each run before the next, in order", func() error {
		runs := slices.DeleteFunc(e.lines("runs"), func(l string) bool { return !strings.Contains(l, " e") })
		want := []string{"begin e0", "end e0", "begin e1", "end e1", "begin e2", "end e2", "begin e3", "end e3", "begin e4", "end e4"}
		if !slices.Equal(runs, want) {
			return fmt.Errorf("%v", runs)
		}
		return nil
	})
	for _, line := range e.lines("environment") {
		if line != "here "+e.name {
			t.Errorf("environment: %q", line)
		}
	}
	if log := tail(c.file(e.ip + ".log")); strings.Contains(log, "[ERR]") {
		t.Errorf("input that is not read is an error:\n%s", log)
	}
}

// TestDroongaAnswersMeanwhile: RPC answers while a handler runs, however long.
func TestDroongaAnswersMeanwhile(t *testing.T) {
	c := newDroonga(t)
	e := newEngine(c, `touch $DIR/runs; while [ -d $DIR ] && [ ! -e $DIR/enough ]; do sleep 0.05; done`)
	e.run(nil)
	e.ready()
	e.await("a run of the handler", func() error {
		_, err := os.Stat(filepath.Join(filepath.Dir(e.handler), "runs"))
		return err
	})
	for range 10 {
		began := time.Now()
		e.members()
		e.serf("tags", "-set", "a=b")
		e.serf("info")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("three commands took %v", took)
		}
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(e.handler), "enough"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDroongaList: failed and left members stay listed, the tags are an object for every
// one, and each agent lists itself from its first answer on.
func TestDroongaList(t *testing.T) {
	c := newDroonga(t)
	a, b, d := newEngine(c, "true"), newEngine(c, "true"), newEngine(c, "true")
	a.run(nil)
	a.ready()
	if got := a.members(); len(got) != 1 {
		t.Errorf("alone: %v", got)
	}
	b.run(nil, a)
	d.run(nil, a, b)
	a.lists(b, "alive")
	a.lists(d, "alive")
	d.lists(b, "alive")
	d.serf("leave")
	select {
	case <-d.gone:
	case <-time.After(patience):
		t.Error("the agent does not end after leave")
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("leave ends the agent with %d", code)
	}
	a.lists(d, "left")
	b.crash()
	a.lists(b, "failed")
	a.lists(d, "left")
}

// crash is kill for an agent without a connection of ours.
func (e *engine) crash() {
	_ = e.cmd.Process.Kill()
	<-e.gone
}

// TestDroongaQuery: `query -format json` waits for handlers of 1.6 s, at one node or
// at all; the answer has acks and responses.
func TestDroongaQuery(t *testing.T) {
	c := newDroonga(t)
	const handler = `if [ "$SERF_EVENT" = query ]; then sleep 1.6; printf '{"node":"%s"}' "$SERF_SELF_NAME"; fi`
	a, b := newEngine(c, handler), newEngine(c, handler)
	a.flags = []string{"-profile", "lan"} // its time-out, which the engine does not set
	b.flags = a.flags
	a.run(nil)
	b.run(nil, a)
	a.ready()
	a.lists(b, "alive")
	b.lists(a, "alive")
	ask := func(asked []*engine, words ...string) {
		text := a.serf(append([]string{"query", "-format", "json"}, words...)...)
		var answer struct {
			Acks      []string
			Responses map[string]string
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatalf("%v: %v: %s", words, err, text)
		}
		if len(answer.Acks) != len(asked) || len(answer.Responses) != len(asked) {
			t.Errorf("%v: %s", words, text)
		}
		for _, e := range asked {
			if !slices.Contains(answer.Acks, e.name) || answer.Responses[e.name] != `{"node":"`+e.name+`"}` {
				t.Errorf("%v: not from %s: %s", words, e.name, text)
			}
		}
	}
	ask([]*engine{b}, "-node", b.name, "report_status", `{"key":"x"}`)
	ask([]*engine{a}, "-node", a.name, "report_status", `{"key":"x"}`)
	ask([]*engine{a, b}, "report_status", `{"key":"x"}`)
}

// TestDroongaSwitch: with the switch a member-update of the same members follows each
// member-join, -leave and -failed; without it none does.
func TestDroongaSwitch(t *testing.T) {
	c := newDroonga(t)
	const handler = `while read name rest; do echo "$SERF_EVENT $name" >> $DIR/events; done`
	a, plain, b := newEngine(c, handler), newEngine(c, handler), newEngine(c, "true")
	a.run([]string{"IBUKI_UPDATE_AFTER_CHANGE=1"})
	plain.run(nil, a)
	b.run(nil, a)
	a.lists(plain, "alive")
	plain.lists(b, "alive")
	about := func(e *engine, what []string) {
		e.await(fmt.Sprint("events about b: ", what), func() error {
			got := slices.DeleteFunc(e.lines("events"), func(l string) bool { return !strings.HasSuffix(l, " "+b.name) })
			for i := range got {
				got[i], _, _ = strings.Cut(got[i], " ")
			}
			if !slices.Equal(got, what) {
				return fmt.Errorf("%v", got)
			}
			return nil
		})
	}
	without := []string{"member-join"}
	with := []string{"member-join", "member-update"}
	about(a, with)
	about(plain, without)
	b.crash()
	with = append(with, "member-failed", "member-update")
	without = append(without, "member-failed")
	about(a, with)
	about(plain, without)
	b.run(nil, a)
	with = append(with, "member-join", "member-update")
	without = append(without, "member-join")
	about(a, with)
	about(plain, without)
	b.ready()
	b.serf("leave")
	about(a, append(with, "member-leave", "member-update"))
	about(plain, append(without, "member-leave"))
}

// TestDroongaForeground: the agent is the process that was started, prints little, and
// ends by a signal as well.
func TestDroongaForeground(t *testing.T) {
	c := newDroonga(t)
	e := newEngine(c, "true")
	e.run(nil)
	e.ready()
	e.serf("event", "x")
	select {
	case <-e.gone:
		t.Fatal("it went to the background")
	default:
	}
	if err := e.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-e.gone
	if code := e.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("an interrupt ends it with %d", code)
	}
	data, err := os.ReadFile(c.file(e.ip + ".log"))
	if lines := bytes.Count(data, []byte("\n")); err != nil || lines > 60 {
		t.Errorf("%d lines for a life with one event: %v\n%s", lines, err, data)
	}
}
