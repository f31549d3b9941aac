package droonga

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/dispatch"
	"github.com/ibuki-dev/ibuki/groonga"
)

// request is one message of a client.
type request struct {
	id      string
	kind    string // its type
	dataset string
	body    any
	timeout time.Duration
	replyTo destination
}

// destination is where the answer goes: host:port/tag;params. The zero one is nowhere.
type destination struct {
	kind       string // the answer's type
	host, port string
	tag        string
	connection string // tells apart connections to one address
}

// StatusCode values, as in HTTP.
const (
	statusOK          = 200
	statusBad         = 400
	statusNotFound    = 404
	statusInternal    = 500
	statusUnavailable = 503
)

// fault is an error as Droonga tells it to clients.
type fault struct {
	status        int
	name, message string
	detail        any
}

func (f *fault) Error() string { return f.name + ": " + f.message }

func (f *fault) body() map[string]any {
	b := map[string]any{"name": f.name, "message": f.message}
	if f.detail != nil {
		b["detail"] = f.detail
	}
	return b
}

func badRequest(name, format string, args ...any) *fault {
	return &fault{status: statusBad, name: name, message: fmt.Sprintf(format, args...)}
}

var receiverForm = regexp.MustCompile(`\A(.*):(\d{1,5})/([^?;]*)(?:[?;](.*))?\z`)

// parseRequest reads a record that came under a tag. The part of the tag behind the
// first dot is the type of a record that is a bare body.
func parseRequest(tag string, record any) (r request, err error) {
	_, kind, _ := strings.Cut(tag, ".")
	kind, _, _ = strings.Cut(kind, ".")
	if kind != "" && kind != "message" {
		return request{kind: kind, body: plain(record)}, nil
	}
	m, ok := record.(map[string]any)
	if !ok {
		return r, fmt.Errorf("%w: the record is no message", errForward)
	}
	m = plain(m).(map[string]any)
	r.kind, _ = m["type"].(string)
	r.dataset, _ = m["dataset"].(string)
	r.body = m["body"]
	if id, ok := m["id"]; ok {
		if r.id, err = argument(id); err != nil {
			return r, fmt.Errorf("%w: its id: %v", errForward, err)
		}
	}
	r.timeout = seconds(m["timeout"])
	if body, ok := r.body.(map[string]any); ok && r.timeout == 0 {
		r.timeout = seconds(body["timeout"])
	}
	switch to := m["replyTo"].(type) {
	case string:
		err = r.replyTo.parse(r.kind+".result", to)
	case map[string]any:
		kind, _ := to["type"].(string)
		receiver, _ := to["to"].(string)
		err = r.replyTo.parse(kind, receiver)
	}
	return r, err
}

func (d *destination) parse(kind, receiver string) error {
	m := receiverForm.FindStringSubmatch(receiver)
	if m == nil || m[1] == "" || len(receiver) > 1024 {
		return fmt.Errorf("%w: replyTo %.100q is not host:port/tag", errForward, receiver)
	}
	*d = destination{kind: kind, host: strings.Trim(m[1], "[]"), port: m[2], tag: m[3]}
	for param := range strings.FieldsFuncSeq(m[4], func(r rune) bool { return r == '&' || r == ';' }) {
		if id, ok := strings.CutPrefix(param, "connection_id="); ok {
			d.connection = id
		}
	}
	return nil
}

// answer is the message that goes back.
func (r *request) answer(body any, err error) map[string]any {
	m := map[string]any{"inReplyTo": r.id, "statusCode": statusOK, "type": r.replyTo.kind, "body": body}
	if err != nil {
		f := r.faultOf(err)
		m["statusCode"], m["body"] = f.status, f.body()
	}
	return m
}

// faultOf is an error in Droonga's form.
func (r *request) faultOf(err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	switch {
	case errors.Is(err, dispatch.ErrUnknownDataset):
		return &fault{status: statusNotFound, name: "UnknownDataset", message: fmt.Sprintf("Unknown dataset: <%s>", r.dataset)}
	case errors.Is(err, groonga.ErrNotSupported), errors.Is(err, dispatch.ErrForbidden), errors.Is(err, groonga.ErrBadCommand),
		errors.Is(err, groonga.ErrTooLong), errors.Is(err, dispatch.ErrWriteTooLarge),
		errors.Is(err, dispatch.ErrNotSafe):
		return badRequest("BadRequest", "%v", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, dispatch.ErrTimeout):
		name := "Timeout"
		if r.kind == "search" {
			name = "SearchTimeout"
		}
		return &fault{status: statusInternal, name: name, message: "no answer within the time allowed"}
	case errors.Is(err, dispatch.ErrLogFull):
		return &fault{status: statusUnavailable, name: "BufferFull", message: err.Error()}
	case errors.Is(err, dispatch.ErrNoReplica), errors.Is(err, dispatch.ErrOverload), errors.Is(err, dispatch.ErrStopped),
		errors.Is(err, dispatch.ErrNoLog), errors.Is(err, dispatch.ErrUnconfirmed), errors.Is(err, dispatch.ErrNoMajority),
		errors.Is(err, dispatch.ErrGivenUp), errors.Is(err, dispatch.ErrAnswerGone):
		return &fault{status: statusUnavailable, name: "Unavailable", message: err.Error()}
	}
	return &fault{status: statusInternal, name: "InternalServerError", message: err.Error()}
}
