package livefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	template "github.com/DataDog/datadog-agent/pkg/template/text"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ibuki-dev/ibuki/live"
)

// Target is a file and what is to be in it.
type Target struct {
	Path string
	live.Rendering
	// Run is a command for /bin/sh that is run after the file has changed, with
	// IBUKI_LIST=PATH in its environment. Empty: none.
	Run string
}

// Spec is a Target as users write it in a configuration file.
type Spec struct {
	File     string `json:"file"`
	Format   string `json:"format"`
	Port     uint16 `json:"port"`
	PortTag  string `json:"port_tag"`
	Name     string `json:"name"`
	Template string `json:"template"` // a file
	Run      string `json:"run"`
}

// UnmarshalJSON reads an object, or a string as ParseSpec does.
func (s *Spec) UnmarshalJSON(text []byte) error {
	var short string
	if json.Unmarshal(text, &short) == nil {
		parsed, err := ParseSpec(short)
		*s = parsed
		return err
	}
	type plain Spec // without this method
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode((*plain)(s))
}

// maxTemplate bounds a template, in bytes.
const maxTemplate = 1 << 20

// ParseSpec reads FILE, FORMAT:FILE or file=FILE,KEY=VALUE,…, with the keys of a Spec. In the last
// form run has to come last, and is all that follows it.
func ParseSpec(s string) (Spec, error) {
	if strings.HasPrefix(s, "file=") {
		return parsePairs(s)
	}
	if format, file, ok := strings.Cut(s, ":"); ok && slices.Contains(live.Formats(), format) {
		return Spec{Format: format, File: file}, nil
	}
	return Spec{File: s}, nil
}

func parsePairs(s string) (spec Spec, err error) {
	for rest := s; rest != ""; {
		var pair string
		if strings.HasPrefix(rest, "run=") {
			pair, rest = rest, ""
		} else {
			pair, rest, _ = strings.Cut(rest, ",")
		}
		key, value, _ := strings.Cut(pair, "=")
		if err := spec.set(key, value); err != nil {
			return spec, fmt.Errorf("%q: %w", s, err)
		}
	}
	return spec, nil
}

func (s *Spec) set(key, value string) error {
	switch key {
	case "file":
		s.File = value
	case "format":
		s.Format = value
	case "port":
		port, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			return fmt.Errorf("port %q is none", value)
		}
		s.Port = uint16(port)
	case "port_tag":
		s.PortTag = value
	case "name":
		s.Name = value
	case "template":
		s.Template = value
	case "run":
		s.Run = value
	default:
		return fmt.Errorf("there is no key %q (there are file, format, port, port_tag, name, template, run)", key)
	}
	return nil
}

// Target checks the spec and reads the template. All faults are returned at once.
func (s *Spec) Target() (Target, error) {
	t := Target{Path: s.File, Run: s.Run}
	t.Rendering = live.Rendering{Format: s.Format, Port: s.Port, PortTag: s.PortTag, Name: s.Name}
	var faults []error
	if s.File == "" {
		faults = append(faults, errors.New("no file is named"))
	} else if abs, err := filepath.Abs(s.File); err != nil {
		faults = append(faults, err)
	} else {
		t.Path = abs
	}
	if s.Template != "" {
		if t.Format == "" {
			t.Format = live.FormatTemplate
		}
		var err error
		if t.Rendering.Template, err = readTemplate(s.Template); err != nil {
			// Without what Validate would say of a template that is not there.
			return t, errors.Join(append(faults, err)...)
		}
	}
	if err := t.Rendering.Validate(); err != nil {
		faults = append(faults, err)
	}
	return t, errors.Join(faults...)
}

func readTemplate(path string) (*template.Template, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxTemplate {
		return nil, fmt.Errorf("template %s is larger than %d bytes", path, maxTemplate)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return live.ParseTemplate(filepath.Base(path), string(text))
}
