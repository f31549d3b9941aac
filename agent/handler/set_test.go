//go:build unix

package handler

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/agent/logging"
	"github.com/ibuki-dev/ibuki/logtest"
	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

func TestParseHandler(t *testing.T) {
	type filters = []rpc.EventFilter
	for _, c := range []struct {
		spec    string
		filters filters
		command string
	}{
		{"cmd", filters{{Type: "*"}}, "cmd"},
		{"*=cmd", filters{{Type: "*"}}, "cmd"},
		{"member-join=cmd a=b", filters{{Type: "member-join"}}, "cmd a=b"},
		{"member-join,user=cmd", filters{{Type: "member-join"}, {Type: "user"}}, "cmd"},
		{"user:deploy=cmd", filters{{Type: "user", Name: "deploy"}}, "cmd"},
		{"query:load,query:x y=cmd", filters{{Type: "query", Name: "load"}, {Type: "query", Name: "x y"}}, "cmd"},
		{"handle --list=/run/list", filters{{Type: "*"}}, "handle --list=/run/list"},
		{"/bin/x=y", filters{{Type: "*"}}, "/bin/x=y"},
	} {
		h, err := Parse(c.spec)
		if err != nil || h.Command != c.command || fmt.Sprint(h.Filters) != fmt.Sprint(c.filters) {
			t.Errorf("%q: %v, %v", c.spec, h, err)
		}
	}
	for _, spec := range []string{"member-joined=cmd", "foo:bar=cmd", "member-join,=cmd", "user=", "", "user= "} {
		if h, err := Parse(spec); err == nil {
			t.Errorf("%q was taken as %v", spec, h)
		}
	}
}

// needShell skips where handlers cannot be run.
func needShell(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("no /bin/sh")
	}
}

// scriptTest runs handlers outside of an agent.
type scriptTest struct {
	*Set
	out  logtest.Buffer
	log  *logging.Log
	dir  string
	self serf.Member

	mu       sync.Mutex
	answers  []string
	outcomes []serf.Outcome
}

func newScriptTest(t *testing.T, specs ...string) *scriptTest {
	t.Helper()
	return newHandlerTest(t, specs)
}

func newHandlerTest(t *testing.T, specs []string, more ...Handler) *scriptTest {
	t.Helper()
	needShell(t)
	s := &scriptTest{dir: t.TempDir(), self: serf.Member{Name: "me", Addr: netip.MustParseAddrPort("10.0.0.9:7947"), Tags: []wire.Tag{
		{Key: "role", Value: "web"}, {Key: "a:b/ü", Value: "v\nw"},
	}}}
	s.log = logging.New(&s.out, logging.LevelDebug)
	s.log.Open()
	s.Set = NewSet(s.log.Logger(), func(_ serf.QueryID, payload []byte, o serf.Outcome) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.answers = append(s.answers, string(payload))
		s.outcomes = append(s.outcomes, o)
		return nil
	})
	for i := range specs {
		specs[i] = strings.ReplaceAll(specs[i], "DIR", s.dir)
	}
	for i := range more {
		more[i].Command = strings.ReplaceAll(more[i].Command, "DIR", s.dir)
		if more[i].Filters == nil {
			more[i].Filters = []rpc.EventFilter{{Type: "*"}}
		}
	}
	if err := s.Use(specs, more...); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scriptTest) event(e serf.Event) { s.Deliver(&e, func() serf.Member { return s.self }) }

// end stops the handlers and returns what was logged.
func (s *scriptTest) end() string {
	s.Stop()
	s.log.Close()
	return s.out.String()
}

