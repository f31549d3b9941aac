//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/dashboard"
	"github.com/ibuki-dev/ibuki/diagnose"
	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/rpc"
)

// pageAgent is an agent of a cluster that is only a list.
type pageAgent struct {
	list   live.List
	events chan rpc.Event
	coords map[string]*rpc.Coordinate
}

func (a *pageAgent) Live() *live.List { return &a.list }
func (a *pageAgent) Members() []rpc.Member {
	var all []rpc.Member
	for e := range a.list.Current().All() {
		all = append(all, rpc.Member{Name: e.Name, DelegateMin: 2, DelegateMax: 5, DelegateCur: 5, ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2})
	}
	return all
}
func (a *pageAgent) Stats() map[string]map[string]string {
	return map[string]map[string]string{"serf": {"health_score": "0", "encrypted": "true"}}
}
func (a *pageAgent) Coordinate(node string) (*rpc.Coordinate, error) { return a.coords[node], nil }
func (a *pageAgent) UserEvent(string, []byte, bool) error            { return nil }
func (a *pageAgent) Query(rpc.QueryRequest, func(rpc.QueryRecord)) error {
	return nil
}
func (a *pageAgent) Subscribe() (<-chan rpc.Event, func() int, func()) {
	return a.events, func() int { return 0 }, func() {}
}

// hangingAgent is one whose loop does not answer any more.
type hangingAgent struct {
	*pageAgent
	hangs chan struct{} // closed: it answers again
}

func (a hangingAgent) Stats() map[string]map[string]string {
	<-a.hangs
	return a.pageAgent.Stats()
}

// newPageAgent is one of n members in three places.
func newPageAgent(n int) *pageAgent {
	a := &pageAgent{events: make(chan rpc.Event, 100), coords: map[string]*rpc.Coordinate{}}
	r := rand.New(rand.NewPCG(1, 2))
	roles := []string{"web", "db", "search", "cache"}
	places := []string{"tokyo-1", "osaka-2", "sapporo-1"}
	now := time.Now()
	var all []live.Entry
	for i := range n {
		place := i % len(places)
		name := fmt.Sprintf("%s-%s-%03d", roles[i%len(roles)], places[place], i)
		e := live.Entry{Name: name, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(place), byte(i >> 8), byte(i)}), 7946), Status: live.Alive,
			Since: now.Add(-time.Duration(r.IntN(9e5)) * time.Second), Tags: []live.Tag{{Key: "dc", Value: places[place]}, {Key: "role", Value: roles[i%len(roles)]}}}
		switch {
		case i%211 == 17:
			e.Status, e.Verdict = live.Failed, []string{"crashed", "silent", "hung"}[i%3]
		case i%307 == 19:
			e.Degraded, e.Verdict = true, "hung"
		case i%401 == 23:
			e.Status = live.Left
		}
		all = append(all, e)
		vec := make([]float64, 8)
		for j := range vec {
			vec[j] = r.NormFloat64() * 0.0004
		}
		vec[0] += float64(place) * 0.009
		vec[1] += float64(place%2) * 0.004
		a.coords[name] = &rpc.Coordinate{Vec: vec, Height: 0.0002}
	}
	a.list.Load(now, all)
	return a
}

// servePage serves the page of an agent.
func servePage(t *testing.T, a dashboard.Agent, name string, guard *access.Guard) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := dashboard.New(dashboard.Config{Agent: a, Guard: guard, Name: name, Version: "1", Logger: slog.New(slog.DiscardHandler),
		Why: func(_ context.Context, node string, _ bool) (any, error) {
			return diagnose.NewCase(node, "alive", nil, 1, time.Now().Add(-time.Hour)).Report(), nil
		}})
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { s.Close(); wg.Wait() })
	return "http://" + l.Addr().String() + "/"
}

// largePage looks at a page of 1,000 members: at a desk, in the dark, on a phone.
func largePage(t *testing.T, b browser) {
	a := newPageAgent(1000)
	url := servePage(t, a, a.Members()[0].Name, nil)
	for _, one := range []struct {
		name          string
		width, height int
		dark          bool
	}{{"thousand", 1440, 1000, false}, {"thousand-dark", 1440, 1000, true}, {"phone", 390, 844, false}, {"tablet-dark", 820, 1180, true}, {"small-phone", 320, 640, false}} {
		p := b.open(t, url, one.width, one.height, one.dark)
		p.until("there are 1,000", `document.getElementById("members-foot").textContent.startsWith("1,000")`)
		for i := 0; i < 12 && one.name == "thousand"; i++ {
			a.events <- rpc.Event{Type: []string{"user", "query"}[i%4/3], Name: "deploy", LTime: uint64(i), Payload: fmt.Appendf(nil, `{"version": "1.2.%d", "by": "operator"}`, i)}
		}
		p.until("there are events", `document.querySelectorAll("#traffic li").length === 12`)
		p.js(`document.getElementById("heat").scrollIntoView()`)
		p.until("there is a map of round trips", `document.getElementById("heat-summary").textContent.includes("half of the round trips")`)
		p.js(`scrollTo(0, 0)`)
		p.shot(one.name)
		p.whole(one.name + "-whole")
		p.sound()
		if rows := eval[int](p, `document.querySelectorAll("#rows tr").length`); rows > 100 {
			t.Errorf("%s: there are %d rows", one.name, rows)
		}
		p.close()
	}
}

