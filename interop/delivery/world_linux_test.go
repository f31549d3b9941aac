package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that has to happen.
const patience = 60 * time.Second

// The ports of everything.
const (
	groongaPort = 10041
	gatewayPort = 10040
)

// world is a cluster of nodes, each with an agent and a gateway, and of Groonga servers.
type world struct {
	t        *testing.T
	net      string // "127.A.B."
	dir      string
	agents   []*process
	gateways []*process
	servers  []*process // one a volume
	volumes  []string   // host:port
	proxy    string     // the address of HAProxy
}

// placing says which node each volume is on, slice by slice in each replica.
type placing [][]int

// newWorld starts a world of three nodes.
func newWorld(t *testing.T, where placing) *world {
	t.Helper()
	w := &world{t: t, net: block(t), dir: t.TempDir()}
	w.catalog(where)
	for i, v := range w.volumes {
		w.servers = append(w.servers, w.server(i, v))
	}
	for i := range 3 {
		w.agents = append(w.agents, w.agent(i))
		w.gateways = append(w.gateways, w.gateway(i))
	}
	all := append(append(append([]*process{}, w.servers...), w.agents...), w.gateways...)
	t.Cleanup(func() {
		for _, p := range all {
			_ = p.cmd.Process.Signal(syscall.SIGCONT)
			p.kill()
		}
		if t.Failed() {
			for _, p := range all {
				t.Logf("%s printed last:\n%s", p.name, p.tail())
			}
		}
	})
	for _, p := range all {
		p.start()
	}
	w.settle()
	return w
}

// block finds a block of loopback addresses that no other test uses.
func block(t *testing.T) string {
	t.Helper()
	for range 100 {
		b := fmt.Sprintf("127.14.%d.", 10+rand.IntN(200))
		lock, err := net.Listen("tcp", b+"1:7946")
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Skip("needs all of 127.0.0.0/8 as loopback addresses")
		}
		if err == nil {
			t.Cleanup(func() { lock.Close() })
			return b
		}
	}
	t.Fatal("no free block of loopback addresses")
	return ""
}

func (w *world) host(node int) string     { return fmt.Sprintf("%s%d", w.net, 10+node) }
func (w *world) file(name string) string  { return filepath.Join(w.dir, name) }
func (w *world) front(node int) string    { return fmt.Sprintf("%s:%d", w.host(node), gatewayPort) }
func (w *world) listFile(node int) string { return w.file(fmt.Sprintf("live%d.json", node)) }
func (w *world) process(name string, args ...string) *process {
	return &process{t: w.t, name: name, args: args, log: w.file(name + ".log")}
}

// catalog writes the catalog and lists the volumes.
func (w *world) catalog(where placing) {
	used := make(map[int]int)
	var replicas []any
	for _, nodes := range where {
		var slices []any
		for s, node := range nodes {
			v := fmt.Sprintf("%s:%d", w.host(node), groongaPort+used[node])
			used[node]++
			w.volumes = append(w.volumes, v)
			slices = append(slices, map[string]any{
				"label": fmt.Sprint("slice", s), "weight": 100, "volume": map[string]any{"address": v + "/groonga.000"},
			})
		}
		replicas = append(replicas, map[string]any{"dimension": "_key", "slicer": "hash", "slices": slices})
	}
	w.writeCatalog(replicas)
}

