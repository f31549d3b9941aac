package dashboard

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/access"
)

func TestReads(t *testing.T) {
	s := serve(t, nil)
	eventually(t, "the history is there", func() bool { return s.histories.of("n1").total > 0 })
	for path, want := range map[string][]string{
		"/v1/members":                          {`"version":1`, `"name":"n1"`, `"status":"failed"`, `"protocol":{"min":2,"max":5,"current":5}`, `"tags":{"role":"web"}`},
		"/v1/members?status=left":              {`"members":[{"name":"10.0.0.1:10031/droonga"`},
		"/v1/members?name=n9":                  {`"members":[]`},
		"/v1/members?tag=role=web&name=n2":     {`"name":"n2"`},
		"/v1/members?tag=role=db":              {`"members":[]`},
		"/v1/members/n1":                       {`"rtt_ms":2`, `"changes":[{"time":"2026-01-02T03:04:05Z","from":"","to":"failed"}]`, `"fails":1`},
		"/v1/members/n2":                       {`"rtt_ms":null`},
		"/v1/members/10.0.0.1:10031/droonga":   {`"status":"left"`},
		"/v1/members/10.0.0.1:10031%2Fdroonga": {`"status":"left"`},
		"/v1/live":                             {`"num_alive":2`, `"nodes":4`, `"alive":[{"name":"n0"`},
		"/v1/coordinates":                      {`"n0":{"vec":[2,0],`},
		"/v1/agent":                            {`"name":"n0"`, `"stats":{"agent":{"name":"n0"}}`},
		"/healthz":                             {`{"status":"ok"}`},
		"/openapi.json":                        {`"openapi": "3.1.0"`},
		"/metrics":                             {`ibuki_members{status="failed"} 1`, "ibuki_http_streams 0"},
	} {
		status, body := s.ask("GET", path, "", "")
		for _, w := range want {
			if status != 200 || !strings.Contains(body, w) {
				t.Errorf("%s: %d %s, want %s", path, status, body, w)
			}
		}
	}
	req, _ := http.NewRequest("GET", "http://"+s.addr+"/v1/live", nil)
	for range 2 {
		resp, err := s.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if sent := req.Header.Get("If-None-Match") != ""; sent != (resp.StatusCode == http.StatusNotModified) {
			t.Errorf("status %d", resp.StatusCode)
		}
		req.Header.Set("If-None-Match", resp.Header.Get("ETag"))
	}
}

func TestSends(t *testing.T) {
	s := serve(t, nil)
	for _, test := range []struct {
		path, token, body string
		status            int
		want              string
	}{
		{"/v1/event", "event", `{"name": "deploy", "payload": "x"}`, 202, `{"status":"sent"}`},
		{"/v1/event", "event", `{"name": "bytes", "payload_base64": "AP8="}`, 202, `{"status":"sent"}`},
		{"/v1/event", "event", `{"name": "too-large"}`, 400, "user event exceeds limit"},
		{"/v1/event", "event", `{"name": "x", "payload": "", "payload_base64": "AP8="}`, 400, "one of payload"},
		{"/v1/event", "event", `{"payload": "x"}`, 400, "has a name"},
		{"/v1/event", "event", `{"name": "x", "colour": 1}`, 400, "colour"},
		{"/v1/event", "event", `{"name": "x"} {}`, 400, "more after"},
		{"/v1/event", "event", `[`, 400, "bad_request"},
		{"/v1/event", "event", `{"name": "` + strings.Repeat("x", maxBody) + `"}`, 413, "too_large"},
		{"/v1/query", "query", `{"name": "q", "payload": "hi", "acks": true}`, 200,
			`{"acks":["n1"],"responses":[{"from":"n1","payload":"re: hi","exit":null},{"from":"n2","payload_base64":"/w==","exit":3}],"finished":true}`},
		{"/v1/query", "query", `{"name": "_serf_x"}`, 400, "prefix"},
		{"/v1/query", "query", `{"name": "q", "timeout_ms": 60001}`, 400, "at most a minute"},
		{"/v1/query", "query", `{"name": "q", "timeout_ms": -1}`, 400, "at most a minute"},
	} {
		status, body := s.ask("POST", test.path, secret+test.token, test.body)
		if status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s %.60s: %d %s, want %d %s", test.path, test.body, status, body, test.status, test.want)
		}
	}
	if got := fmt.Sprintf("%q", s.agent.sent); got != `["deploy x" "bytes \x00\xff"]` {
		t.Errorf("sent %s", got)
	}
}

