package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
)

// pageFiles is the dashboard: HTML, CSS and ES modules, as they are written.
//
//go:embed page
var pageFiles embed.FS

// pageRoutes are those of the page. It holds nothing of the cluster, so anybody may get
// it; what it shows it asks the API for, with the token of whoever looks at it.
var pageRoutes = []route{
	{"GET", "/{$}", 0, (*Server).page},
	{"GET", "/page/{file}", 0, (*Server).page},
}

// pagePolicy lets the page run and show only what comes from here, ask only here, be in
// nobody's frame, and make no code or markup of text.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// page answers with the page or a part of it. A browser that has it asks whether it is
// still the same.
func (s *Server) page(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	if name == "" {
		name = "index.html"
	}
	text, err := pageFiles.ReadFile("page/" + name)
	if err != nil {
		return notFound("the page has no such part")
	}
	sum := sha256.Sum256(text)
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	h := w.Header()
	h.Set("Cache-Control", "no-cache") // may be kept, and has to be asked about
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("ETag", tag)
	if strings.Contains(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", pageType(name))
	_, _ = w.Write(text)
	return nil
}

// pageType does not ask the host for what its own files call things.
func pageType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}
