//go:build unix

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/agent"
	"github.com/ibuki-dev/ibuki/dashboard"
	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/swim"
)

// get asks by a client's own way.
func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestHTTPOverUnixSocket: the socket has its mode, and is gone with the agent.
func TestHTTPOverUnixSocket(t *testing.T) {
	t.Parallel()
	p, file := accessAgent(t, `{"http": "unix:DIR/http.sock", "socket_mode": "0660"}`)
	info, err := os.Stat(file("http.sock"))
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Fatalf("%v, %v", info, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", file("http.sock"))
	}}}
	if status, body := get(t, client, "http://localhost/v1/members"); status != 200 || !strings.Contains(body, `"name":"n1"`) {
		t.Errorf("%d %s", status, body)
	}
	_ = p.Process.Signal(os.Interrupt)
	p.exit(t)
	if _, err := os.Stat(file("http.sock")); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// TestHTTPOverTLS: a client certificate is a token.
func TestHTTPOverTLS(t *testing.T) {
	t.Parallel()
	p, file := accessAgent(t, `{"http": "0", "http_tls": true, "tls": {"cert_file": "DIR/server.pem", "key_file": "DIR/server.key", "client_ca_file": "DIR/ca.pem"},
		"tokens": [{"name": "ops", "cert": "ops", "verbs": ["read"]}]}`)
	p.waitFor(t, "HTTP API: https://")
	_, after, _ := strings.Cut(p.output(), "HTTP API: ")
	url, _, _ := strings.Cut(after, "\n")
	ca, err := os.ReadFile(file("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	if resp, err := client.Get(url + "healthz"); err == nil {
		resp.Body.Close()
		t.Error("a client without a certificate got an answer")
	}
	for name, want := range map[string]int{"ops": 200, "other": 401} {
		cert, err := tls.LoadX509KeyPair(file(name+".pem"), file(name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		config := &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		if status, body := get(t, client, url+"v1/members"); status != want {
			t.Errorf("certificate %q: %d %s, want %d", name, status, body, want)
		}
	}
}

// TestStreamsDoNotHurtTheNode: 200 clients of the stream of one of eight agents, half of which
// do not read, 100 events a second: the agent finds a killed member as soon as the
// others do, and its memory stays bounded.
func TestStreamsDoNotHurtTheNode(t *testing.T) {
	var nodes []*agent.Agent
	for i := range 8 {
		c := agent.Config{Name: fmt.Sprint("n", i), Bind: netip.MustParseAddrPort("127.0.0.1:0")}
		c.Swim, c.CoalescePeriod = swim.Local(), -1
		a, err := agent.New(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer a.Stop()
		nodes = append(nodes, a)
		if i > 0 {
			if _, err := a.Join(t.Context(), []string{nodes[0].Addr().String()}, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	within(t, "all see all", func() bool {
		return nodes[0].Live().Current().NumAlive() == 8 && nodes[1].Live().Current().NumAlive() == 8
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := dashboard.New(dashboard.Config{Agent: httpAgent{nodes[0].Backend(), nodes[0]}, Name: "n0", Logger: slog.New(slog.DiscardHandler)})
	defer s.Close()
	go func() { _ = s.Serve(l) }()
	for i := range 200 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			go func() {
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	payload := []byte(strings.Repeat("x", 400))
	killed := make(map[int]time.Duration)
	var begun time.Time
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := 0; len(killed) < 2 && n < 3000; n++ {
		<-tick.C
		if err := nodes[1].UserEvent(fmt.Sprint("e", n), payload, false); err != nil {
			t.Fatal(err)
		}
		if n == 200 {
			begun = time.Now()
			nodes[7].Stop()
		}
		for _, i := range []int{0, 2} {
			e := nodes[i].Live().Current().Get("n7")
			if _, ok := killed[i]; !ok && e != nil && e.Status == live.Failed {
				killed[i] = e.Since.Sub(begun)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) >> 20
	t.Logf("the failure was seen after %v by the node with the clients, %v by another; the heap grew by %d MiB", killed[0], killed[2], grown)
	if len(killed) < 2 || killed[0] > killed[2]+time.Second {
		t.Errorf("the failure was seen after %v by the node with the clients, %v by another", killed[0], killed[2])
	}
	if grown > 64 {
		t.Errorf("the heap grew by %d MiB", grown)
	}
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 15 s: %s", what)
		}
	}
}