// TestAccess asks for everything with no token, a wrong one, and each one that is good
// for something else: it is refused in the same words, said once, and nothing is
// given away.
func TestAccess(t *testing.T) {
	for _, anonymous := range []access.Verbs{0, access.Read, access.Admin} {
		s := serve(t, func(c *Config) {
			tokens := []access.Token{
				{Name: "r", Secret: secret + "read", Verbs: access.Read},
				{Name: "e", Secret: secret + "event", Verbs: access.Event},
				{Name: "q", Secret: secret + "query", Verbs: access.Query},
				{Name: "re", Secret: secret + "read+event", Verbs: access.Read | access.Event},
				{Name: "rq", Secret: secret + "read+query", Verbs: access.Read | access.Query},
				{Name: "eq", Secret: secret + "event+query", Verbs: access.Event | access.Query},
				{Name: "a", Secret: secret + "admin", Verbs: access.Admin},
			}
			c.Gateway, c.Why = nowhere, whyOf
			if err := c.Guard.Set(tokens, anonymous); err != nil {
				t.Fatal(err)
			}
		})
		right := map[access.Verbs]string{access.Read: "read", access.Event: "event", access.Query: "query", access.Read | access.Query: "read+query"}
		for _, one := range routes {
			if one.verb == 0 {
				continue
			}
			path := strings.Replace(one.path, "{name...}", "n1", 1)
			body := `{"name": "q"}`
			for _, token := range []string{"", "wrong", "read", "event", "query", "read+event", "read+query", "event+query", "admin"} {
				want := 403
				switch {
				case token == "admin", token != "" && strings.Contains(token, right[one.verb]), token == "" && anonymous.Has(access.Read) && one.verb == access.Read:
					want = 200
				case token == "" || token == "wrong":
					want = 401
				}
				given := token
				if given != "" {
					given = secret + given
				}
				status, answer := s.askFor(one.method, path, given, body)
				if status/100 == 2 {
					status = 200
				}
				if status != want {
					t.Errorf("anonymous %v: %s %s with %q: %d, want %d", anonymous, one.method, path, token, status, want)
				}
				if want != 200 {
					onlyError(t, answer)
				}
			}
		}
		log := s.log.String()
		if strings.Contains(log, secret) {
			t.Errorf("the log has a secret: %s", log)
		}
		for _, who := range []string{`token=""`, "token=r", "token=e", "token=q", "token=re", "token=rq", "token=eq"} {
			if n := strings.Count(log, who+" "); n != 1 {
				t.Errorf("%d lines about %s: %s", n, who, log)
			}
		}
	}
}

// onlyError checks the one shape of errors.
func onlyError(t *testing.T, body string) {
	t.Helper()
	var e map[string]map[string]string
	if err := json.Unmarshal([]byte(body), &e); err != nil || len(e) != 1 || len(e["error"]) != 2 || e["error"]["code"] == "" || e["error"]["message"] == "" {
		t.Errorf("error %v: %s", err, body)
	}
	if strings.Contains(body, secret) || strings.Contains(body, "n1") {
		t.Errorf("it gives away %s", body)
	}
}