// frames is what a page measured of itself.
type frames struct{ Median, P95, Worst, Frames, Pictures, DrawMedian, DrawP99, Touched float64 }

const measureFrames = `new Promise((done) => {
	const took = [], at = (list, q) => list[Math.min(list.length - 1, Math.floor(q * list.length))];
	ibukiDrawn.length = 0;
	const begun = performance.now();
	let last = begun, changes = 0;
	new MutationObserver((list) => { changes += list.length; }).observe(document.getElementById("rows"), { subtree: true, childList: true, characterData: true, attributes: true });
	const scroller = document.getElementById("scroller");
	const next = (now) => {
		took.push(now - last);
		last = now;
		scroller.scrollTop = (scroller.scrollTop + 60) % 30000;
		if (now - begun < 1500 || took.length < 8) return requestAnimationFrame(next);
		took.shift();
		took.sort((a, b) => a - b);
		const drawn = ibukiDrawn.slice().sort((a, b) => a - b);
		done({ Median: at(took, 0.5), P95: at(took, 0.95), Worst: took.at(-1), Frames: took.length + 1, Pictures: drawn.length, Touched: changes, DrawMedian: at(drawn, 0.5) ?? 0, DrawP99: at(drawn, 0.99) ?? 0 });
	};
	requestAnimationFrame(next);
})`

// smoothPage measures how long pictures take of a page that is scrolled: while nothing
// happens, and while 500 times a second a member fails or is back.
func smoothPage(t *testing.T, b browser) {
	a := newPageAgent(1000)
	p := b.open(t, servePage(t, a, a.Members()[0].Name, nil), 1440, 1000, false)
	p.until("there are 1,000", `document.getElementById("members-foot").textContent.startsWith("1,000")`)
	p.until("there is a map of round trips", `document.getElementById("heat-summary").textContent.includes("half of the round trips")`)
	calm := eval[frames](p, measureFrames)
	ctx, cancel := context.WithCancel(t.Context())
	var flips sync.WaitGroup
	flips.Go(func() { a.flip(ctx) })
	busy := eval[frames](p, measureFrames)
	cancel()
	flips.Wait()
	t.Logf("1,000 members, scrolled: a picture every %.1f ms (95 of 100 within %.1f, worst %.1f)", calm.Median, calm.P95, calm.Worst)
	t.Logf("with 500 changes a second: a picture every %.1f ms (95 of 100 within %.1f, worst %.1f); %.0f were made, half within %.1f ms, 99 of 100 within %.1f ms; %.0f nodes changed",
		busy.Median, busy.P95, busy.Worst, busy.Pictures, busy.DrawMedian, busy.DrawP99, busy.Touched)
	p.sound()
	// How long a picture takes is the machine's. That there is at most one a frame, and
	// that it changes a few nodes of each row in sight only, keeps it from stuttering.
	if busy.Pictures > busy.Frames+1 {
		t.Errorf("%.0f pictures were made in %.0f frames", busy.Pictures, busy.Frames)
	}
	if most := 600 * (busy.Frames + 1); busy.Touched > most {
		t.Errorf("%.0f nodes of the list were changed in %.0f frames, want at most %.0f", busy.Touched, busy.Frames, most)
	}
	want := a.list.Current().NumAlive()
	p.until("it shows what is so in the end", fmt.Sprintf(`[...document.querySelectorAll(".s-alive b, .s-degraded b")].reduce((n, b) => n + Number(b.textContent.replace(",", "")), 0) === %d`, want))
	p.close()
}

// flip has members fail and come back, 500 times a second.
func (a *pageAgent) flip(ctx context.Context) {
	all := a.list.Current()
	var entries []live.Entry
	for e := range all.Alive() {
		entries = append(entries, *e)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		kind, at := live.Fail, (n/2*10)%len(entries)
		if n%2 == 1 {
			kind = live.Join
		}
		a.list.Apply(time.Now(), live.Change{Kind: kind, Entries: entries[at:min(at+10, len(entries))]})
	}
}