func (w *world) writeCatalog(replicas []any) {
	text, err := json.MarshalIndent(map[string]any{
		"version": 2, "effectiveDate": "2026-01-01T00:00:00Z",
		"datasets": map[string]any{"Default": map[string]any{"nWorkers": 1, "plugins": []any{}, "schema": map[string]any{}, "replicas": replicas}},
	}, "", "  ")
	if err == nil {
		err = os.WriteFile(w.file("catalog.json"), text, 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// server is a Groonga server. One that was killed may have left locks behind; Groonga
// wants them cleared before it is used again.
func (w *world) server(i int, addr string) *process {
	host, port, _ := net.SplitHostPort(addr)
	db := w.file(fmt.Sprint("db", i))
	p := w.process(fmt.Sprint("groonga", i), program("groonga"), "--protocol", "http", "--bind-address", host, "--port", port, "-s", db)
	p.before = func() {
		args := []string{db, "lock_clear"}
		if _, err := os.Stat(db); err != nil {
			args = []string{"-n", db, "status"}
		}
		if out, err := exec.Command(program("groonga"), args...).CombinedOutput(); err != nil {
			w.t.Errorf("groonga %v: %v: %s", args, err, out)
		}
	}
	return p
}

// agent is a node's agent. It keeps asking the others, so that it is back by itself.
func (w *world) agent(i int) *process {
	args := []string{"agent", "-node=" + w.host(i), "-bind=" + w.host(i), "-rpc-addr=" + w.host(i) + ":7373",
		"-profile=local", "-log-level=info", "-live-nodes=" + w.listFile(i), "-retry-interval=1s"}
	for j := range 3 {
		if j != i {
			args = append(args, "-retry-join="+w.host(j))
		}
	}
	return w.process(fmt.Sprint("agent", i), append([]string{ibuki()}, args...)...)
}

func (w *world) gateway(i int) *process {
	return w.process(fmt.Sprint("gateway", i), ibuki(), "gateway", "-catalog="+w.file("catalog.json"), "-live-nodes="+w.listFile(i),
		"-http="+w.front(i), "-log="+w.file(fmt.Sprint("writes", i)))
}

// asking is who asks servers and gateways how they stand.
var asking = http.Client{Timeout: 5 * time.Second}

// get asks a server or gateway and returns what it answers.
func get(addr, uri string) (string, error) { return getBy(&asking, addr, uri) }

func getBy(client *http.Client, addr, uri string) (string, error) {
	resp, err := client.Get("http://" + addr + uri)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return string(text), err
}

// must asks a gateway for a command that has to succeed.
func (w *world) must(node int, name string, args ...string) string {
	w.t.Helper()
	text, err := get(w.front(node), command(name, args...))
	if err != nil {
		for i := range w.gateways {
			status, err := get(w.front(i), "/status")
			w.t.Logf("gateway %d: %v %s", i, err, status)
		}
		w.t.Fatalf("%s %v: %v", name, args, err)
	}
	return text
}

// command is the URI of a command with its arguments, name and value in turn.
func command(name string, args ...string) string {
	v := make(url.Values)
	for i := 0; i < len(args); i += 2 {
		v.Set(args[i], args[i+1])
	}
	return "/d/" + name + "?" + v.Encode()
}

// standing is what is read of a gateway's /status.
type standing struct {
	List struct {
		Alive  int  `json:"alive"`
		Loaded bool `json:"loaded"`
	} `json:"live_nodes"`
	Cluster struct {
		Hedges  int `json:"hedges"`
		Volumes []struct {
			Address string `json:"address"`
			State   string `json:"state"`
			Waiting int    `json:"waiting"`
		} `json:"volumes"`
	} `json:"cluster"`
}

func (w *world) standing(node int) (s standing, err error) {
	text, err := get(w.front(node), "/status")
	if err == nil {
		err = json.Unmarshal([]byte(text), &s)
	}
	return s, err
}

// whole reports whether all gateways see everything alive and complete; if not, why.
func (w *world) whole() string {
	for i := range w.gateways {
		s, err := w.standing(i)
		if err != nil {
			return err.Error()
		}
		if !s.List.Loaded || s.List.Alive != 3 {
			return fmt.Sprintf("gateway %d: %d nodes are alive", i, s.List.Alive)
		}
		for _, v := range s.Cluster.Volumes {
			if v.State != "active" || v.Waiting > 8 { // a few are always under way
				return fmt.Sprintf("gateway %d: %+v", i, v)
			}
		}
	}
	return ""
}

// settle waits until the world is whole, and tells how long that took.
func (w *world) settle() time.Duration {
	w.t.Helper()
	start := time.Now()
	for {
		why := w.whole()
		if why == "" {
			return time.Since(start)
		}
		if time.Since(start) > patience {
			w.t.Fatalf("after %v: %s", patience, why)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// fill makes the tables and loads what is searched, through a gateway.
func (w *world) fill() {
	w.must(0, "table_create", "name", "Items", "flags", "TABLE_HASH_KEY", "key_type", "ShortText")
	w.must(1, "column_create", "table", "Items", "name", "title", "flags", "COLUMN_SCALAR", "type", "Text")
	w.must(2, "table_create", "name", "Notes", "flags", "TABLE_HASH_KEY", "key_type", "ShortText")
	w.must(0, "column_create", "table", "Notes", "name", "text", "flags", "COLUMN_SCALAR", "type", "Text")
	w.must(1, "table_create", "name", "Terms", "flags", "TABLE_PAT_KEY", "key_type", "ShortText",
		"default_tokenizer", "TokenBigram", "normalizer", "NormalizerAuto")
	w.must(2, "column_create", "table", "Terms", "name", "items_title", "flags", "COLUMN_INDEX|WITH_POSITION", "type", "Items", "source", "title")
	w.must(2, "column_create", "table", "Terms", "name", "notes_text", "flags", "COLUMN_INDEX|WITH_POSITION", "type", "Notes", "source", "text")
	var rows []string
	for i := range words * hits {
		rows = append(rows, fmt.Sprintf(`{"_key":"item%d","title":"number %d is about word%d and little else"}`, i, i, i%words))
	}
	resp, err := http.Post("http://"+w.front(1)+"/d/load?table=Items", "application/json", strings.NewReader("["+strings.Join(rows, ",\n")+"]"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if want := fmt.Sprintf(",%d]", words*hits); resp.StatusCode != 200 || !strings.HasSuffix(string(text), want) {
		w.t.Fatalf("load: %s: %s", resp.Status, text)
	}
}
