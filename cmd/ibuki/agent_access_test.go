//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// certificate writes dir/NAME.pem and dir/NAME.key, signed by itself or by parent.
func certificate(t *testing.T, dir, name string, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost", name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		parent, by = template, key
		template.IsCA, template.BasicConstraintsValid = true, true
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for ext, block := range map[string]*pem.Block{"pem": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, name+"."+ext), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// accessAgent is an agent with a configuration file, and its folder.
func accessAgent(t *testing.T, config string, args ...string) (*agentProcess, func(name string) string) {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	config = strings.ReplaceAll(config, "DIR", dir)
	ca, key := certificate(t, dir, "ca", nil, nil)
	certificate(t, dir, "server", ca, key)
	certificate(t, dir, "ops", ca, key)
	certificate(t, dir, "other", ca, key)
	if err := os.WriteFile(file("agent.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startAgent(t, "n1", append([]string{"-config-file=" + file("agent.json"), "-addr-file=" + file("addr")}, args...)...)
	b, err := os.ReadFile(file("addr"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rpc, ok := strings.CutPrefix(line, "SERF_RPC_ADDR="); ok {
			p.rpc = strings.TrimSpace(rpc)
		}
	}
	return p, file
}

// may runs a command at the agent and compares its exit code.
func (p *agentProcess) may(t *testing.T, want bool, args ...string) string {
	t.Helper()
	args = append([]string{args[0], "-rpc-addr=" + p.rpc}, args[1:]...)
	out, code := runProgram(t, args...)
	if (code == 0) != want {
		t.Errorf("%q: exit code %d: %s", args, code, out)
	}
	return out
}

const tokensConfig = `{"tokens": [
	{"name": "view", "secret": "a secret for looking", "verbs": "read"},
	{"name": "deploy", "secret_file": "DIR/deploy.secret", "verbs": ["event", "query"]}
]}`

// Tokens, on a Unix socket and a port that the system chose; and other tokens after a reload.
func TestAgentTokens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "deploy.secret"), []byte("a secret for deploying\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := strings.ReplaceAll(tokensConfig, "DIR/deploy.secret", filepath.Join(dir, "deploy.secret"))
	for name, addr := range map[string]string{"port": "127.0.0.1:0", "socket": "unix:" + filepath.Join(dir, "rpc")} {
		t.Run(name, func(t *testing.T) {
			p, file := accessAgent(t, config, "-rpc-addr="+addr)
			if name == "socket" && p.rpc != addr || strings.HasSuffix(p.rpc, ":0") {
				t.Fatalf("the address file says %s", p.rpc)
			}
			view, deploy := "-rpc-auth=a secret for looking", "-rpc-auth=a secret for deploying"
			if out := p.may(t, false, "members"); !strings.Contains(out, "Authentication required") {
				t.Error(out)
			}
			if out := p.may(t, false, "members", "-rpc-auth=a secret for guessing"); !strings.Contains(out, "Invalid authentication token") {
				t.Error(out)
			}
			p.may(t, true, "members", view)
			if out := p.may(t, false, "event", view, "x"); !strings.Contains(out, "Permission denied") {
				t.Error(out)
			}
			p.may(t, true, "event", deploy, "x")
			p.may(t, true, "query", deploy, "-timeout=100ms", "x")
			p.may(t, false, "members", deploy)
			p.may(t, false, "leave", deploy)
			p.may(t, false, "keys", view, "-list")
			other := `{"tokens": [{"name": "view", "secret": "another secret altogether", "verbs": "read"}]}`
			if err := os.WriteFile(file("agent.json"), []byte(other), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := p.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			p.waitFor(t, "Reloading configuration...")
			for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				if _, code := runProgram(t, "members", "-rpc-addr="+p.rpc, "-rpc-auth=another secret altogether"); code == 0 {
					break
				}
				if time.Now().After(end) {
					t.Fatal("the new token is not taken: ", p.output())
				}
			}
			p.may(t, false, "members", view)
			p.may(t, false, "event", deploy, "x")
			for _, secret := range []string{"for looking", "for deploying", "for guessing", "altogether"} {
				if strings.Contains(p.output(), secret) {
					t.Errorf("a secret is in the log: %s", p.output())
				}
			}
			_ = p.Process.Signal(os.Interrupt)
			if code := p.exit(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "rpc*")); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			if _, err := os.Stat(file("addr")); err == nil {
				t.Error("the address file is left behind")
			}
		})
	}
}

// TLS, with certificates that clients need and that are tokens; and with new ones
// for the server while it runs.
func TestAgentTLS(t *testing.T) {
	t.Parallel()
	p, file := accessAgent(t, `{"rpc_tls": true, "tls": {"cert_file": "DIR/server.pem", "key_file": "DIR/server.key", "client_ca_file": "DIR/ca.pem"},
		"tokens": [{"name": "ops", "cert": "ops", "verbs": "admin"}]}`, "-rpc-addr=127.0.0.1:0")
	as := func(name string) []string {
		return []string{"-rpc-ca=" + file("ca.pem"), "-rpc-cert=" + file(name+".pem"), "-rpc-key=" + file(name+".key")}
	}
	p.may(t, true, append([]string{"members"}, as("ops")...)...)
	p.may(t, true, append([]string{"tags", "-set=a=b"}, as("ops")...)...)
	if out := p.may(t, false, append([]string{"members"}, as("other")...)...); !strings.Contains(out, "Authentication required") {
		t.Error(out)
	}
	p.may(t, false, "members", "-rpc-ca="+file("ca.pem"))
	p.may(t, false, append([]string{"members", "-rpc-server-name=elsewhere.example"}, as("ops")...)...)
	// Serf's own way, without TLS, ends soon.
	begun := time.Now()
	p.may(t, false, "members")
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("took %v", took)
	}
	// Another authority altogether.
	ca, key := certificate(t, filepath.Dir(file("ca.pem")), "ca", nil, nil)
	certificate(t, filepath.Dir(file("ca.pem")), "server", ca, key)
	certificate(t, filepath.Dir(file("ca.pem")), "ops", ca, key)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		out, code := runProgram(t, append([]string{"members", "-rpc-addr=" + p.rpc}, as("ops")...)...)
		if code == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the new certificates are not used: %s\n%s", out, p.output())
		}
	}
	if strings.Contains(p.output(), "Reloading") {
		t.Error("it was told to")
	}
}

// The address file is what a shell reads.
func TestAgentAddrFile(t *testing.T) {
	t.Parallel()
	p, file := accessAgent(t, `{}`, "-bind=127.0.0.1:0", "-rpc-addr=127.0.0.1:0")
	b, err := os.ReadFile(file("addr"))
	if err != nil {
		t.Fatal(err)
	}
	var bind, rpc string
	if n, err := fmt.Sscanf(string(b), "IBUKI_BIND_ADDR=%s\nSERF_RPC_ADDR=%s\n", &bind, &rpc); n != 2 || strings.HasSuffix(bind, ":0") || strings.HasSuffix(rpc, ":0") {
		t.Fatalf("%q: %v", b, err)
	}
	p.may(t, true, "members")
	conn, err := net.Dial("tcp", bind)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
