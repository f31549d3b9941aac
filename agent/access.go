package agent

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/atomicfile"
)

// This file sets up who may ask this agent for what; package access decides.

// Guard knows the tokens. It is the same for every way in.
func (a *Agent) Guard() *access.Guard { return &a.guard }

// TLS is the server's side of TLS, nil if none is configured. There after Start.
func (a *Agent) TLS() *access.TLS { return a.tls }

// validateAccess checks what can be checked before anything starts.
func (c *Config) validateAccess() (faults []error) {
	var g access.Guard
	if err := g.Set(c.Tokens, c.Anonymous); err != nil {
		faults = append(faults, unwrapAll(err)...)
	}
	for _, t := range c.Tokens {
		if t.Cert != "" && c.TLS.ClientCA == "" {
			faults = append(faults, fmt.Errorf("token '%s' is for a client certificate: tls needs client_ca_file", t.Name))
		}
	}
	if c.TLS != (access.TLSFiles{}) {
		if _, err := access.NewTLS(c.TLS); err != nil {
			faults = append(faults, err)
		}
	} else if c.RPCTLS || c.HTTPTLS {
		faults = append(faults, errors.New("rpc_tls and http_tls need tls"))
	}
	if err := c.Socket.Check(); err != nil {
		faults = append(faults, fmt.Errorf("Invalid socket owner or mode: %w", err))
	}
	return faults
}

// unwrapAll are the parts of a joined error.
func unwrapAll(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// setUpAccess takes tokens and certificates into use.
func (a *Agent) setUpAccess() error {
	if err := a.setTokens(&a.cfg); err != nil {
		return err
	}
	if a.cfg.TLS == (access.TLSFiles{}) {
		return nil
	}
	t, err := access.NewTLS(a.cfg.TLS)
	if err != nil {
		return err
	}
	t.Failed = func(err error) {
		a.logger.Error("agent: new certificates cannot be used, the old ones stay", "err", err)
	}
	a.tls = t
	return nil
}

// setTokens: without tokens and key, everybody may do everything, as with Serf.
func (a *Agent) setTokens(c *Config) error {
	anonymous := c.Anonymous
	if len(c.Tokens) == 0 && a.cfg.RPCAuth == "" && anonymous == 0 {
		anonymous = access.Admin
	}
	return a.guard.Set(c.Tokens, anonymous)
}

// reloadTokens takes other tokens into use. Clients whose token is another one now,
// or none, have to connect again.
func (a *Agent) reloadTokens(c *Config) error {
	guarded := !a.guard.Anonymous().Allows(access.Admin)
	if err := a.setTokens(c); err != nil {
		return err
	}
	if guarded && a.guard.Anonymous().Allows(access.Admin) {
		a.logger.Warn("agent: there are no tokens any more: anybody who reaches RPC may do everything")
	}
	if a.rpcServer != nil {
		a.rpcServer.Recheck()
	}
	return nil
}

// listenRPC takes the RPC port, so that a port that is in use is found out
// before anything else happens.
func (a *Agent) listenRPC() error {
	if err := a.setUpAccess(); err != nil || a.cfg.RPCAddr == "" {
		return err
	}
	l, err := access.Listen(a.cfg.RPCAddr, a.cfg.Socket)
	if err != nil {
		return &rpcListenError{err}
	}
	if a.cfg.RPCTLS {
		l = tls.NewListener(l, a.tls.Config())
	}
	a.rpcListener = l
	return nil
}

// writeAddrFile says at which addresses the agent is reached, as lines that a
// shell and systemd read.
func (a *Agent) writeAddrFile() error {
	if a.cfg.AddrFile == "" {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "IBUKI_BIND_ADDR=%s\n", a.BindAddr())
	if addr := a.RPCAddr(); addr != nil {
		fmt.Fprintf(&b, "SERF_RPC_ADDR=%s\n", addr)
	}
	written, err := atomicfile.Replace(a.cfg.AddrFile, []byte(b.String()), 0o644, false) // there is no secret in it
	if err != nil {
		return fmt.Errorf("Failed to write address file: %w", err)
	}
	a.addrFile = written
	return nil
}

func (a *Agent) removeAddrFile() {
	if a.addrFile != nil {
		_ = atomicfile.Remove(a.cfg.AddrFile, a.addrFile) // if it is still this agent's
	}
}