func (s *scriptTest) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// P155, P156
func TestHandlerEnvironmentAndInput(t *testing.T) {
	s := newScriptTest(t, "member-join=(env | grep ^SERF_ | sort; cat) > DIR/join",
		"user:x=(env | grep ^SERF_ | sort; cat) > DIR/user", "query=(env | grep ^SERF_ | sort; cat) > DIR/query",
		"user:other=touch DIR/other")
	s.event(serf.Event{Type: serf.EventMemberJoin, Members: []serf.Member{
		{Name: "a\tb", Addr: netip.MustParseAddrPort("10.0.0.1:1"), Tags: []wire.Tag{{Key: "k", Value: "v\n"}, {Key: "role", Value: "db\t"}}},
		{Name: "c", Addr: netip.MustParseAddrPort("[::2]:1")},
	}})
	s.event(serf.Event{Type: serf.EventUser, Name: "x", LTime: 7, Payload: []byte("data")})
	s.event(serf.Event{Type: serf.EventQuery, Name: "q", LTime: 9, Source: "asker", Payload: []byte("line\n")})
	s.wgWait(t)
	log := s.end()

	self := "SERF_SELF_ADDR=10.0.0.9\nSERF_SELF_NAME=me\nSERF_SELF_PORT=7947\nSERF_SELF_ROLE=web\nSERF_TAG_A_B__=v\n"
	for name, want := range map[string]string{
		"join":  "SERF_EVENT=member-join\n" + self + "SERF_TAG_ROLE=web\n" + `a\tb` + "\t10.0.0.1\t" + `db\t` + "\t" + `k=v\n,role=db\t` + "\nc\t::2\t\t\n",
		"user":  "SERF_EVENT=user\n" + self + "SERF_TAG_ROLE=web\nSERF_USER_EVENT=x\nSERF_USER_LTIME=7\ndata\n",
		"query": "SERF_EVENT=query\nSERF_QUERY_LTIME=9\nSERF_QUERY_NAME=q\nSERF_QUERY_SOURCE=asker\n" + self + "SERF_TAG_ROLE=web\nSERF_USER_QUERY=q\nline\n",
	} {
		if got := s.read(t, name); got != want {
			t.Errorf("%s: got %q, want %q\nlog: %s", name, got, want, log)
		}
	}
	if _, err := os.Stat(filepath.Join(s.dir, "other")); err == nil {
		t.Error("the handler of another event was run")
	}
}

// P157
func TestQueryAnswers(t *testing.T) {
	s := newScriptTest(t, "query:good=cat; echo answer", "query:bad=echo no; exit 3", "query:silent=true",
		"query:forked=echo parent; sleep 30 & exit 0")
	begun := time.Now()
	for _, name := range []string{"good", "bad", "silent", "forked"} {
		s.event(serf.Event{Type: serf.EventQuery, Name: name, Payload: []byte("in")})
	}
	s.wgWait(t)
	log := s.end()
	if took := time.Since(begun); took > 25*time.Second { // it sleeps for 30
		t.Errorf("took %v: a child that holds the output open was waited for", took)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) != 2 || !contains(s.answers, "in\nanswer\n") || !contains(s.answers, "parent\n") {
		t.Errorf("answers: %q", s.answers)
	}
	if !strings.Contains(log, "[ERR] agent: Error invoking script 'echo no; exit 3': exit status 3") {
		t.Errorf("no line about exit status 3: %s", log)
	}
}

