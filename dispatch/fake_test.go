package dispatch

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/live"
)

// fakeGroonga is a Groonga server in memory: tables with records, and faults.
type fakeGroonga struct {
	addr string

	mu      sync.Mutex
	refuse  bool          // nobody listens
	frozen  chan struct{} // closed when it goes on; nil: it is not frozen
	code    int           // what every write is answered with
	slow    time.Duration // for each answer
	header  string        // of each answer, with its line's end
	tables  map[string]map[string]string
	got     []string // the writes, in order
	answers int
	conns   []net.Conn
}

func newFake(addr string) *fakeGroonga {
	return &fakeGroonga{addr: addr, tables: make(map[string]map[string]string)}
}

// fakes are the servers of a test, by address.
type fakes map[string]*fakeGroonga

func (f fakes) dial(addr string, timeout time.Duration) (net.Conn, error) {
	g := f[addr]
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refuse {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()
	g.conns = append(g.conns, theirs)
	go g.serve(theirs)
	return ours, nil
}

// kill ends the server: its connections break and it refuses new ones. Its data stays.
func (g *fakeGroonga) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuse = true
	for _, c := range g.conns {
		c.Close()
	}
	g.conns = nil
}

func (g *fakeGroonga) restart() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuse = false
}

// freeze stops the server as SIGSTOP does: it accepts and does not answer.
func (g *fakeGroonga) freeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.frozen = make(chan struct{})
}

func (g *fakeGroonga) thaw() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.frozen)
	g.frozen = nil
}

func (g *fakeGroonga) set(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func (g *fakeGroonga) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		g.mu.Lock()
		frozen, slow := g.frozen, g.slow
		g.mu.Unlock()
		if frozen != nil {
			<-frozen
		}
		if slow > 0 {
			time.Sleep(slow)
		}
		cmd, err := groonga.ParseURI(req.RequestURI)
		if err != nil {
			return
		}
		if len(body) > 0 {
			cmd.Body = body
		}
		code, result := g.do(cmd)
		text := fmt.Sprintf("[[%d,%d.5,0.001],%s]", code, time.Now().Unix(), result)
		if code != 0 {
			text = fmt.Sprintf("[[%d,1.5,0.001,\"fault\",[]],false]", code)
		}
		if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n"+g.header+"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(text), text); err != nil {
			return
		}
	}
}

// do runs one command on the data.
func (g *fakeGroonga) do(c *groonga.Command) (code int, result string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers++
	if c.Kind() == groonga.Write {
		if g.code != 0 {
			return g.code, ""
		}
		g.got = append(g.got, c.Name+" "+c.Get("table")+c.Get("name")+" "+string(bytes.TrimSpace(c.Body))+c.Get("values"))
	}
	switch c.Name {
	case "table_create":
		if g.tables[c.Get("name")] != nil {
			return -22, ""
		}
		g.tables[c.Get("name")] = make(map[string]string)
		return 0, "true"
	case "load":
		return g.load(c)
	case "delete":
		delete(g.tables[c.Get("table")], c.Get("key"))
		return 0, "true"
	case "object_exist":
		return 0, fmt.Sprint(c.Get("name") == "of_a_plugin")
	case "request_cancel":
		return 0, fmt.Sprintf(`{"id":"a","canceled":%v}`, strings.HasPrefix(g.addr, c.Get("id")))
	case "select":
		t := g.tables[c.Get("table")]
		if t == nil {
			return -22, ""
		}
		return 0, fmt.Sprintf("[[[%d],[[\"_key\",\"ShortText\"]]],%q]", len(t), g.addr)
	}
	return 0, fmt.Sprintf("{\"server\":%q}", g.addr)
}

func (g *fakeGroonga) load(c *groonga.Command) (code int, result string) {
	t := g.tables[c.Get("table")]
	if t == nil {
		return -22, ""
	}
	var rows []map[string]any
	text := c.Body
	if text == nil {
		text = []byte(c.Get("values"))
	}
	if json.Unmarshal(text, &rows) != nil {
		return -22, ""
	}
	for _, r := range rows {
		value, _ := json.Marshal(r)
		t[fmt.Sprint(r["_key"])] = string(value)
	}
	return 0, fmt.Sprint(len(rows))
}

