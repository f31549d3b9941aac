package dashboard

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// patience is how long the servers of these tests wait.
const patience = 300 * time.Millisecond

// drip opens a connection, sends start, and then a byte of drops every few milliseconds
// until the server has had enough. It returns what the server said, and how long it took.
func drip(t *testing.T, addr, start, drops string) (answer string, took time.Duration) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begun := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.WriteString(conn, start)
		for i := range drops {
			if _, err := conn.Write([]byte(drops[i : i+1])); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	_ = conn.SetReadDeadline(begun.Add(20 * time.Second))
	text, err := io.ReadAll(conn)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Errorf("the server went on waiting")
	}
	took = time.Since(begun)
	conn.Close()
	<-done
	return string(text), took
}

// wantProblem checks that an HTTP answer is an error in the one shape.
func wantProblem(t *testing.T, what, answer string, status int, code string) {
	t.Helper()
	head, body, _ := strings.Cut(answer, "\r\n\r\n")
	var e struct{ Error problem }
	if !strings.HasPrefix(head, fmt.Sprintf("HTTP/1.1 %d ", status)) || json.Unmarshal([]byte(body), &e) != nil || e.Error.Code != code {
		t.Errorf("%s: %q, want %d %s", what, answer, status, code)
	}
	onlyError(t, body)
}

// Who takes for ever to say what it wants is dropped: in the header by net/http itself, as
// there is no request yet; in the body with an answer. Others are served meanwhile.
func TestSlowRequests(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) {
		c.HeaderPatience, c.BodyPatience, c.MaxConns = patience, patience, 40
	})
	post := "POST /v1/event HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAuthorization: Bearer " + secret + "event\r\n"
	endless := strings.Repeat("x", 4000)
	for _, c := range []struct{ name, start, drops, code string }{
		{"nothing at all", "", "", ""},
		{"half a line", "GET /v1/mem", "", ""},
		{"a header that drips", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", endless, ""},
		{"a body that stops", post + "Content-Length: 1000\r\n\r\n{\"name\":", "", "too_slow"},
		{"a body that drips", post + "Content-Length: 4000\r\n\r\n{\"name\": \"", endless, "too_slow"},
		{"a chunk that drips", post + "Transfer-Encoding: chunked\r\n\r\nfa0\r\n{\"name\": \"", endless, "too_slow"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			answer, took := drip(t, s.addr, c.start, c.drops)
			if took < patience/2 || took > patience+10*time.Second {
				t.Errorf("it took %v", took)
			}
			if c.code != "" {
				wantProblem(t, c.name, answer, http.StatusRequestTimeout, c.code)
			} else if answer != "" && !strings.HasPrefix(answer, "HTTP/1.1 400 ") {
				t.Errorf("it was told %q", answer)
			}
		})
	}
	t.Run("many at once", func(t *testing.T) {
		t.Parallel()
		var slow []net.Conn
		for range 100 { // more than may be connected
			c, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nX: ")
			slow = append(slow, c)
		}
		if status, _ := s.ask("GET", "/healthz", "", ""); status != 200 {
			t.Errorf("behind %d slow ones: %d", len(slow), status)
		}
	})
}

// What is too much or no JSON is refused in the one shape, and what is no HTTP by net/http.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	big := `{"name": "` + strings.Repeat("x", maxBody) + `"}`
	for body, want := range map[string]string{
		"": "400 bad_request", "{": "400 bad_request", "[]": "400 bad_request", "null": "400 bad_request", `"x"`: "400 bad_request", "\xff\xfe": "400 bad_request",
		`{"name": 1}`: "400 bad_request", `{"name": "x"} {}`: "400 bad_request", `{"nam": "x"}`: "400 bad_request",
		`{"name": "x", "payload": "a", "payload_base64": "YQ=="}`: "400 bad_request", `{"name": "x", "payload_base64": "?"}`: "400 bad_request",
		strings.Repeat("[", 20000): "400 bad_request", strings.Repeat(`{"name":`, 5000): "400 bad_request",
		big: "413 too_large", strings.Repeat(" ", maxBody+1): "413 too_large",
	} {
		for path, token := range map[string]string{"/v1/event": "event", "/v1/query": "query"} {
			status, answer := s.ask("POST", path, secret+token, body)
			var e struct{ Error problem }
			_ = json.Unmarshal([]byte(answer), &e)
			if got := fmt.Sprint(status, " ", e.Error.Code); got != want {
				t.Errorf("%s %.40q: %s, want %s", path, body, got, want)
			}
			onlyError(t, answer)
		}
	}
	// Said beforehand, or never: the body is not read to its end.
	post := "POST /v1/event HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAuthorization: Bearer " + secret + "event\r\n"
	answer, took := drip(t, s.addr, post+"Content-Length: 99999999999\r\n\r\n"+big, "")
	wantProblem(t, "a declared length", answer, http.StatusRequestEntityTooLarge, "too_large")
	if took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if s.agent.sent != nil {
		t.Errorf("sent %q", s.agent.sent)
	}
	for _, start := range []string{"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n"} {
		if answer, _ := drip(t, s.addr, start, ""); !strings.HasPrefix(answer, "HTTP/1.1 400 ") && !strings.HasPrefix(answer, "HTTP/1.1 505 ") {
			t.Errorf("%q: %q", start, answer)
		}
	}
	if status, _ := s.ask("GET", "/healthz", "", ""); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}
