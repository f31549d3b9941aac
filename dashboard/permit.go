package dashboard

import (
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/access"
)

// What is said to whoever may not. Neither says what would have been right.
var (
	errUnauthorized = &problem{status: http.StatusUnauthorized, Code: "unauthorized", Message: "authentication required"}
	errForbidden    = &problem{status: http.StatusForbidden, Code: "forbidden", Message: "permission denied"}
)

// permit checks whether a request may do what verb says. To send anything takes a
// token, even where whoever is there may read: browsers send requests too, for pages
// that nobody meant to give that right.
func (s *Server) permit(r *http.Request, verb access.Verbs) error {
	if verb == 0 {
		return nil
	}
	grant, presented, ok := s.grant(r)
	seatOf(r).Know(ok && grant.Name != "")
	refusal := s.checkOrigin(r, ok && presented && r.Header.Get("Authorization") != "")
	switch {
	case refusal != nil:
	case presented && !ok:
		refusal = errUnauthorized
	case grant.Name == "" && verb != access.Read:
		refusal = errUnauthorized
	case grant.Name == "" && !grant.Allows(verb):
		refusal = errUnauthorized
	case !grant.Allows(verb):
		refusal = errForbidden
	default:
		return nil
	}
	s.refused(r, grant, refusal)
	return refusal
}

// grant is what the request's token or certificate is good for; presented says that
// there was one.
func (s *Server) grant(r *http.Request) (grant access.Grant, presented, ok bool) {
	if s.cfg.Guard == nil {
		return access.Grant{Verbs: access.Read}, r.Header.Get("Authorization") != "", false
	}
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, secret, _ := strings.Cut(header, " ")
		grant, ok = s.cfg.Guard.Check(secret)
		if !ok || !strings.EqualFold(scheme, "Bearer") {
			return access.Grant{}, true, false
		}
		return grant, true, true
	}
	if cert := clientCert(r); cert != nil {
		if grant, ok = s.cfg.Guard.Cert(cert); ok {
			return grant, true, true
		}
	}
	return s.cfg.Guard.Anonymous(), false, true
}

func clientCert(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}

const (
	// refusalPause is how long a source is not named again.
	refusalPause = time.Minute
	// maxRefusals is how many sources are told apart within it.
	maxRefusals = 256
)

// refusals remembers whose refusal was said.
type refusals struct {
	mu    sync.Mutex
	named map[string]time.Time
}

// refused says once a minute for each source that it was refused something.
func (s *Server) refused(r *http.Request, grant access.Grant, p *problem) {
	source, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		source = "unix"
	}
	now := time.Now()
	f := &s.refusals
	f.mu.Lock()
	defer f.mu.Unlock()
	key := source + " " + grant.Name
	if last, ok := f.named[key]; ok && now.Sub(last) < refusalPause {
		return
	}
	if f.named == nil || len(f.named) >= maxRefusals {
		f.named = make(map[string]time.Time)
	}
	f.named[key] = now
	s.cfg.Logger.Warn("agent.http: request refused", "client", source, "token", grant.Name, "path", r.Pattern, "why", p.Message)
}
