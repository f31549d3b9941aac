package dashboard

import (
	_ "embed"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/ibuki-dev/ibuki/access"
)

// openAPI describes the API; a test holds it against the routes.
//
//go:embed openapi.json
var openAPI []byte

// route is one thing that can be asked for.
type route struct {
	method, path string
	verb         access.Verbs // 0: anybody may
	serve        func(s *Server, w http.ResponseWriter, r *http.Request) error
}

var routes = []route{
	{"GET", "/v1/members", access.Read, (*Server).members},
	{"GET", "/v1/members/{name...}", access.Read, (*Server).member},
	{"GET", "/v1/live", access.Read, (*Server).live},
	{"GET", "/v1/coordinates", access.Read, (*Server).coordinates},
	{"GET", "/v1/why/{name...}", access.Read, (*Server).whySeenHere},
	{"POST", "/v1/why/{name...}", access.Read | access.Query, (*Server).whyAskAll},
	{"GET", "/v1/agent", access.Read, (*Server).agentInfo},
	{"GET", "/v1/gateway", access.Read, (*Server).gateway},
	{"GET", "/v1/stream", access.Read, (*Server).stream},
	{"POST", "/v1/event", access.Event, (*Server).event},
	{"POST", "/v1/query", access.Query, (*Server).query},
	{"GET", "/metrics", access.Read, (*Server).metrics},
	{"GET", "/healthz", 0, (*Server).healthz},
	{"GET", "/openapi.json", 0, (*Server).openapi},
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, one := range slices.Concat(routes, pageRoutes) {
		mux.Handle(one.method+" "+one.path, s.route(one))
	}
	mux.Handle("/", s.route(route{serve: (*Server).nothing}))
	return mux
}

// route does for every request what is the same for all: who asks, what came of it.
func (s *Server) route(one route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seat := seatOf(r)
		seat.Begin()
		defer seat.End()
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		err := s.permit(r, one.verb)
		if err == nil && one.verb != 0 {
			err = checkMediaType(r)
		}
		if err == nil {
			err = one.serve(s, w, r)
		}
		s.meters.answered(one.path, err)
		if err != nil {
			fail(w, err)
		}
	})
}

// nothing is what there is at all other paths.
func (s *Server) nothing(_ http.ResponseWriter, r *http.Request) error {
	var methods []string
	for _, one := range slices.Concat(routes, pageRoutes) {
		pattern, rest, _ := strings.Cut(one.path, "{")
		if r.URL.Path == pattern || strings.HasSuffix(rest, "...}") && strings.HasPrefix(r.URL.Path, pattern) {
			methods = append(methods, one.method)
		}
	}
	if allow := strings.Join(methods, ", "); allow != "" && !slices.Contains(methods, r.Method) {
		return &problem{status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: "this is for " + allow, allow: allow}
	}
	return notFound("there is no such path; /openapi.json lists those that there are")
}

func (s *Server) openapi(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI)
	return nil
}

// problem is an error as every client gets it: {"error": {"code": …, "message": …}}.
type problem struct {
	status  int
	allow   string
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error implements error.
func (p *problem) Error() string { return p.Message }

func notFound(message string) error {
	return &problem{status: http.StatusNotFound, Code: "not_found", Message: message}
}

func badRequest(message string) error {
	return &problem{status: http.StatusBadRequest, Code: "bad_request", Message: message}
}

func busy(message string) error {
	return &problem{status: http.StatusServiceUnavailable, Code: "busy", Message: message}
}

// errGone ends a request whose client is gone: nobody reads what it would get.
var errGone = errors.New("the client is gone")

func fail(w http.ResponseWriter, err error) {
	if err == errGone {
		return
	}
	p, ok := err.(*problem)
	if !ok {
		p = &problem{status: http.StatusInternalServerError, Code: "internal", Message: err.Error()}
	}
	if p.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="ibuki"`)
	}
	if p.allow != "" {
		w.Header().Set("Allow", p.allow)
	}
	if p.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	answer(w, p.status, map[string]*problem{"error": p})
}

// answer writes a value as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil { // of our own types: it does not fail
		status, text = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"the answer cannot be written"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

// read reads a JSON object from a body. What is too much or unknown is refused.
func read(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && d.More() {
		err = errors.New("there is more after the object")
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return &problem{status: http.StatusRequestEntityTooLarge, Code: "too_large", Message: "the request is too large"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &problem{status: http.StatusRequestTimeout, Code: "too_slow", Message: "the request took too long to come"}
	case err != nil:
		return badRequest("the request is no JSON object as it should be: " + err.Error())
	}
	return nil
}
