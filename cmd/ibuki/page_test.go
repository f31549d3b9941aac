//go:build unix

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestDashboard looks at the dashboard in a browser. Pictures of it are kept where
// IBUKI_SCREENSHOTS says.
func TestDashboard(t *testing.T) {
	b := startBrowser(t)
	silent := openSilentPage(t, b)
	t.Run("cluster", func(t *testing.T) { clusterPage(t, b) })
	t.Run("handled", func(t *testing.T) { handledPage(t, b) })
	t.Run("locked", func(t *testing.T) { lockedPage(t, b) })
	t.Run("dead ends", func(t *testing.T) { deadEnds(t, b) })
	t.Run("resumed", func(t *testing.T) { resumedPage(t, b) })
	t.Run("silent", func(t *testing.T) { silentPage(t, silent) })
	if !raceEnabled { // it is about looks and times
		t.Run("large", func(t *testing.T) { largePage(t, b) })
		t.Run("smooth", func(t *testing.T) { smoothPage(t, b) })
	}
}

// row is the row of a member, as an expression.
func row(name string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#rows tr")].find((r) => r.querySelector(".name").textContent === %q)`, name)
}

// clusterPage follows a cluster of three real agents: one joins after the other, one is
// killed and started again, and so is in the end the one whose page it is.
func clusterPage(t *testing.T, b browser) {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, gatewaySays) }))
	defer gateway.Close()
	host := testHost(t)
	args := []string{"-http=" + host + ":8500", "-gateway-status=" + gateway.Listener.Addr().String()}
	node0 := startAgentAt(t, host, "node0", args...)
	p := b.open(t, "http://"+host+":8500/", 1280, 960, false)
	p.until("node0 is alone", row("node0")+` && document.getElementById("members-empty").textContent.includes("ibuki join")`)
	p.until("the gateway is there", `document.querySelectorAll("#gateway tbody tr").length === 3`)
	p.whole("one")
	p.sound()

	node1 := startAgent(t, "node1", "-retry-join="+node0.addr, "-tag=role=web", "-tag=dc=tokyo")
	startAgent(t, "node2", "-retry-join="+node0.addr, "-tag=role=db")
	p.until("three are alive", `document.querySelector(".s-alive b").textContent === "3"`)
	if out, code := runProgram(t, "event", "-rpc-addr="+node0.rpc, "deploy", "1.2.3"); code != 0 {
		t.Fatal(out)
	}
	if out, code := runProgram(t, "query", "-rpc-addr="+node0.rpc, "-timeout=1s", "uptime"); code != 0 {
		t.Fatal(out)
	}
	p.until("event and query passed", `document.querySelector("#traffic .e-event code")?.textContent === "1.2.3" && document.querySelector("#traffic .e-query b")?.textContent === "uptime"`)
	p.until("round trips are known", row("node1")+`.querySelector(".c-rtt").textContent.includes("ms") && document.getElementById("heat-empty").textContent.startsWith("Known of 3 of 3 live members. The longest round trip is")
		&& document.getElementById("well-text").textContent === "3 of 3 alive"`)
	p.shot("three")
	p.whole("three-whole")
	p.sound()

	killed := time.Now()
	if err := node1.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.until("node1 failed", row("node1")+`?.dataset.state === "failed"`)
	took := time.Since(killed)
	t.Logf("a killed node was shown as failed after %v", took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("a killed node was shown as failed only after %v", took)
	}
	p.until("the headline says so", `document.getElementById("well-text").textContent === "2 of 3 alive · 1 failed" && document.getElementById("well").dataset.state === "failed"`)
	p.until("the timeline says so", `document.querySelector("#timeline .e-failed")?.textContent.includes("node1 failed")`)
	p.until("it is said aloud", `document.getElementById("announce").textContent.includes("failed: node1.")`)
	p.js(row("node1") + `.querySelector(".name").click()`)
	p.until("it says why", `document.querySelector("#drawer .why")?.textContent.includes("crashed")`)
	p.shot("killed-why")
	p.sound()
	p.js(`document.getElementById("drawer-close").click()`)
	p.shot("killed")
	p.sound()

	_ = node1.Wait()
	startAgentAt(t, strings.TrimSuffix(node1.addr, ":7946"), "node1", "-retry-join="+node0.addr, "-tag=role=web", "-tag=dc=tokyo")
	p.until("node1 is back", row("node1")+`?.dataset.state === "alive" && document.querySelector("#timeline .e-back")?.textContent.includes("flap")`)
	p.shot("back")

	if err := node0.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.until("the agent is gone", `document.getElementById("banner").textContent.startsWith("The agent is gone")`)
	p.shot("gone")
	p.sound()
	_ = node0.Wait()
	startAgentAt(t, host, "node0", append(args, "-retry-join="+node1.addr)...)
	p.until("it is live again, and says that something was missed", `document.getElementById("link-text").textContent === "Connected" && document.getElementById("banner").hidden
		&& document.querySelector("#timeline .e-gap")?.textContent.includes("the agent was restarted")`)
	p.until("all three are there", `document.querySelector(".s-alive b").textContent === "3" && !document.body.classList.contains("stale")`)
	p.shot("resumed")
	p.sound()
	p.close()
}

// gatewaySays is the /status of a gateway of three servers, one of which is away.
const gatewaySays = `{"version": "1", "uptime_seconds": 90, "live_nodes": {"file": "live-nodes.json", "loaded": true, "stale": false, "alone": false, "alive": 2, "nodes": 3},
"cluster": {"log": {"formed": true, "leader": "10.0.0.50:10040", "term": 7, "members": ["10.0.0.50:10040", "10.0.0.51:10040", "10.0.0.52:10040"], "leased": true, "bytes": 7340032, "most": 1073741824}, "reads": 120931, "hedges": 640, "refused": 0, "underway": 3, "hedge_after_ms": 9.5, "median_ms": 1.4,
"gateways": [{"address": "10.0.0.51:10040", "node": "10.0.0.51", "reachable": true}, {"address": "10.0.0.52:10040", "node": "10.0.0.52", "reachable": false}],
"volumes": [
{"address": "10.0.0.50:10041", "node": "10.0.0.50", "slices": ["Items 0"], "state": "active", "listed": true, "server": "up", "behind": false, "waiting": 0, "position": {"state": "up", "why": "", "applied": 9120, "durable": 9000}, "outstanding": 1, "answers": 60211, "failures": 0, "delivered": 9120, "median_ms": 1.3, "p99_ms": 8.8},
{"address": "10.0.0.51:10041", "node": "10.0.0.51", "slices": ["Items 0"], "state": "active", "listed": true, "server": "up", "behind": false, "waiting": 0, "outstanding": 2, "answers": 60010, "failures": 1, "delivered": 9118, "median_ms": 1.5, "p99_ms": 9.1},
{"address": "10.0.0.52:10041", "node": "10.0.0.52", "slices": ["Items 0"], "state": "dead", "listed": false, "server": "down", "fault": "connection refused", "behind": true, "waiting": 0, "outstanding": 0, "answers": 710, "failures": 4, "delivered": 120, "median_ms": 1.4, "p99_ms": 7.7}]}}`
