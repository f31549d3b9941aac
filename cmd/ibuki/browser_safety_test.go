//go:build unix

package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// apiOf is where an agent says that its API is.
func (p *agentProcess) apiOf(t *testing.T) *url.URL {
	t.Helper()
	p.waitFor(t, "HTTP API: ")
	_, after, _ := strings.Cut(p.output(), "HTTP API: ")
	text, _, _ := strings.Cut(after, "\n")
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestBrowserPagesElsewhere: what a real browser lets a page from elsewhere do to an agent on the same
// machine, whose API anybody there may read, and to one whose operator's browser has a
// client certificate.
func TestBrowserPagesElsewhere(t *testing.T) {
	t.Parallel()
	b := startBrowser(t, chromedp.Flag("host-resolver-rules", "MAP *.example 127.0.0.1"))

	t.Run("a name that was made to lead here", func(t *testing.T) {
		p, _ := accessAgent(t, `{"http": "0", "http_hosts": ["node0.example"]}`)
		port := p.apiOf(t).Port()
		for host, ok := range map[string]bool{"127.0.0.1": true, "localhost": true, "node0.example": true,
			"evil.example": false, "unix.evil.example": false, "unix.example": false, "node0.example.evil.example": false} {
			tab := b.open(t, "http://"+host+":"+port+"/page/nothing", 800, 600, false)
			text := eval[string](tab, `fetch("/v1/members").then(r => r.text())`)
			if shown := strings.Contains(text, `"name":"n1"`); shown != ok || !ok && !strings.Contains(text, "http_hosts") {
				t.Errorf("asked for as %s: %s", host, text)
			}
			tab.close()
		}
	})

	t.Run("posts with the operator's certificate", func(t *testing.T) {
		p, file := accessAgent(t, `{"http": "0", "http_tls": true, "tls": {"cert_file": "DIR/server.pem", "key_file": "DIR/server.key", "client_ca_file": "DIR/ca.pem"},
			"http_hosts": ["ops.example"], "tokens": [{"name": "ops", "cert": "ops", "verbs": ["read", "event", "query"]}]}`)
		front, statuses := certificateOf(t, p.apiOf(t), file)
		elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, `<form method="post" enctype="text/plain" target="f"><input name='{"name":"form","payload":"' value='"}'></form><iframe name="f"></iframe>`)
		}))
		defer elsewhere.Close()
		_, port, _ := net.SplitHostPort(elsewhere.Listener.Addr().String())
		tab := b.open(t, "http://evil.example:"+port+"/", 800, 600, false)
		for _, host := range []string{"ops.example", "127.0.0.1"} {
			event := fmt.Sprintf("http://%s:%s/v1/event", host, front)
			for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "application/json"} {
				eval[string](tab, fmt.Sprintf(`fetch(%q, {method: "POST", mode: "no-cors", credentials: "include", headers: {"Content-Type": %q}, body: '{"name":"fetch"}'}).then(() => "", e => String(e))`, event, kind))
			}
			eval[string](tab, fmt.Sprintf(`fetch(%q, {method: "POST", credentials: "include", headers: {"Content-Type": "application/json"}, body: '{"name":"cors"}'}).then(() => "", e => String(e))`, event))
			eval[bool](tab, fmt.Sprintf(`navigator.sendBeacon(%q, new Blob(['{"name":"beacon"}'], {type: "text/plain"}))`, event))
			eval[bool](tab, fmt.Sprintf(`new Promise(done => { document.querySelector("iframe").onload = () => done(true); const f = document.forms[0]; f.action = %q; f.submit(); })`, event))
		}
		got := statuses()
		refused := 0
		for _, s := range got {
			if strings.HasPrefix(s, "POST /v1/event 2") {
				t.Errorf("a page elsewhere got %s", s)
			}
			if strings.HasPrefix(s, "POST /v1/event 4") {
				refused++
			}
		}
		if refused < 6 {
			t.Errorf("only %d posts came, so that this says nothing: %q", refused, got)
		}
		tab.close()
		// The agent's own page may.
		own := b.open(t, "http://ops.example:"+front+"/page/nothing", 800, 600, false)
		if text := eval[string](own, `fetch("/v1/event", {method: "POST", headers: {"Content-Type": "application/json"}, body: '{"name":"own"}'}).then(r => r.text())`); !strings.Contains(text, "sent") {
			t.Errorf("the agent's own page: %s", text)
		}
		own.close()
	})
}

// certificateOf is a port at which requests go to an agent as they are, with the operator's certificate,
// as a browser that has it sends them; statuses are what became of each so far.
func certificateOf(t *testing.T, api *url.URL, file func(string) string) (port string, statuses func() []string) {
	t.Helper()
	ca, err := os.ReadFile(file("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	cert, err := tls.LoadX509KeyPair(file("ops.pem"), file("ops.key"))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []string
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(api)
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}}, DisableKeepAlives: true},
		ModifyResponse: func(r *http.Response) error {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, fmt.Sprint(r.Request.Method, " ", r.Request.URL.Path, " ", r.StatusCode))
			return nil
		},
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	_, port, _ = net.SplitHostPort(front.Listener.Addr().String())
	return port, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), all...)
	}
}
