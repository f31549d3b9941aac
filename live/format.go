package live

import (
	"errors"
	"fmt"
	template "github.com/DataDog/datadog-agent/pkg/template/text"
	"slices"
	"strings"
)

// The formats that a list can be written in.
const (
	// FormatLiveNodes is a JSON object with a key for each node that is alive, as
	// the Droonga project first had it: who is in it is alive. Parse reads it.
	FormatLiveNodes = "live-nodes"
	// FormatAllNodes is the same with every node; its status says which are alive.
	FormatAllNodes = "all-nodes"
	// FormatClusterState is Droonga's later cluster-state.json. Parse reads it.
	FormatClusterState = "cluster-state"
	// FormatFileSD is a document for Prometheus' file-based service discovery.
	FormatFileSD = "file_sd"
	// FormatHAProxy is a backend section with a server for each live node.
	FormatHAProxy = "haproxy"
	// FormatNginx is an upstream block with a server for each live node.
	FormatNginx = "nginx"
	// FormatTemplate is a text/template of the user's own, run on a *View.
	FormatTemplate = "template"
)

var formats = []string{
	FormatLiveNodes, FormatAllNodes, FormatClusterState, FormatFileSD, FormatHAProxy, FormatNginx, FormatTemplate,
}

// Formats returns the names of all formats.
func Formats() []string { return slices.Clone(formats) }

// MaxFile bounds a list in a file, in bytes, written and read.
const MaxFile = 64 << 20

// Errors of rendering and reading.
var (
	// ErrFormat: there is no format of that name.
	ErrFormat = errors.New("no such format")
	// ErrTooLarge: the list is larger than MaxFile or MaxNodes.
	ErrTooLarge = errors.New("the list is too large")
)

// Rendering says how a list is written. The zero Rendering is FormatLiveNodes.
type Rendering struct {
	Format string // one of the formats; "": FormatLiveNodes
	// Port is the port of the service on each node, for FormatFileSD, FormatHAProxy and
	// FormatNginx. They need it or PortTag: the list itself knows only the port
	// that the cluster talks by.
	Port uint16
	// PortTag is a tag that holds that port. A node whose tag is no port has Port, or
	// is left out if that is 0; Remarks says so.
	PortTag string
	// Name is the backend's or the upstream's, "": ibuki; or the job's, "": no label of it.
	Name string
	// Template is the user's, for FormatTemplate only.
	Template *template.Template
}

// Validate returns all faults at once, nil if there are none.
func (r *Rendering) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	switch format := r.format(); format {
	case FormatFileSD, FormatHAProxy, FormatNginx:
		if r.Port == 0 && r.PortTag == "" {
			fault("format %s needs the port of the service, or the tag that holds it", format)
		}
	case FormatTemplate:
		if r.Template == nil {
			fault("format %s needs a template", format)
		}
	default:
		if !slices.Contains(formats, format) {
			fault("%w: %q (there are %s)", ErrFormat, format, strings.Join(formats, ", "))
		}
	}
	if r.Template != nil && r.format() != FormatTemplate {
		fault("a template is for the format %s", FormatTemplate)
	}
	if r.Name != "" && !isWord(r.Name) {
		fault("name %q is not a word of letters, digits and -_.", r.Name)
	}
	return errors.Join(faults...)
}

func (r *Rendering) format() string {
	if r.Format == "" {
		return FormatLiveNodes
	}
	return r.Format
}

func (r *Rendering) name() string {
	if r.Name == "" {
		return "ibuki"
	}
	return r.Name
}

// Render returns v as r says. The same view gives the same bytes.
func (r *Rendering) Render(v *View) ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	var out []byte
	var err error
	switch r.format() {
	case FormatLiveNodes, FormatAllNodes:
		return (&Renderer{Rendering: *r}).Render(v)
	case FormatClusterState:
		out, err = appendClusterState(v)
	case FormatFileSD:
		out, err = appendFileSD(v, r)
	case FormatHAProxy:
		out = appendHAProxy(v, r)
	case FormatNginx:
		out = appendNginx(v, r)
	case FormatTemplate:
		out, err = execute(r.Template, v)
	}
	if err == nil && len(out) > MaxFile {
		err = ErrTooLarge
	}
	return out, err
}

// isWord reports whether s can stand in a configuration file without quotes.
func isWord(s string) bool {
	return s != "" && strings.IndexFunc(s, func(c rune) bool { return !isWordRune(c) }) < 0
}

func isWordRune(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.", c)
}
