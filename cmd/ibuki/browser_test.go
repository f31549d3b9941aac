//go:build unix

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browserPatience is how long anything that a page is to show may take, on a machine
// that does much else.
const browserPatience = 30 * time.Second

// browser is a headless Chromium of one test's own.
type browser struct{ ctx context.Context }

// startBrowser starts Chromium with nothing of anybody's in it, and with further flags. It ends with the test.
func startBrowser(t *testing.T, more ...chromedp.ExecAllocatorOption) browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no program: ", err)
	}
	dir, err := os.MkdirTemp("", "ibuki-browser-")
	if err != nil {
		t.Fatal(err)
	}
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
	}
	for _, flag := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync",
		"disable-default-apps", "disable-extensions", "disable-dev-shm-usage", "disable-breakpad"} {
		opts = append(opts, chromedp.Flag(flag, true))
	}
	opts = append(opts, more...)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, _ := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		end, stop := context.WithTimeout(ctx, browserPatience)
		_ = chromedp.Cancel(end)
		stop()
		cancel()
		os.RemoveAll(dir)
	})
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	return browser{ctx}
}

// tab is one page in it, and what went wrong there.
type tab struct {
	t     *testing.T
	ctx   context.Context
	close func()
	bad   chan string // what the page's own code threw

	width, height int
}

// open opens a page of a size; dark is what its user prefers.
func (b browser) open(t *testing.T, url string, width, height int, dark bool) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx, close: cancel, bad: make(chan string, 100), width: width, height: height}
	err := chromedp.Listen(ctx, func(e any) {
		if e, ok := e.(*runtime.EventExceptionThrown); ok {
			select {
			case p.bad <- (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error():
			default:
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: map[bool]string{false: "light", true: "dark"}[dark]}}})
	p.size(height)
	call(p, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `globalThis.refused = [];
		addEventListener("securitypolicyviolation", (e) => refused.push(e.violatedDirective + " " + e.blockedURI));`})
	p.do(chromedp.Navigate(url))
	return p
}

// size makes the window so high.
func (p *tab) size(height int) {
	p.t.Helper()
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: int64(p.width), Height: int64(height), DeviceScaleFactor: 1, Mobile: p.width < 600})
}

func call[P, R any](p *tab, c cdp.Command[P, R], params P) R {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, browserPatience)
	defer cancel()
	r, err := chromedp.Call(ctx, c, params)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, browserPatience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// eval is the value of an expression, or of the promise that it is.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, browserPatience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// js runs what has no value.
func (p *tab) js(statement string) {
	p.t.Helper()
	eval[bool](p, statement+"; true")
}

// holds reports whether an expression is true. It is not while the page is loaded anew,
// which ends what was asked of the one before.
func (p *tab) holds(expression string) bool {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, browserPatience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Promise.resolve("+expression+").then(Boolean)", chromedp.EvalAwaitPromise))
	if err != nil && !strings.Contains(err.Error(), "navigated") {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return err == nil && v
}

// until waits for an expression to be true.
func (p *tab) until(what, expression string) {
	p.t.Helper()
	for end := time.Now().Add(browserPatience); !p.holds(expression); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			p.shot("failed")
			p.t.Fatalf("the page does not show that %s; it shows:\n%s", what, eval[string](p, "document.body.innerText"))
		}
	}
}

// shot keeps a picture of what can be seen, where IBUKI_SCREENSHOTS says.
func (p *tab) shot(name string) {
	p.t.Helper()
	dir := os.Getenv("IBUKI_SCREENSHOTS")
	if dir == "" {
		return
	}
	p.keep(dir, name, picture(p, chromedp.CaptureScreenshot()))
}

// whole is shot, of the whole page, as if the window were as high as it.
func (p *tab) whole(name string) {
	p.t.Helper()
	dir := os.Getenv("IBUKI_SCREENSHOTS")
	if dir == "" {
		return
	}
	p.size(eval[int](p, "document.documentElement.scrollHeight"))
	p.until("it is painted anew", "new Promise((done) => setTimeout(() => requestAnimationFrame(() => done(true)), 300))")
	p.keep(dir, name, picture(p, chromedp.CaptureScreenshot()))
	p.size(p.height)
}

func picture(p *tab, take chromedp.Action[[]byte]) []byte {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, browserPatience)
	defer cancel()
	png, err := chromedp.Run(ctx, take)
	if err != nil {
		p.t.Fatal(err)
	}
	return png
}

func (p *tab) keep(dir, name string, png []byte) {
	p.t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// sound checks what has to hold of a page at any time: no error, nothing asked for that its
// policy forbids, nothing wider than the window, and no text cut off that has no other way
// to be read.
func (p *tab) sound() {
	p.t.Helper()
	for len(p.bad) > 0 {
		p.t.Errorf("the page threw: %s", <-p.bad)
	}
	faults := eval[[]string](p, `(() => {
		const faults = refused.map((r) => "refused: " + r);
		const wide = document.documentElement.scrollWidth - innerWidth;
		if (wide > 0) faults.push("the page is " + wide + " px wider than the window");
		const seen = (e) => e.checkVisibility({ contentVisibilityAuto: true, visibilityProperty: true });
		for (const e of document.querySelectorAll("main h2, main button, main label, main th, main td, main dd, main dt, main p, main li, header *, dialog[open] *")) {
			if (!seen(e) || e.closest(".quiet, svg") || e.title || e.closest("[title]")) continue;
			const s = getComputedStyle(e);
			if (e.scrollWidth > e.clientWidth + 1 && s.overflowX !== "visible" && s.overflowX !== "auto" && e.clientWidth > 0) faults.push("cut off: " + e.tagName + " " + e.className + " " + e.textContent.slice(0, 60));
		}
		const panels = [...document.querySelectorAll(".panel")].filter(seen).map((e) => [e.className, e.getBoundingClientRect()]);
		for (const [a, r] of panels) {
			for (const [b, q] of panels) if (a < b && r.left < q.right - 1 && q.left < r.right - 1 && r.top < q.bottom - 1 && q.top < r.bottom - 1) faults.push(a + " lies over " + b);
			const panel = document.querySelector("." + a.split(" ").join("."));
			for (const e of panel.children) {
				const c = e.getBoundingClientRect();
				if (seen(e) && !e.matches(".quiet") && c.height && (c.bottom > r.bottom + 1 || c.right > r.right + 1)) faults.push(e.className + " sticks out of " + a);
			}
		}
		return faults;
	})()`)
	for _, f := range faults {
		p.t.Error(f)
	}
}
