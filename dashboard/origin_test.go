package dashboard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ibuki-dev/ibuki/access"
)

// asked is a request as a browser could send it.
type asked struct {
	method, path, host string
	header             map[string]string
	cert               bool // with the operator's client certificate
	unix               bool // by a Unix socket
}

// answerOf plays a request without a network.
func answerOf(s *Server, a asked) (status int, code string) {
	r := httptest.NewRequest(a.method, a.path, strings.NewReader(`{"name": "deploy"}`))
	r.Host = a.host
	for k, v := range a.header {
		r.Header.Set(k, v)
	}
	if a.cert {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: "ops"}}}}
	}
	var at net.Addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	if a.unix {
		at = &net.UnixAddr{Name: "sock", Net: "unix"}
	}
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, at)))
	var e struct{ Error problem }
	_ = json.Unmarshal(w.Body.Bytes(), &e)
	return w.Code, e.Error.Code
}

// TestWhoIsAskedFor: by what names the API may be asked without a token of letters.
func TestWhoIsAskedFor(t *testing.T) {
	s := serve(t, func(c *Config) {
		c.Hosts = []string{"Node0.example.com", "node0"}
		if err := c.Guard.Set([]access.Token{{Name: "ops", Cert: "ops", Verbs: access.Admin}, {Name: "r", Secret: secret + "read", Verbs: access.Read}}, access.Read); err != nil {
			t.Fatal(err)
		}
	})
	for host, ok := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:8080": true, "[::1]:8080": true, "[::1]": true, "10.1.2.3:80": true, "": true,
		"localhost": true, "localhost:8080": true, "LOCALHOST.": true,
		"node0": true, "node0:8080": true, "node0.example.com": true, "NODE0.EXAMPLE.COM.:1": true,
		"unix": false, "unix:1": false, "unix.evil.example": false, "unix.evil.example:8080": false, "unixx": false,
		"evil.example": false, "node0.example.com.evil.example": false, "example.com": false, "127.0.0.1.evil.example": false,
		"localhost.evil.example": false, "evil.example:80:80": false, "x node0": false,
	} {
		for _, how := range []struct {
			asked
			free bool // any name will do
		}{
			{asked{method: "GET", path: "/v1/members"}, false},
			{asked{method: "GET", path: "/metrics"}, false},
			{asked{method: "GET", path: "/v1/members", cert: true}, false},
			{asked{method: "POST", path: "/v1/event", cert: true, header: map[string]string{"Content-Type": "application/json"}}, false},
			{asked{method: "GET", path: "/v1/members", header: map[string]string{"Authorization": "Bearer " + secret + "read"}}, true},
			{asked{method: "GET", path: "/v1/members", unix: true}, true},
			{asked{method: "GET", path: "/healthz"}, true},
			{asked{method: "GET", path: "/"}, true},
		} {
			how.host = host
			status, code := answerOf(s.Server, how.asked)
			if want := ok || how.free; (status < 300) != want || !want && code != "unknown_host" {
				t.Errorf("host %q, %s %s, certificate %v: %d %s", host, how.method, how.path, how.cert, status, code)
			}
		}
	}
}

// TestWhatPagesElsewhereSend: with a certificate that the browser adds, nothing that a page may send
// without asking first changes anything, nor what says that it comes from elsewhere.
func TestWhatPagesElsewhereSend(t *testing.T) {
	s := serve(t, func(c *Config) {
		c.Why = whyOf
		if err := c.Guard.Set([]access.Token{{Name: "ops", Cert: "ops", Verbs: access.Admin}, {Name: "all", Secret: secret + "all", Verbs: access.Admin}}, access.Read); err != nil {
			t.Fatal(err)
		}
	})
	const json, host = "application/json", "10.0.0.1:8080"
	for _, one := range []struct {
		kind, origin, site string
		status             int
	}{
		{json, "", "", 200}, {json + "; charset=utf-8", "", "", 200}, {"Application/JSON", "", "none", 200},
		{json, "https://" + host, "same-origin", 200}, {json, "https://" + host, "", 200}, {json, "", "same-origin", 200},
		{json, "https://evil.example", "", 403}, {json, "null", "", 403}, {json, "https://10.0.0.1:8081", "", 403}, {json, "https://10.0.0.1", "", 403},
		{json, "", "cross-site", 403}, {json, "", "same-site", 403}, {json, "https://" + host, "cross-site", 403},
		{"text/plain", "https://evil.example", "cross-site", 403},
		{"text/plain", "", "", 415}, {"", "", "", 415}, {"application/x-www-form-urlencoded", "", "", 415},
		{"multipart/form-data; boundary=x", "", "", 415}, {"text/plain; application/json", "", "", 415}, {"application/jsonx", "", "", 415},
		{"text/json", "https://" + host, "same-origin", 415},
	} {
		for _, path := range []string{"/v1/event", "/v1/query", "/v1/why/n1"} {
			for _, token := range []bool{false, true} {
				h := map[string]string{"Content-Type": one.kind, "Origin": one.origin, "Sec-Fetch-Site": one.site}
				for k, v := range h {
					if v == "" {
						delete(h, k)
					}
				}
				if token {
					h["Authorization"] = "Bearer " + secret + "all"
				}
				s.agent.mu.Lock()
				s.agent.sent = nil
				s.agent.mu.Unlock()
				status, code := answerOf(s.Server, asked{method: "POST", path: path, host: host, header: h, cert: !token})
				if status == http.StatusAccepted {
					status = 200
				}
				if status != one.status {
					t.Errorf("%+v %s, token %v: %d %s, want %d", h, path, token, status, code, one.status)
				}
				s.agent.mu.Lock()
				if sent := len(s.agent.sent) > 0; sent && one.status != 200 {
					t.Errorf("%+v %s: an event was sent", h, path)
				}
				s.agent.mu.Unlock()
			}
		}
	}
	// Looking is for whoever may; what a page elsewhere gets it cannot read, for no answer allows it.
	for _, origin := range []string{"", "https://evil.example"} {
		r, _ := http.NewRequest("GET", "http://"+s.addr+"/v1/members", nil)
		r.Header.Set("Origin", origin)
		resp, err := s.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		for name := range resp.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("the answer has %s", name)
			}
		}
	}
}

// TestUnixSocketIsKnownByTheListener: any name goes there, and a TCP client cannot claim to be there.
func TestUnixSocketIsKnownByTheListener(t *testing.T) {
	s := serve(t, nil)
	path := filepath.Join(t.TempDir(), "s")
	l, err := access.Listen("unix:"+path, access.Socket{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	defer func() { s.Close(); <-done }()
	for network, at := range map[string]string{"unix": path, "tcp": s.addr} {
		for _, host := range []string{"unix", "unix:" + path, "whatever.example", "localhost"} {
			conn, err := net.Dial(network, at)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "GET /v1/members HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
			text, err := io.ReadAll(conn)
			conn.Close()
			if err != nil {
				t.Fatal(err)
			}
			ok := strings.HasPrefix(string(text), "HTTP/1.1 200 ")
			bad := strings.HasPrefix(string(text), "HTTP/1.1 400 ") // no host at all: net/http says so
			if want := network == "unix" || host == "localhost"; ok != want && !bad {
				t.Errorf("%s, host %q: %.40q", network, host, text)
			}
		}
	}
}
