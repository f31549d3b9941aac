//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// httpAddr is where the agent serves HTTP.
func (p *agentProcess) httpAddr(t *testing.T) string {
	t.Helper()
	p.waitFor(t, "HTTP API: http://")
	_, after, _ := strings.Cut(p.output(), "HTTP API: http://")
	addr, _, _ := strings.Cut(after, "/")
	return addr
}

// prometheus is a real one that scrapes these agents each second, with our rules, but for
// how long a condition has to hold: promtool's test is about that.
func prometheus(t *testing.T, targets []string) (api string) {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("no program: ", err)
	}
	rules, err := os.ReadFile("../../dist/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	quick := regexp.MustCompile(`for: \w+`).ReplaceAllString(string(rules), "for: 1s")
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [alerts.yml]\nscrape_configs:\n"+
		"  - job_name: ibuki\n    static_configs: [{targets: ['%s']}]\n", strings.Join(targets, "', '"))
	for name, text := range map[string]string{"alerts.yml": quick, "prometheus.yml": config} { // order-free: files of their own
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", testHost(t)+":0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--log.level=warn")
	out := &agentProcess{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.output())
		}
	})
	return "http://" + addr + "/api/v1/"
}

// promAsk asks Prometheus for something, and returns the answer's data.
func promAsk(what string, to any) error {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(what)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: to}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		return fmt.Errorf("%s: %v: %s", resp.Status, err, body)
	}
	return nil
}

// A real Prometheus with our rules sees that a node is killed, and that it is back; all
// that the Grafana dashboard asks for, it can answer.
func TestPrometheusSeesAFailure(t *testing.T) {
	t.Parallel()
	a := startAgent(t, "a", "-http=0", "-event-handler=true")
	b := startAgent(t, "b", "-http=0", "-join="+a.addr)
	c := startAgent(t, "c", "-http=0", "-join="+a.addr)
	a.wantMembers(t, "a alive, b alive, c alive")
	gone := c.httpAddr(t)
	api := prometheus(t, []string{a.httpAddr(t), b.httpAddr(t), gone})
	firing := func() (names []string, err error) {
		var data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
		err = promAsk(api+"alerts", &data)
		for _, x := range data.Alerts {
			if x.State == "firing" {
				names = append(names, x.Labels["alertname"]+" "+x.Labels["instance"])
			}
		}
		return names, err
	}
	until := func(what string, right func(all string) bool) {
		t.Helper()
		last := ""
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			names, err := firing()
			if last = strings.Join(names, ", ") + ";"; err == nil && right(last) {
				return
			}
		}
		t.Fatalf("%s: %s", what, last)
	}
	until("no answer", func(all string) bool { return all == ";" })
	_ = c.Process.Kill()
	until("the failure does not fire", func(all string) bool {
		return strings.Contains(all, "IbukiMemberFailed ") && strings.Contains(all, "IbukiAgentGone "+gone)
	})
	askPanels(t, api)
	if out, code := runProgram(t, "force-leave", "-rpc-addr="+a.rpc, "c"); code != 0 {
		t.Fatal(out)
	}
	until("the failure stays", func(all string) bool { return !strings.Contains(all, "IbukiMemberFailed ") })
}

// emptyPanels have nothing to show while nothing of the kind has happened.
var emptyPanels = map[string]bool{"Time from the first sign to a failure": true, "Drops by reason": true, "Mean time of a run": true}

// askPanels asks what the Grafana dashboard does.
func askPanels(t *testing.T, api string) {
	t.Helper()
	content, err := os.ReadFile("../../dist/grafana/ibuki.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(content, &doc); err != nil {
		t.Fatal(err)
	}
	for _, p := range doc.Panels {
		rows := 0
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) { // a rate takes two samples
			for _, target := range p.Targets {
				var data struct{ Result []any }
				if err := promAsk(api+"query?query="+url.QueryEscape(strings.ReplaceAll(target.Expr, "$instance", ".+")), &data); err != nil {
					t.Fatalf("%s: %v", p.Title, err)
				}
				rows += len(data.Result)
			}
			if rows > 0 || emptyPanels[p.Title] {
				break
			}
		}
		if rows == 0 && !emptyPanels[p.Title] {
			t.Errorf("the panel %q is empty", p.Title)
		}
	}
}