// handledPage uses a page without a mouse, and as a screen reader hears it.
func handledPage(t *testing.T, b browser) {
	a := newPageAgent(1000)
	p := b.open(t, servePage(t, a, a.Members()[0].Name, nil), 1280, 900, false)
	p.until("there are 1,000", `document.getElementById("members-foot").textContent.startsWith("1,000")`)
	a.events <- rpc.Event{Type: "user", Name: "deploy"}
	p.until("there is an event", `document.querySelectorAll("#traffic .e-event").length === 1`)
	at := func() string {
		return eval[string](p, `(() => { const e = document.activeElement; return e === document.body ? "" : e.id || e.className || e.textContent.trim(); })()`)
	}
	var stops []string
	for range 40 {
		p.do(chromedp.KeyEvent(kb.Tab))
		stop := at()
		if len(stops) > 0 && stop == stops[0] || stop == "" {
			break
		}
		stops = append(stops, stop)
		if visible := eval[bool](p, `(() => { const e = document.activeElement, r = e.getBoundingClientRect();
			return e === document.body || r.width > 0 && getComputedStyle(e).outlineStyle !== "none" || getComputedStyle(e, "::after").outlineStyle !== "none"; })()`); !visible {
			t.Errorf("it cannot be seen that %s has the keyboard", stop)
		}
	}
	order := strings.Join(stops, " > ")
	for _, want := range []string{"skip > pause > filter > chip", " > name > span > timeline-scroll > traffic-scroll > heat-order > heat-map"} {
		if !strings.Contains(order, want) {
			t.Errorf("the keyboard goes %s, want %s in it", order, want)
		}
	}
	// Down the list, into a member and back out to it.
	p.js(`document.querySelector("#rows .name:not([tabindex='-1'])").focus()`)
	p.do(chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.PageDown), chromedp.KeyEvent(kb.End))
	last := eval[string](p, `document.activeElement.textContent`)
	if index := eval[string](p, `document.activeElement.closest("tr").getAttribute("aria-rowindex")`); index != "1001" {
		t.Errorf("End leads to row %s", index)
	}
	p.do(chromedp.KeyEvent(kb.Enter))
	p.until("the member is open", `document.getElementById("drawer").open && document.getElementById("drawer-body").textContent.includes("Changes")`)
	p.shot("member")
	p.sound()
	p.do(chromedp.KeyEvent(kb.Escape))
	p.until("the keyboard is where it was", `!document.getElementById("drawer").open && document.activeElement.textContent === `+strconv.Quote(last))
	// The filter, and what it leaves.
	p.js(`document.getElementById("filter").focus()`)
	p.do(chromedp.KeyEvent("failed tokyo"))
	p.until("only two are left", `document.getElementById("members-foot").textContent === "2 of 1,000 members" && document.querySelectorAll("#rows tr").length === 2`)
	p.shot("filtered")
	p.js(`const f = document.getElementById("filter"); f.value = "tag:role=web -state:alive"; f.dispatchEvent(new Event("input"))`)
	p.until("the filter knows fields", `document.getElementById("members-foot").textContent === "3 of 1,000 members" && location.search === "?filter=tag%3Arole%3Dweb+-state%3Aalive"`)
	linkedPage(t, b, eval[string](p, `location.href`))
	p.js(`document.getElementById("filter").focus()`)
	p.do(chromedp.KeyEvent(kb.Escape))
	p.until("all are there", `document.getElementById("members-foot").textContent === "1,000 members"`)
	heard(t, p)
	p.sound()
	p.close()
}

// linkedPage: a link shows what its sender saw, and a member of it.
func linkedPage(t *testing.T, b browser, link string) {
	p := b.open(t, link+"&member=web-tokyo-1-228", 1280, 900, true)
	p.until("the link shows the same", `document.getElementById("members-foot").textContent === "3 of 1,000 members" && document.getElementById("drawer").open
		&& document.getElementById("drawer-title").textContent.startsWith("web-tokyo-1-228")`)
	p.until("a command to copy is there", `document.querySelector("#drawer .command code")?.textContent === "ibuki why web-tokyo-1-228"`)
	p.js(`[...document.querySelectorAll("#drawer button")].find((b) => b.textContent === "Ask all members").click()`)
	p.until("it says what to do without a token", `document.querySelector("#drawer [role=alert]")?.textContent.includes("The command below asks them without one")`)
	p.shot("linked")
	p.sound()
	p.js(`document.getElementById("drawer-close").click()`)
	p.until("the address names it no more", `!location.search.includes("member")`)
	p.close()
}

