package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/agent"
)

// TokenOptions are a token as users write it under the key tokens.
type TokenOptions struct {
	Name       string   `json:"name"`
	Secret     string   `json:"secret"`
	SecretFile string   `json:"secret_file"`
	Cert       string   `json:"cert"`
	Verbs      TextList `json:"verbs"`
}

// UnmarshalJSON refuses keys that do not exist, as DecodeOptions does.
func (t *TokenOptions) UnmarshalJSON(b []byte) error {
	type plain TokenOptions // without this method
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode((*plain)(t))
}

// TLSOptions are where the material for TLS is.
type TLSOptions struct {
	CertFile     string `json:"cert_file"`
	KeyFile      string `json:"key_file"`
	ClientCAFile string `json:"client_ca_file"`

	Given bool `json:"-"` // even if it says nothing
}

// UnmarshalJSON refuses keys that do not exist, as DecodeOptions does.
func (t *TLSOptions) UnmarshalJSON(b []byte) error {
	type plain TLSOptions // without this method
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	t.Given = true
	return d.Decode((*plain)(t))
}

// access reads who may ask for what.
func (o *Options) access(c *agent.Config) error {
	var faults []error
	for i := range o.Tokens {
		t, err := o.Tokens[i].token()
		if err != nil {
			faults = append(faults, fmt.Errorf("tokens[%d]: %w", i, err))
			continue
		}
		c.Tokens = append(c.Tokens, t)
	}
	var err error
	if c.Anonymous, err = access.ParseVerbs(o.Anonymous); err != nil {
		faults = append(faults, fmt.Errorf("anonymous: %w", err))
	}
	if o.TLS.Given {
		c.TLS = access.TLSFiles{Cert: o.TLS.CertFile, Key: o.TLS.KeyFile, ClientCA: o.TLS.ClientCAFile}
		if c.TLS == (access.TLSFiles{}) {
			faults = append(faults, errors.New("tls needs cert_file and key_file"))
		}
	}
	if o.HTTPAddr != "" {
		c.HTTPAddr = httpAddr(o.HTTPAddr)
		if err := access.CheckAddr(c.HTTPAddr); err != nil {
			faults = append(faults, fmt.Errorf("Invalid HTTP address: %w", err))
		}
	}
	for _, h := range o.HTTPHosts {
		if h == "" || strings.ContainsFunc(h, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/:?#@*", r) }) {
			faults = append(faults, fmt.Errorf("http_hosts: '%s' is no name of a host: it has neither a port nor a scheme, as in node0.example.com", h))
		}
	}
	if o.Gateway != "" {
		c.Gateway = httpAddr(o.Gateway)
		if err := gatewayAddr(c.Gateway); err != nil {
			faults = append(faults, fmt.Errorf("Invalid gateway address: %w", err))
		}
	}
	if o.SocketMode != "" {
		mode, err := strconv.ParseUint(o.SocketMode, 8, 32)
		if err != nil {
			faults = append(faults, fmt.Errorf("socket_mode: '%s' is no octal number", o.SocketMode))
		}
		c.Socket.Mode = fs.FileMode(mode)
	}
	return errors.Join(faults...)
}

// httpAddr puts the loopback address where only a port is given: what may be read
// without a token is not to be read from elsewhere by accident.
func httpAddr(addr string) string {
	port := strings.TrimPrefix(addr, ":")
	if _, err := strconv.ParseUint(port, 10, 16); err == nil {
		return "127.0.0.1:" + port
	}
	return addr
}

// gatewayAddr checks the address of a gateway: it is HOST:PORT, and its port is not 0.
func gatewayAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("'%s' is no port", port)
	}
	if host == "" || strings.ContainsAny(host, "/?#@ ") {
		return fmt.Errorf("'%s' is no host", host)
	}
	return nil
}

// maxSecretFile bounds what is read of a secret's file, in bytes.
const maxSecretFile = 4096

func (t *TokenOptions) token() (access.Token, error) {
	out := access.Token{Name: t.Name, Secret: t.Secret, Cert: t.Cert}
	var err error
	if out.Verbs, err = access.ParseVerbs(t.Verbs); err != nil {
		return out, fmt.Errorf("verbs: %w", err)
	}
	if t.SecretFile == "" {
		return out, nil
	}
	if t.Secret != "" {
		return out, errors.New("it has a secret and a secret_file")
	}
	f, err := os.Open(t.SecretFile)
	if err != nil {
		return out, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
	if err != nil {
		return out, err
	}
	if out.Secret = strings.TrimSpace(string(b)); out.Secret == "" {
		return out, fmt.Errorf("%s is empty", t.SecretFile)
	}
	return out, nil
}
