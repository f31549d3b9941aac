package applier

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/groonga/groongatest"
)

// realServer is a real Groonga with a database of its own, which can be killed and started again.
type realServer struct {
	t       *testing.T
	program string
	dir     string
	client  *http.Client

	mu    sync.Mutex
	addr  string
	cmd   *exec.Cmd
	ended chan struct{}
}

func startGroonga(t *testing.T) *realServer {
	t.Helper()
	g := &realServer{t: t, program: groongatest.Program(t), dir: t.TempDir(), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	g.start()
	t.Cleanup(g.kill)
	return g
}

// start starts the server, on a database that is made if it is not there.
func (g *realServer) start() {
	g.t.Helper()
	for range 5 { // somebody else may take the port in between
		port := groongatest.FreePort(g.t)
		db := filepath.Join(g.dir, "db")
		args := []string{"-s", "--protocol", "http", "--bind-address", "127.0.0.1", "-p", fmt.Sprint(port), "-t", "6",
			"--log-path", filepath.Join(g.dir, "log"), "--query-log-path", ""}
		if found, _ := filepath.Glob(db); found == nil {
			args = append(args, "-n")
		}
		cmd := exec.Command(g.program, append(args, db)...)
		if err := cmd.Start(); err != nil {
			g.t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(5 * time.Millisecond) {
			if resp, err := g.client.Get("http://" + addr + "/d/status"); err == nil {
				resp.Body.Close()
				g.mu.Lock()
				g.addr, g.cmd, g.ended = addr, cmd, ended
				g.mu.Unlock()
				return
			}
			select {
			case <-ended:
				began = time.Time{}
			default:
			}
		}
		_ = cmd.Process.Kill()
		<-ended
	}
	g.t.Fatal("groonga does not start")
}

func (g *realServer) kill() {
	g.mu.Lock()
	cmd, ended := g.cmd, g.ended
	g.mu.Unlock()
	_ = cmd.Process.Kill()
	<-ended
}

func (g *realServer) Do(ctx context.Context, c *groonga.Command) (groonga.Answer, error) {
	g.mu.Lock()
	addr := g.addr
	g.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, c.Method(), "http://"+addr+c.URI(), strings.NewReader(string(c.Body)))
	if err != nil {
		return groonga.Answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := g.client.Do(req)
	if err != nil {
		return groonga.Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	a := groonga.Answer{Status: resp.StatusCode, ContentType: resp.Header.Get("Content-Type"), Body: body}
	a.Code = groonga.ReturnCode(a.Status, body)
	return a, err
}

// dump is what the database has, without what is ibuki's own, and without the order of records.
func (g *realServer) dump() string {
	g.t.Helper()
	a, err := g.Do(g.t.Context(), command("dump", "sort_hash_table", "yes"))
	if err != nil {
		g.t.Fatal(err)
	}
	return strings.TrimSpace(string(StripDump(a.Body)))
}

func entriesOf(t *testing.T, commands ...string) []Entry {
	t.Helper()
	entries := make([]Entry, len(commands))
	for i, line := range commands {
		line, body, hasBody := strings.Cut(line, "\n")
		c, err := groonga.ParseLine(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if hasBody {
			c.Body = []byte(body)
		}
		entries[i] = Entry{Index: uint64(i)*2 + 1, Term: 1, Command: c}
	}
	return entries
}

// logOf is a Source in memory.
type logOf struct {
	entries []Entry
	first   uint64
	upTo    uint64
}

func newLog(entries []Entry) *logOf {
	return &logOf{entries: entries, first: 1, upTo: entries[len(entries)-1].Index + 1}
}

func (l *logOf) Entries(after uint64, maxBytes int) ([]Entry, uint64, error) {
	var list []Entry
	for _, e := range l.entries {
		if e.Index > after {
			list = append(list, e)
			if maxBytes -= size(e.Command); maxBytes <= 0 {
				return list, e.Index, nil
			}
		}
	}
	return list, l.upTo, nil
}

func (l *logOf) First() (uint64, bool) { return l.first, l.first == 1 }
func (l *logOf) Last() uint64          { return l.upTo }
func (l *logOf) Term(index uint64) (uint64, bool) {
	return 1, true
}

// heard is what an applier's events said.
type heard struct {
	mu      sync.Mutex
	answers map[uint64]groonga.Answer
	order   []uint64
	prefix  uint64
	durable uint64
	states  []string
	changed chan struct{}
}

func newHeard() *heard {
	return &heard{answers: make(map[uint64]groonga.Answer), changed: make(chan struct{}, 1)}
}

func (h *heard) note(f func()) {
	h.mu.Lock()
	f()
	h.mu.Unlock()
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

func (h *heard) Applied(index uint64, a groonga.Answer) {
	h.note(func() { h.answers[index], h.order = a, append(h.order, index) })
}
func (h *heard) Prefix(index uint64)  { h.note(func() { h.prefix = index }) }
func (h *heard) Durable(index uint64) { h.note(func() { h.durable = index }) }
func (h *heard) State(s State, why string) {
	h.note(func() { h.states = append(h.states, s.String()+": "+why) })
}

func (h *heard) saw() (prefix uint64, states string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.prefix, strings.Join(h.states, "\n")
}

// run applies a log until its end, and returns what Run ended with before, if it did.
func run(t *testing.T, cfg Config, upTo uint64, limit time.Duration) (*heard, error) {
	t.Helper()
	h := newHeard()
	cfg.Events = h
	if cfg.Cluster == 0 {
		cfg.Cluster, cfg.Nonce = 7, fmt.Sprint("n", rand.Uint32())
	}
	if cfg.Boot == "" {
		cfg.Boot = "boot1"
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	a.Feed(upTo)
	over := time.After(limit)
	for {
		if p, _ := h.saw(); p >= upTo {
			cancel()
			<-ended
			return h, nil
		}
		select {
		case err := <-ended:
			cancel()
			return h, err
		case <-over:
			cancel()
			<-ended
			_, states := h.saw()
			t.Fatalf("prefix %d of %d\n%s", h.prefix, upTo, states)
		case <-h.changed:
		}
	}
}

func TestGroongaAppliesALog(t *testing.T) {
	g := startGroonga(t)
	l := newLog(entriesOf(t,
		"table_create T TABLE_HASH_KEY ShortText",
		"column_create T n COLUMN_SCALAR Int32",
		"load --table T\n[{\"_key\":\"a\",\"n\":1},{\"_key\":\"b\",\"n\":2}]",
		"load --table T\n[{\"_key\":\"c\",\"n\":3}]",
		"load --table T\n[{\"_key\":\"d\",\"n\":\"no number\"}]",
		"table_create K TABLE_NO_KEY",
		"column_create K v COLUMN_SCALAR ShortText",
		"load --table K\n[{\"v\":\"1\"},{\"v\":\"2\"}]",
		"table_rename T U",
		"delete U a",
		"column_rename U n m",
		"table_create T TABLE_PAT_KEY ShortText",
		"table_remove T",
		"load --table T\n[{\"_key\":\"c\"}]",
		"config_set --key mine --value 1",
	))
	h, err := run(t, Config{Server: g, Source: l}, l.upTo, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	want := "config_set mine 1\n\ntable_create K TABLE_NO_KEY\ncolumn_create K v COLUMN_SCALAR ShortText\n\ntable_create U TABLE_HASH_KEY ShortText\n" +
		"column_create U m COLUMN_SCALAR Int32\n\nload --table K\n[\n[\"_id\",\"v\"],\n[1,\"1\"],\n[2,\"2\"]\n]\n\n" +
		"load --table U\n[\n[\"_key\",\"m\"],\n[\"b\",2],\n[\"c\",3],\n[\"d\",0]\n]"
	if got := g.dump(); got != want {
		t.Errorf("dump:\n%s\nwant:\n%s", got, want)
	}
	for i, e := range l.entries {
		a := h.answers[e.Index]
		if bad := i == 4 || i == 13; (a.Code != 0) != bad {
			t.Errorf("entry %d: %s", i, a.Body)
		}
	}
	if !strings.HasSuffix(string(h.answers[5].Body), ",2]") || !strings.HasSuffix(string(h.answers[7].Body), ",1]") {
		t.Errorf("loads answered %s and %s", h.answers[5].Body, h.answers[7].Body)
	}
}