// wgWait lets handlers finish that take longer than the grace of stop.
func (s *scriptTest) wgWait(t *testing.T) {
	t.Helper()
	s.Set.mu.Lock()
	for _, r := range s.runners {
		r.close()
	}
	s.serial.queue.close()
	serial := slices.ContainsFunc(s.specs, func(h Handler) bool { return h.short })
	s.Set.mu.Unlock()
	s.wg.Wait()
	if serial {
		<-s.serial.idle
	}
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// P154
func TestHandlerRunsOneAtATime(t *testing.T) {
	// The lock directory exists while the handler runs.
	script := "mkdir DIR/lock || touch DIR/overlap; sleep 0.05; rmdir DIR/lock; echo x >> DIR/ran"
	s := newScriptTest(t, "user="+script, "query="+script)
	for range 4 {
		s.event(serf.Event{Type: serf.EventUser, Name: "x"})
		s.event(serf.Event{Type: serf.EventQuery, Name: "x"})
	}
	s.wgWait(t)
	s.end()
	if _, err := os.Stat(filepath.Join(s.dir, "overlap")); err == nil {
		t.Error("two ran at once")
	}
	if got := s.read(t, "ran"); strings.Count(got, "x") != 8 {
		t.Errorf("ran %d times, want 8", strings.Count(got, "x"))
	}
}

// P158
func TestBadHandlers(t *testing.T) {
	var handlers []Handler
	for _, command := range []string{"no-such-program-anywhere", "yes; true", "head -c 300000 /dev/zero",
		"trap '' TERM; sleep 60 & echo $! > DIR/pid; wait; wait", "exit 0 <&-"} {
		handlers = append(handlers, Handler{Command: command})
	}
	s := newHandlerTest(t, nil, handlers...)
	big := serf.Event{Type: serf.EventUser, Name: "x", Payload: make([]byte, 1<<20)}
	s.event(big) // more than a pipe holds, and nobody reads it
	pid := waitForPid(t, filepath.Join(s.dir, "pid"))
	begun := time.Now()
	log := s.end()
	if took := time.Since(begun); took > Grace+killGrace+pipeGrace+2*time.Second {
		t.Errorf("stop took %v", took)
	}
	for _, want := range []string{
		"[ERR] agent: Error invoking script 'no-such-program-anywhere': exit status 127",
		"Script 'head -c 300000 /dev/zero' generated 300000 bytes of output, truncated to 8192",
		"[WARN] agent: Script 'yes; true' slow, execution exceeding 1s",
		"Error invoking script 'yes; true': signal",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("not logged: %s\n%.3000s", want, log)
		}
	}
	if strings.Contains(log, "Error invoking script 'exit 0 <&-'") {
		t.Error("a handler that does not read its input is not at fault")
	}
	for end := time.Now().Add(30 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %d of a handler is still there", pid)
		}
	}
}

// waitForPid reads the process id that a handler writes.
func waitForPid(t *testing.T, path string) int {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		b, _ := os.ReadFile(path)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && strings.HasSuffix(string(b), "\n") {
			return pid
		}
	}
	t.Fatal("the handler did not start")
	return 0
}

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return err == nil
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func TestSetHandlers(t *testing.T) {
	user := []rpc.EventFilter{{Type: "user"}}
	s := newHandlerTest(t, nil, Handler{Filters: user, Command: "echo one >> DIR/out"})
	s.event(serf.Event{Type: serf.EventUser, Name: "x"})
	if err := s.Use([]string{"nonsense=x"}); err == nil {
		t.Error("a bad handler was taken")
	}
	if err := s.Use(nil, Handler{Filters: user, Command: "echo two >> " + s.dir + "/out2"}); err != nil {
		t.Fatal(err)
	}
	s.event(serf.Event{Type: serf.EventUser, Name: "x"})
	s.wgWait(t)
	s.end()
	if one, two := s.read(t, "out"), s.read(t, "out2"); one != "one\n" || two != "two\n" {
		t.Errorf("got %q and %q", one, two)
	}
}

// P157
func TestTailKeepsTheLast(t *testing.T) {
	var w tail
	for i := range 5000 {
		fmt.Fprintf(&w, "%d ", i)
	}
	if len(w.buf) > handlerOutput || !strings.HasSuffix(string(w.buf), "4998 4999 ") {
		t.Errorf("%d bytes, ending in %q", len(w.buf), w.buf[len(w.buf)-20:])
	}
	w.Write(make([]byte, 3*handlerOutput))
	if len(w.buf) != handlerOutput {
		t.Errorf("%d bytes", len(w.buf))
	}
}

// The handler may use what it was called for: RPC and its own agent's program
// run while it does (this is the command package's test; here only the shell is).
func TestHandlerIsInItsOwnGroup(t *testing.T) {
	if _, err := exec.LookPath("ps"); err != nil {
		t.Skip("no ps")
	}
	s := newScriptTest(t, "user=ps -o pgid= -p $$ > DIR/pgid; echo $$ >> DIR/pgid")
	s.event(serf.Event{Type: serf.EventUser, Name: "x"})
	s.wgWait(t)
	s.end()
	f := strings.Fields(s.read(t, "pgid"))
	if len(f) != 2 || f[0] != f[1] {
		t.Errorf("group and process: %q", f)
	}
}
