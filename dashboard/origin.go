package dashboard

import (
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// This file keeps apart what a user asks for and what a page from elsewhere makes the
// user's browser ask for.

// errHost is for who asks for the agent by a name that it does not go by.
func errHost(host string) *problem {
	return &problem{status: http.StatusForbidden, Code: "unknown_host",
		Message: "this agent is not asked for as " + printable(host) + ": use its address or localhost, or name the host in http_hosts"}
}

var (
	errCrossSite = &problem{status: http.StatusForbidden, Code: "cross_site", Message: "a page from elsewhere may not ask for this"}
	errMediaType = &problem{status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type",
		Message: "this is asked for with Content-Type: application/json"}
)

// printable is a header's value as an error may repeat it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), 100)])
}

// changes reports whether a method does more than look.
func changes(method string) bool { return method != http.MethodGet && method != http.MethodHead }

// checkOrigin refuses what only a page from elsewhere would ask for: browsers send
// such requests with a client certificate, or from a machine that may read without
// a token. Whoever has a token of letters sent it on purpose: a page does not know it.
func (s *Server) checkOrigin(r *http.Request, byToken bool) *problem {
	if !byToken && !overUnix(r) && !s.knowsHost(r.Host) {
		return errHost(r.Host)
	}
	if changes(r.Method) && s.cross.Check(r) != nil {
		return errCrossSite
	}
	return nil
}

// overUnix reports whether a request came in by a Unix socket, where no browser is. The
// listener says so, not the client.
func overUnix(r *http.Request) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && at.Network() == "unix"
}

// knowsHost reports whether a request names the agent by an address, as localhost, or by one
// of its own names. A page from elsewhere whose name was made to lead here does not.
func (s *Server) knowsHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == "" || name == "localhost" || slices.ContainsFunc(s.cfg.Hosts, func(h string) bool {
		return name == strings.ToLower(strings.TrimSuffix(h, "."))
	})
}

// checkMediaType refuses what changes something and is no JSON. What a page may send
// elsewhere without asking first is a form or plain text.
func checkMediaType(r *http.Request) error {
	if !changes(r.Method) {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return errMediaType
	}
	return nil
}
