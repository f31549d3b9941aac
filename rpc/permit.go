package rpc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"net"

	"github.com/ibuki-dev/ibuki/access"
)

// This file decides what a client may do. Serf's own way is one key, rpc_auth:
// who has said it may do everything, others nothing.

// startGrant is what a client may do that has presented nothing yet.
func (s *Server) startGrant() access.Grant {
	switch {
	case s.cfg.Guard != nil:
		return s.cfg.Guard.Anonymous()
	case s.cfg.AuthKey != "":
		return access.Grant{}
	}
	return access.Grant{Verbs: access.Admin}
}

// keyName is the grant's name for Serf's key, which no token can have: they are
// in the log only.
const keyName = "\x00rpc_auth"

// keyMatches compares in constant time, whatever the lengths.
func (s *Server) keyMatches(key string) bool {
	sum := sha256.Sum256([]byte(key))
	return subtle.ConstantTimeCompare(sum[:], s.authSum[:]) == 1
}

// authenticate takes a key or a token's secret. Where neither is configured, what
// is said has to be the empty string, as with Serf. The key and the tokens are
// both looked at, whatever the first says.
func (r *request) authenticate(secret string) bool {
	isKey := r.s.keyMatches(secret)
	var grant access.Grant
	ok := false
	if r.s.cfg.Guard != nil {
		isKey = isKey && (r.s.cfg.AuthKey != "" || r.s.cfg.Guard.Empty())
		grant, ok = r.s.cfg.Guard.Check(secret)
	}
	switch {
	case isKey:
		grant = access.Grant{Name: keyName, Verbs: access.Admin}
	case !ok:
		return false
	}
	r.presented(grant)
	r.ready.Store(true)
	return true
}

// refusal is why a client may not send a command; "" if it may.
func (c *serverConn) refusal(command string, verb access.Verbs) Error {
	if command == cmdHandshake || command == cmdAuth {
		return ""
	}
	switch g := c.grant.Load(); {
	case g.Verbs == 0:
		return ErrAuthRequired
	case !g.Allows(verb):
		return ErrPermission
	}
	return ""
}

// refused notes that a client was refused something.
func (c *serverConn) refused(command string, why Error) {
	c.s.refusedCommands.Add(1)
	if why == ErrPermission {
		c.s.cfg.Logger.Warn("agent.ipc: Permission denied", "client", c.name, "token", c.grant.Load().Name, "command", command)
	}
}

// handshakeTLS completes TLS, if there is any, within the time for a handshake. A
// client certificate may be a token.
func (c *serverConn) handshakeTLS() error {
	conn, ok := c.conn.(*tls.Conn)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithDeadline(c.ctx, c.since.Add(c.s.cfg.HandshakeTimeout))
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	if certs := conn.ConnectionState().PeerCertificates; len(certs) > 0 && c.s.cfg.Guard != nil {
		if grant, ok := c.s.cfg.Guard.Cert(certs[0]); ok {
			c.presented(grant)
		}
	}
	return nil
}

// Recheck ends the connections of clients whose token is gone, or good for
// something else by now. It is to be called when the Guard's tokens were replaced.
func (s *Server) Recheck() {
	if s.cfg.Guard == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.clients { // order-free: each by itself
		if g := *c.grant.Load(); g.Name != keyName && !s.cfg.Guard.Known(g) {
			s.cfg.Logger.Info("agent.ipc: Client has to authenticate again", "client", c.name)
			closeNow(c.conn)
		}
	}
}

// closeNow closes a connection without a word: a TLS one would wait for its last
// word to be taken.
func closeNow(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	conn.Close()
}

// clientName is how the log calls a client.
func clientName(conn net.Conn) string {
	if name := conn.RemoteAddr().String(); name != "" && name != "@" {
		return name
	}
	return "unix" // who connects to a Unix socket has no address
}