// deadEnds: what a person sees who opens the page by a name that it does not answer to,
// or gives a token where none is needed.
func deadEnds(t *testing.T, b browser) {
	a := newPageAgent(3)
	url := servePage(t, a, a.Members()[0].Name, nil)
	p := b.open(t, strings.Replace(url, "127.0.0.1", "node0.localhost", 1), 1024, 768, false)
	p.until("it says what to do", `document.getElementById("banner").textContent.includes("Open this page by the agent's IP address")
		&& document.querySelector("#banner code").textContent === '"http_hosts": ["node0.localhost"]' && !document.getElementById("token").open`)
	p.shot("misnamed")
	p.close()
	p = b.open(t, url, 1024, 768, false)
	p.js(`sessionStorage.setItem("ibuki-token", "no such token is known"); location.reload()`)
	p.until("a token that is not needed is no hindrance", `document.getElementById("well-text")?.textContent === "3 of 3 alive" && sessionStorage.length === 0`)
	p.close()
}

// heard checks what a screen reader is told.
func heard(t *testing.T, p *tab) {
	t.Helper()
	nodes := call(p, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes
	there := make(map[string]int)
	for _, n := range nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		role, name := axText(n.Role), axText(n.Name)
		there[role+" "+name]++
		switch role {
		case "button", "textbox", "searchbox", "combobox", "table", "dialog":
			if name == "" {
				t.Errorf("a %s has no name", role)
			}
		}
	}
	for _, want := range []string{"banner ", "main ", "heading Members", "heading Timeline", "heading Round trips", "region Members", "region Events and queries", "table Members",
		"columnheader State", "searchbox Filter by name, address, tag or state", "image Round-trip times between members", "group Show only", "button failed 5"} {
		if there[want] == 0 {
			t.Errorf("a screen reader finds no %q", want)
		}
	}
	if n := eval[int](p, `document.querySelectorAll("[aria-live]:not([aria-live=off]), [role=status], [role=alert]").length`); n != 3 {
		t.Errorf("%d parts speak by themselves", n)
	}
}

func axText(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	var text string
	_ = json.Unmarshal(v.Value, &text)
	return text
}

// openSilentPage opens the page of an agent that hangs, which takes a while to be seen.
func openSilentPage(t *testing.T, b browser) *tab {
	a := hangingAgent{newPageAgent(3), make(chan struct{})}
	url := servePage(t, a, a.Members()[0].Name, nil)
	t.Cleanup(func() { close(a.hangs) }) // before the server is ended
	return b.open(t, url, 1024, 768, false)
}

// silentPage: the page says that the agent does not answer, though its stream is open.
func silentPage(t *testing.T, p *tab) {
	p.t = t
	p.until("the agent does not answer", `document.getElementById("link-text").textContent === "No answer" && document.body.classList.contains("stale")
		&& document.getElementById("banner").textContent.startsWith("The agent does not answer since")`)
	p.shot("silent")
	p.sound()
	p.close()
}

// lockedPage asks for a token where the API wants one, and keeps it for the tab alone.
func lockedPage(t *testing.T, b browser) {
	const good, weak = "0123456789abcdef-read", "0123456789abcdef-event"
	guard := &access.Guard{}
	if err := guard.Set([]access.Token{{Name: "r", Secret: good, Verbs: access.Read}, {Name: "e", Secret: weak, Verbs: access.Event}}, 0); err != nil {
		t.Fatal(err)
	}
	a := newPageAgent(5)
	p := b.open(t, servePage(t, a, a.Members()[0].Name, guard), 1024, 768, false)
	give := func(secret string) {
		p.until("a token is asked for", `document.getElementById("token").open && document.activeElement.id === "token-input"`)
		p.do(chromedp.KeyEvent(secret + kb.Enter))
	}
	p.until("a token is asked for", `document.getElementById("token-why").textContent.includes("nobody read without one")`)
	p.shot("token")
	p.sound()
	give("wrong")
	p.until("it was not good", `document.getElementById("token").open && document.getElementById("token-why").textContent.includes("is not, or no longer, good")`)
	give(weak)
	p.until("it was not good for that", `document.getElementById("token").open && document.getElementById("token-why").textContent.includes("not good for reading")`)
	give(good)
	p.until("there are five", `!document.getElementById("token").open && document.getElementById("members-foot").textContent.startsWith("5 ")`)
	if kept := eval[string](p, `JSON.stringify([Object.values({...sessionStorage}), Object.values({...localStorage}), document.cookie, location.href.includes("0123")])`); kept != `[["`+good+`"],[],"",false]` {
		t.Errorf("it keeps %s", kept)
	}
	p.sound()
	p.close()
}
