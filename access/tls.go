package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// TLSFiles are where the material for TLS is. The key has to be readable by the
// agent's user alone; that is not checked, for there are other ways to guard it.
type TLSFiles struct {
	Cert     string // PEM: the server's certificate, then those between it and its authority
	Key      string // PEM
	ClientCA string // PEM: who may sign clients' certificates; "": clients need none
}

// checkPause is how often files are looked at, at most.
const checkPause = time.Second

// TLS is the server's side of TLS. Files that change are read again when somebody
// connects; if they cannot be used, what was read last goes on being used, and
// Failed is told once.
type TLS struct {
	files TLSFiles
	// Failed is told why changed files cannot be used. nil: nobody is.
	Failed func(error)

	mu      sync.Mutex
	config  *tls.Config
	seen    [3]fileState
	checked time.Time
	now     func() time.Time // the clock, but in tests
}

// fileState says whether a file is another one than before.
type fileState struct {
	modified time.Time
	size     int64
	there    bool
}

// NewTLS reads the files.
func NewTLS(files TLSFiles) (*TLS, error) {
	t := &TLS{files: files, now: time.Now}
	t.seen = t.look()
	config, err := files.load()
	if err != nil {
		return nil, err
	}
	t.config, t.checked = config, t.now()
	return t, nil
}

func (f *TLSFiles) load() (*tls.Config, error) {
	if f.Cert == "" || f.Key == "" {
		return nil, errors.New("tls needs cert_file and key_file")
	}
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if f.ClientCA != "" {
		if c.ClientCAs, err = loadPool(f.ClientCA); err != nil {
			return nil, err
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c, nil
}

func loadPool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls: no certificate in %s", path)
	}
	return pool, nil
}

func (t *TLS) look() (s [3]fileState) {
	for i, path := range []string{t.files.Cert, t.files.Key, t.files.ClientCA} {
		if info, err := os.Stat(path); err == nil {
			s[i] = fileState{info.ModTime(), info.Size(), true}
		}
	}
	return s
}

// Config is for a server; protocols are those that it offers by ALPN, if any.
func (t *TLS) Config(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			c := t.current()
			if len(protocols) > 0 {
				c = c.Clone()
				c.NextProtos = protocols
			}
			return c, nil
		},
	}
}

// current is what the files say now.
func (t *TLS) current() *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if now.Sub(t.checked) < checkPause {
		return t.config
	}
	t.checked = now
	seen := t.look()
	if seen == t.seen {
		return t.config
	}
	t.seen = seen
	config, err := t.files.load()
	if err == nil {
		t.config = config
	} else if t.Failed != nil {
		t.Failed(err)
	}
	return t.config
}

// ClientTLS is the client's side: ca is a PEM file, "system" for the host's
// authorities; cert and key are the client's own, if it has some; server is the
// name that the server's certificate is to have, "" for the one that is dialled.
func ClientTLS(ca, cert, key, server string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: server}
	var err error
	if ca != "" && ca != "system" {
		if c.RootCAs, err = loadPool(ca); err != nil {
			return nil, err
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
