//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestMetricsFiles holds the alert rules, the dashboard and the page about metrics
// against what an agent tells, and all of it against Prometheus' own tool.
func TestMetricsFiles(t *testing.T) {
	t.Parallel()
	text := agentMetrics(t)
	var there []string
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (ibuki_\w+) (\w+)$`).FindAllStringSubmatch(text, -1) {
		there = append(there, m[1])
		if m[2] == "histogram" {
			there = append(there, m[1]+"_bucket", m[1]+"_count")
		}
	}
	// Made when the first of them is counted.
	there = append(there, "ibuki_http_requests_total")
	gateway, err := os.ReadFile("../../gateway/metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`\bibuki_[a-z_]+\b`)
	told := make(map[string]bool)
	for _, file := range []string{"dist/prometheus/alerts.yml", "dist/prometheus/alerts_test.yml", "dist/grafana/ibuki.json", "docs/http-api.md"} {
		content, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range name.FindAllString(string(content), -1) {
			if of, ok := strings.CutPrefix(n, "ibuki_gateway_"); ok && strings.Contains(string(gateway), strconv.Quote(of)) {
				continue
			}
			if !slices.Contains(there, n) {
				t.Errorf("%s: no agent tells %s", file, n)
			}
			if file == "docs/http-api.md" {
				told[n] = true
			}
		}
	}
	for _, n := range there {
		if !told[strings.TrimSuffix(strings.TrimSuffix(n, "_bucket"), "_count")] {
			t.Errorf("the page does not tell of %s", n)
		}
	}
	checkPanels(t)
	checkAlertPage(t)
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no program: ", err)
	}
	for _, args := range [][]string{{"check", "metrics"}, {"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = "../../dist/prometheus"
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// checkAlertPage holds the page about alerts against the rules: a section for each, in
// their order, and each is in promtool's test.
func checkAlertPage(t *testing.T) {
	t.Helper()
	var texts [3]string
	for i, file := range []string{"dist/prometheus/alerts.yml", "docs/alerts.md", "dist/prometheus/alerts_test.yml"} {
		content, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(content)
	}
	names := func(pattern, text string) (all []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			all = append(all, m[1])
		}
		return all
	}
	rules, sections := names(`- alert: (\w+)`, texts[0]), names(`(?m)^## (Ibuki\w+)$`, texts[1])
	if !slices.Equal(rules, sections) {
		t.Errorf("the rules are %v, the page has %v", rules, sections)
	}
	for _, rule := range rules {
		if !regexp.MustCompile(`alertname: ` + rule + `\n +exp_alerts:\n`).MatchString(texts[2]) {
			t.Errorf("the test of rules never sees %s fire", rule)
		}
	}
}

// agentMetrics is what a fresh agent with a handler tells.
func agentMetrics(t *testing.T) string {
	t.Helper()
	p := startAgent(t, "node0", "-http=0", "-event-handler=true")
	p.waitFor(t, "HTTP API: http://")
	_, after, _ := strings.Cut(p.output(), "HTTP API: ")
	url, _, _ := strings.Cut(after, "\n")
	resp, err := http.Get(url + "metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %v: %s", resp.StatusCode, err, text)
	}
	return string(text)
}

// checkPanels looks for what makes a dashboard unreadable: panels over each other,
// beyond the edge, without a title or a question.
func checkPanels(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile("../../dist/grafana/ibuki.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(content, &doc); err != nil {
		t.Fatal(err)
	}
	cells := make(map[[2]int]int)
	for _, p := range doc.Panels {
		if p.Title == "" || len(p.Targets) == 0 || p.Targets[0].Expr == "" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q is not whole", p.ID, p.Title)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := cells[at]; other != 0 {
					t.Fatalf("panels %d and %d are over each other", other, p.ID)
				}
				cells[at] = p.ID
			}
		}
	}
	if len(doc.Panels) < 10 {
		t.Errorf("%d panels", len(doc.Panels))
	}
}
