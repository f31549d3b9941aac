package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.key, a.cert = a.sign("ca", "authority", nil, nil)
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// sign writes NAME.pem and NAME.key.
func (a *authority) sign(name, subject string, parent *x509.Certificate, by *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.last++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.last), Subject: pkix.Name{CommonName: subject},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		parent, by = template, key
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage = x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for ext, block := range map[string]*pem.Block{"pem": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(a.file(name+"."+ext), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, cert
}

func (a *authority) issue(name, subject string) { a.sign(name, subject, a.cert, a.key) }

func (a *authority) server(clients bool) *TLS {
	a.t.Helper()
	a.issue("server", "server")
	files := TLSFiles{Cert: a.file("server.pem"), Key: a.file("server.key")}
	if clients {
		files.ClientCA = a.file("ca.pem")
	}
	s, err := NewTLS(files)
	if err != nil {
		a.t.Fatal(err)
	}
	return s
}

// meet connects a client to a server and returns what each knows of the other.
func meet(t *testing.T, server, client *tls.Config) (atServer, atClient tls.ConnectionState, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		defer conn.Close()
		s := tls.Server(conn, server)
		if err = s.Handshake(); err == nil {
			atServer = s.ConnectionState()
			_, err = s.Write([]byte("x"))
		}
		served <- err
	}()
	conn, err := tls.Dial("tcp", l.Addr().String(), client)
	if err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1)) // a refusal of the client comes with TLS 1.3 only now
		atClient = conn.ConnectionState()
		conn.Close()
	}
	if serverErr := <-served; err == nil {
		err = serverErr
	}
	return atServer, atClient, err
}

func clientTLS(t *testing.T, a *authority, cert string) *tls.Config {
	t.Helper()
	certFile, keyFile := "", ""
	if cert != "" {
		certFile, keyFile = a.file(cert+".pem"), a.file(cert+".key")
	}
	c, err := ClientTLS(a.file("ca.pem"), certFile, keyFile, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTLS(t *testing.T) {
	a, strangers := newAuthority(t), newAuthority(t)
	strangers.issue("client", "client")
	a.issue("client", "client")
	s := a.server(true)
	if state, _, err := meet(t, s.Config(), clientTLS(t, a, "client")); err != nil || state.PeerCertificates[0].Subject.CommonName != "client" {
		t.Errorf("a known client: %v", err)
	}
	if _, _, err := meet(t, s.Config(), clientTLS(t, a, "")); err == nil {
		t.Error("a client without a certificate was let in")
	}
	c := clientTLS(t, a, "")
	pair, err := tls.LoadX509KeyPair(strangers.file("client.pem"), strangers.file("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	if _, _, err := meet(t, s.Config(), c); err == nil {
		t.Error("a client of another authority was let in")
	}
	if _, _, err := meet(t, s.Config(), clientTLS(t, strangers, "")); err == nil {
		t.Error("a client took a server of another authority for the right one")
	}
	old := clientTLS(t, a, "client")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, _, err := meet(t, s.Config(), old); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
	named := clientTLS(t, a, "client")
	named.NextProtos = []string{"h2"}
	if _, state, err := meet(t, s.Config("h2", "http/1.1"), named); err != nil || state.NegotiatedProtocol != "h2" {
		t.Errorf("protocol %q, %v", state.NegotiatedProtocol, err)
	}
}

// Certificates that change are used from the next connection on, and broken ones not at all.
func TestTLSReloads(t *testing.T) {
	a := newAuthority(t)
	s := a.server(false)
	now := time.Now()
	s.now = func() time.Time { return now }
	var failed []string
	s.Failed = func(err error) { failed = append(failed, err.Error()) }
	serial := func() int64 {
		t.Helper()
		_, state, err := meet(t, s.Config(), clientTLS(t, a, ""))
		if err != nil {
			t.Fatal(err)
		}
		return state.PeerCertificates[0].SerialNumber.Int64()
	}
	first := serial()
	change := func(write func()) {
		write()
		// The same second and size would look like no change.
		later := now.Add(time.Hour)
		for _, f := range []string{"server.pem", "server.key"} {
			if err := os.Chtimes(a.file(f), later, later); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(2 * checkPause)
	}
	change(func() { a.issue("server", "server") })
	second := serial()
	if second == first || len(failed) != 0 {
		t.Errorf("serial %d stays; %q", second, failed)
	}
	change(func() {
		if err := os.WriteFile(a.file("server.pem"), []byte("half a certi"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	for range 3 {
		if got := serial(); got != second {
			t.Errorf("serial %d, want %d", got, second)
		}
		now = now.Add(2 * checkPause)
	}
	if len(failed) != 1 || !strings.HasPrefix(failed[0], "tls: ") {
		t.Errorf("told %q", failed)
	}
	change(func() { a.issue("server", "server"); now = now.Add(time.Minute) })
	if got := serial(); got == second {
		t.Error("a good one after a bad one is not used")
	}
}

func TestTLSFaults(t *testing.T) {
	a := newAuthority(t)
	a.issue("server", "server")
	for want, files := range map[string]TLSFiles{
		"tls needs cert_file and key_file":           {Cert: a.file("server.pem")},
		"tls: open ":                                 {Cert: a.file("nosuch"), Key: a.file("server.key")},
		"tls: tls: private key does not match":       {Cert: a.file("server.pem"), Key: a.file("ca.key")},
		"tls: no certificate in " + a.file("ca.key"): {Cert: a.file("server.pem"), Key: a.file("server.key"), ClientCA: a.file("ca.key")},
	} {
		if _, err := NewTLS(files); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, args := range [][3]string{{a.file("nosuch"), "", ""}, {"system", a.file("server.pem"), ""}, {"", "", a.file("server.key")}} {
		if _, err := ClientTLS(args[0], args[1], args[2], ""); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}