// TestPagesFromElsewhere: a name that leads here by somebody else's doing is refused.
func TestPagesFromElsewhere(t *testing.T) {
	s := serve(t, nil)
	for host, want := range map[string]int{"127.0.0.1": 200, "[::1]:80": 200, "localhost:8080": 200, "evil.example": 403, "localhost.evil.example": 403} {
		for _, token := range []string{"", secret + "read"} {
			req, _ := http.NewRequest("GET", "http://"+s.addr+"/v1/members", nil)
			req.Host = host
			if token != "" {
				req.Header.Set("Authorization", "bearer "+token)
			}
			resp, err := s.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if ok := resp.StatusCode == 200; ok != (want == 200 || token != "") {
				t.Errorf("%s with token %q: %d", host, token, resp.StatusCode)
			}
		}
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	s := serve(t, nil)
	for request, want := range map[string]string{
		"POST /": "405 method_not_allowed", "GET /page/nothing.js": "404 not_found", "GET /page/": "404 not_found", "GET /v1": "404 not_found", "GET /v1/members/nobody": "404 not_found", "GET /v1/members?colour=red": "400 bad_request",
		"PUT /v1/why/n1": "405 method_not_allowed", "GET /v1/why/n1": "404 not_found", "GET /v1/gateway": "404 not_found", "GET /v1/stream?last=x": "400 bad_request",
		"POST /v1/members": "405 method_not_allowed", "GET /v1/event": "405 method_not_allowed", "PUT /v1/query": "405 method_not_allowed",
		"DELETE /v1/members/n1": "405 method_not_allowed",
	} {
		method, path, _ := strings.Cut(request, " ")
		status, body := s.ask(method, path, "", "")
		var e struct{ Error problem }
		_ = json.Unmarshal([]byte(body), &e)
		if got := fmt.Sprint(status, " ", e.Error.Code); got != want {
			t.Errorf("%s: %s, want %s", request, got, want)
		}
	}
}

func TestHealth(t *testing.T) {
	s := serve(t, func(c *Config) { c.Name = "n1" })
	if status, _ := s.ask("GET", "/healthz", "", ""); status != 503 {
		t.Errorf("a node that has failed: %d", status)
	}
	s = serve(t, nil)
	s.agent.mu.Lock()
	s.agent.frozen = make(chan struct{})
	s.agent.mu.Unlock()
	begun := time.Now()
	for range 2 {
		if status, body := s.ask("GET", "/healthz", "", ""); status != 503 || !strings.Contains(body, "does not answer") {
			t.Errorf("a loop that hangs: %d %s", status, body)
		}
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	close(s.agent.frozen)
	eventually(t, "it is well again", func() bool { status, _ := s.ask("GET", "/healthz", "", ""); return status == 200 })
}

// TestOpenAPI holds the document against the routes.
func TestOpenAPI(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]any
			Security  *[]any
		}
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	for _, one := range routes {
		path := strings.Replace(one.path, "...}", "}", 1)
		op, ok := doc.Paths[path][strings.ToLower(one.method)]
		if !ok || len(op.Responses) == 0 || (op.Security != nil) != (one.verb == 0) {
			t.Errorf("%s %s is not in the document as it is", one.method, path)
		}
		delete(doc.Paths[path], strings.ToLower(one.method))
	}
	for path, methods := range doc.Paths { // order-free: each is wrong
		for method := range methods {
			t.Errorf("there is no %s %s", method, path)
		}
	}
}

// TestBounds: what is too much is refused, who is too slow is dropped.
func TestBounds(t *testing.T) {
	s := serve(t, func(c *Config) { c.MaxConns, c.MaxStreams, c.Patience = 8, 2, 200*time.Millisecond })
	first := s.follow("")
	defer first.conn.Close()
	for range 2 {
		f := s.follow("")
		defer f.conn.Close()
	}
	eventually(t, "the first of three streams gives way", func() bool { return s.streams.Evicted() == 1 })
	_ = first.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	for in := bufio.NewReader(first.conn); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream that gave way: %v", err)
		}
		if line == "0\r\n" { // the last chunk
			break
		}
	}
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 2*maxHeader))
	if answer, _ := io.ReadAll(conn); !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") {
		t.Errorf("a large header: %.60q", answer)
	}
}

// TestPatientClients: connections that stay, with nothing said or served before, lock
// nobody out, and take nothing from whoever has a token.
func TestPatientClients(t *testing.T) {
	s := serve(t, func(c *Config) { c.MaxConns = 16 })
	operator, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()
	answers := bufio.NewReader(operator)
	members := func() {
		fmt.Fprintf(operator, "GET /v1/members HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %sread\r\n\r\n", secret)
		resp, err := http.ReadResponse(answers, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("the operator's connection: %v %v", resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	members()
	for i := range 100 {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		switch i % 3 {
		case 0:
			fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
			if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 200 {
				t.Errorf("/healthz behind %d others: %v %v", i, resp, err)
			}
		case 1:
			fmt.Fprint(c, "GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		}
		if i%10 == 9 {
			members()
		}
	}
	if n := s.seats.Len(); n > 16 {
		t.Errorf("%d connections", n)
	}
}

// TestMetricsAreWellFormed asks Prometheus' own tool.
func TestMetricsAreWellFormed(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no program: ", err)
	}
	s := serve(t, nil)
	s.ask("GET", "/v1/members", "", "")
	_, text := s.ask("GET", "/metrics", "", "")
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