// rig is a dispatcher with its servers and its list.
type rig struct {
	t     *testing.T
	fakes fakes
	list  *live.List
	cfg   Config
	d     *Dispatcher
}

var logTo io.Writer = io.Discard

// newRig prepares servers and a list that says nothing yet. names are the hosts, the
// replicas of each slice one after the other.
func newRig(t *testing.T, slices_, replicas int) *rig {
	t.Helper()
	r := &rig{t: t, fakes: make(fakes), list: new(live.List)}
	text := catalogText(slices_, replicas)
	c, err := catalog.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range c.Addresses() {
		r.fakes[a.HostPort()] = newFake(a.HostPort())
	}
	r.cfg = Config{Catalog: c, List: r.list, dial: r.fakes.dial, Log: slog.New(slog.NewTextHandler(logTo, nil))}
	return r
}

// catalogText is a catalog of nodes "node0" and so on: node s*replicas+r has slice s
// of replica r.
func catalogText(slices_, replicas int) string {
	var rs []string
	for r := range replicas {
		if slices_ == 1 {
			rs = append(rs, fmt.Sprintf(`{"volume":{"address":"node%d:10041/droonga.000"}}`, r))
			continue
		}
		var ss []string
		for s := range slices_ {
			ss = append(ss, fmt.Sprintf(`{"label":"s%d","weight":50,"volume":{"address":"node%d:10041/droonga.000"}}`, s, s*replicas+r))
		}
		rs = append(rs, fmt.Sprintf(`{"dimension":"_key","slicer":"hash","slices":[%s]}`, strings.Join(ss, ",")))
	}
	for i, r := range rs {
		if slices_ == 1 {
			rs[i] = fmt.Sprintf(`{"dimension":"_key","slicer":"hash","slices":[{"label":"s0","weight":100,%s]}`, r[1:])
		}
	}
	return fmt.Sprintf(`{"version":2,"effectiveDate":"2026-01-01T00:00:00Z","datasets":{"Default":{"nWorkers":0,"plugins":[],"schema":{},"replicas":[%s]}}}`,
		strings.Join(rs, ","))
}

func (r *rig) fake(i int) *fakeGroonga { return r.fakes[fmt.Sprintf("node%d:10041", i)] }

// start makes the dispatcher.
func (r *rig) start() *Dispatcher {
	r.t.Helper()
	d, err := New(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.d = d
	return d
}

// stop ends all of it, so that no goroutine stays.
func (r *rig) stop() {
	r.d.Close()
	for _, f := range r.fakes {
		f.set(func() {
			if f.frozen != nil {
				close(f.frozen)
				f.frozen = nil
			}
		})
		f.kill()
	}
	time.Sleep(time.Minute) // of virtual time: those who are slow end
}

// alive publishes a list: the nodes of these numbers are alive, the others failed.
func (r *rig) alive(numbers ...int) {
	var entries []live.Entry
	for _, a := range r.cfg.Catalog.Addresses() {
		e := live.Entry{Name: a.Host, Status: live.Failed}
		for _, n := range numbers {
			if a.Host == fmt.Sprintf("node%d", n) {
				e.Status = live.Alive
			}
		}
		entries = append(entries, e)
	}
	r.list.Publish(time.Now(), entries)
}

func (r *rig) do(line string) (groonga.Answer, error) {
	r.t.Helper()
	c, err := groonga.ParseLine(line)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.d.Do(r.t.Context(), c)
}

// must runs a command that has to succeed.
func (r *rig) must(line string) string {
	r.t.Helper()
	a, err := r.do(line)
	if err != nil || a.Code != 0 {
		r.t.Fatalf("%s: code %d, %v: %s", line, a.Code, err, a.Body)
	}
	return string(a.Body)
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%v, want %v", err, want)
	}
}
