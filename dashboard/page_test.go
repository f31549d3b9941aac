package dashboard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/access"
)

// nowhere is where nothing listens.
const nowhere = "127.0.0.1:1"

// whyOf is a Config.Why of canned answers.
func whyOf(_ context.Context, node string, all bool) (any, error) {
	if node == "n2" {
		return nil, errors.New("the agent has ended")
	}
	return map[string]any{"node": node, "all": all}, nil
}

// TestPage: the page is there for everybody, whole, guarded, and asks for nothing from elsewhere.
func TestPage(t *testing.T) {
	s := serve(t, func(c *Config) {
		if err := c.Guard.Set(nil, 0); err != nil {
			t.Fatal(err)
		}
	})
	parts := []string{"/"}
	err := fs.WalkDir(pageFiles, "page", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			parts = append(parts, "/"+p)
		}
		return err
	})
	if err != nil || len(parts) < 5 {
		t.Fatalf("%v %v", parts, err)
	}
	elsewhere := regexp.MustCompile(`(?i)(src|href|url\(|from|import|fetch\()\s*[=(]?\s*["']?(https?:)?//`)
	for _, path := range parts {
		req, _ := http.NewRequest("GET", "http://"+s.addr+path, nil)
		req.Host = "ibuki.example" // it may be looked at under any name: it tells nothing
		for range 2 {
			resp, err := s.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			h := resp.Header
			if again := req.Header.Get("If-None-Match") != ""; resp.StatusCode != map[bool]int{false: 200, true: 304}[again] || again == (len(body) > 0) {
				t.Errorf("%s: status %d, %d bytes", path, resp.StatusCode, len(body))
			}
			if !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none';") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-cache" {
				t.Errorf("%s: headers %v", path, h)
			}
			if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") || h.Get("Content-Type") == "application/octet-stream" {
				t.Errorf("%s: headers %v", path, h)
			}
			if m := elsewhere.Find(body); m != nil {
				t.Errorf("%s asks for something elsewhere: %s", path, m)
			}
			req.Header.Set("If-None-Match", h.Get("ETag"))
		}
	}
}

func TestWhy(t *testing.T) {
	s := serve(t, func(c *Config) { c.Why = whyOf })
	for _, test := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/v1/why/n1", 200, `{"all":false,"node":"n1"}`},
		{"POST", "/v1/why/n1", 401, "authentication required"},
		{"GET", "/v1/why/nobody", 404, "no member"},
		{"GET", "/v1/why/n2", 503, "the agent has ended"},
		{"GET", "/v1/why/10.0.0.1:10031/droonga", 200, `"node":"10.0.0.1:10031/droonga"`},
	} {
		if status, body := s.ask(test.method, test.path, "", ""); status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path, status, body, test.status, test.want)
		}
	}
}

// TestWhyIsBounded: only so many questions to all members are under way at once.
func TestWhyIsBounded(t *testing.T) {
	free, asked := make(chan struct{}), make(chan struct{}, maxWhys)
	s := serve(t, func(c *Config) {
		if err := c.Guard.Set([]access.Token{{Name: "b", Secret: secret + "both", Verbs: access.Read | access.Query}}, 0); err != nil {
			t.Fatal(err)
		}
		c.Why = func(context.Context, string, bool) (any, error) {
			asked <- struct{}{}
			<-free
			return "answer", nil
		}
	})
	done := make(chan int, maxWhys)
	for range maxWhys {
		go func() {
			status, _ := s.ask("POST", "/v1/why/n1", secret+"both", "")
			done <- status
		}()
		<-asked
	}
	if status, body := s.ask("POST", "/v1/why/n1", secret+"both", ""); status != 503 || !strings.Contains(body, `"busy"`) {
		t.Errorf("one more: %d %s", status, body)
	}
	close(free)
	for range maxWhys {
		if status := <-done; status != 200 {
			t.Errorf("one of those: %d", status)
		}
	}
}

// TestGateway: the gateway's status is passed on as it is, whoever asks it is asked once a
// second, and what is no status is said to be none.
func TestGateway(t *testing.T) {
	var asked atomic.Int32
	var say atomic.Value
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/status" || r.Header.Get("Authorization") != "" {
			t.Errorf("asked for %s with %v", r.URL, r.Header)
		}
		say.Load().(func(http.ResponseWriter))(w)
	}))
	defer gateway.Close()
	for name, test := range map[string]struct {
		say  func(http.ResponseWriter)
		want string
	}{
		"good":      {func(w http.ResponseWriter) { fmt.Fprint(w, `{ "cluster": {"reads": 7}}`) }, `"reachable":true,"status":{"cluster":{"reads":7}}}`},
		"redirect":  {func(w http.ResponseWriter) { w.Header().Set("Location", "http://"+nowhere); w.WriteHeader(302) }, `"reachable":false,"fault":"it answered with HTTP status 302"`},
		"failing":   {func(w http.ResponseWriter) { w.WriteHeader(500) }, `"fault":"it answered with HTTP status 500"`},
		"no object": {func(w http.ResponseWriter) { fmt.Fprint(w, `[]`) }, `"fault":"its answer is no JSON object"`},
		"half":      {func(w http.ResponseWriter) { fmt.Fprint(w, `{"a":`) }, `"fault":"its answer is no JSON object"`},
		"endless": {func(w http.ResponseWriter) {
			for range gatewayBytes>>10 + 8 {
				fmt.Fprint(w, strings.Repeat(" ", 1<<10))
			}
		}, `"fault":"its answer has more than`},
	} {
		say.Store(test.say)
		asked.Store(0)
		s := serve(t, func(c *Config) { c.Gateway = gateway.Listener.Addr().String() })
		for range 3 {
			if status, body := s.ask("GET", "/v1/gateway", secret+"read", ""); status != 200 || !strings.Contains(body, test.want) {
				t.Errorf("%s: %d %s, want %s", name, status, body, test.want)
			}
		}
		if n := asked.Load(); n > 2 { // a second may be over in between
			t.Errorf("%s: it was asked %d times", name, n)
		}
	}
}

// TestSilentGateway: one that says nothing costs who asks its patience, and nothing more.
func TestSilentGateway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := serve(t, func(c *Config) { c.Gateway = l.Addr().String() })
	begun := time.Now()
	status, body := s.ask("GET", "/v1/gateway", "", "")
	if status != 200 || !strings.Contains(body, `"reachable":false`) || time.Since(begun) > gatewayPatience+10*time.Second {
		t.Errorf("%d %s after %v", status, body, time.Since(begun))
	}
	s.beside.mu.Lock()
	s.beside.address = nowhere
	s.beside.last.Asked = time.Time{}
	s.beside.mu.Unlock()
	if _, body := s.ask("GET", "/v1/gateway", "", ""); !strings.Contains(body, "refused") {
		t.Errorf("nobody there: %s", body)
	}
}

func TestFiguresOfTheAgent(t *testing.T) {
	s := serve(t, func(c *Config) {
		c.Figures = func() []Figure {
			return []Figure{{Name: "a", Kind: Gauge, Value: 2, Labels: map[string]string{"queue": "event"}},
				{Name: "h", Kind: HistogramKind, Buckets: map[float64]uint64{1: 2, 0.5: 1}, Count: 3, Sum: 9}}
		}
	})
	_, body := s.ask("GET", "/v1/agent", "", "")
	for _, want := range []string{`{"name":"a","kind":"gauge","labels":{"queue":"event"},"value":2}`,
		`{"name":"h","kind":"histogram","value":9,"count":3,"buckets":[{"most":0.5,"count":1},{"most":1,"count":2}]}`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s lacks %s", body, want)
		}
	}
}
