package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/agent"
	"github.com/ibuki-dev/ibuki/agent/handler"
	"github.com/ibuki-dev/ibuki/rpc"
)

// HandlerOptions are an event handler as users write it under the key handlers.
// docs/handlers.md describes it.
type HandlerOptions struct {
	On         TextList      `json:"on"`
	Run        string        `json:"run"`
	Timeout    Duration      `json:"timeout"`
	Parallel   int           `json:"parallel"`
	Queue      int           `json:"queue"`
	Drop       string        `json:"drop"`
	Retries    int           `json:"retries"`
	RetryPause Duration      `json:"retry_pause"`
	Input      string        `json:"input"`
	OneOf      *OneOfOptions `json:"one_of"`
}

// TextList is a list of strings that may be written as one string.
type TextList []string

// UnmarshalJSON reads a string or a list of them.
func (l *TextList) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = TextList{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// UnmarshalJSON refuses keys that do not exist, as DecodeOptions does.
func (h *HandlerOptions) UnmarshalJSON(b []byte) error {
	type plain HandlerOptions // without this method
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode((*plain)(h))
}

// OneOfOptions are written as true, false, or an object of tags.
type OneOfOptions struct {
	On      bool
	Tags    map[string]string `json:"tags"`
	Covered Duration          `json:"covered"`
}

// UnmarshalJSON reads true, false or {"tags": {…}, "covered": "30s"}.
func (o *OneOfOptions) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &o.On) == nil {
		return nil
	}
	o.On = true
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var v struct {
		Tags    map[string]string `json:"tags"`
		Covered Duration          `json:"covered"`
	}
	err := d.Decode(&v)
	o.Tags, o.Covered = v.Tags, v.Covered
	return err
}

// handler turns what was written into a Handler. All faults are returned at once.
func (h *HandlerOptions) handler() (handler.Handler, error) {
	out := handler.Handler{Command: h.Run, Timeout: time.Duration(h.Timeout), Parallel: h.Parallel, Queue: h.Queue,
		Retries: h.Retries, RetryPause: time.Duration(h.RetryPause)}
	var faults []error
	for _, on := range h.On {
		filters, err := rpc.ParseEventFilter(on)
		if err != nil {
			faults = append(faults, fmt.Errorf("on: '%s' is no event", on))
		}
		out.Filters = append(out.Filters, filters...)
	}
	var err error
	if out.Drop, err = handler.ParseDropRule(h.Drop); err != nil {
		faults = append(faults, fmt.Errorf("drop: %w", err))
	}
	switch h.Input {
	case "", "lines":
	case "json":
		out.JSON = true
	default:
		faults = append(faults, fmt.Errorf("input: '%s' is none of lines, json", h.Input))
	}
	if h.OneOf != nil && h.OneOf.On {
		if out.OneOf, err = handler.NewOneOf(h.OneOf.Tags, time.Duration(h.OneOf.Covered)); err != nil {
			faults = append(faults, fmt.Errorf("one_of: %w", err))
		}
	}
	if len(faults) == 0 {
		faults = append(faults, out.Validate())
	}
	return out, agent.OneLineError(errors.Join(faults...))
}

func (o *Options) handlers(c *agent.Config) error {
	var faults []error
	for i := range o.Handlers {
		h, err := o.Handlers[i].handler()
		if err != nil {
			faults = append(faults, fmt.Errorf("handlers[%d]: %w", i, err))
			continue
		}
		c.Handlers = append(c.Handlers, h)
	}
	return errors.Join(faults...)
}

// lists reads where the live-node list is to be written.
func (o *Options) lists(c *agent.Config) error {
	var faults []error
	for i := range o.LiveNodes {
		t, err := o.LiveNodes[i].Target()
		if err != nil {
			faults = append(faults, fmt.Errorf("Invalid live-node list '%s': %w", o.LiveNodes[i].File, agent.OneLineError(err)))
			continue
		}
		c.LiveNodes = append(c.LiveNodes, t)
	}
	return errors.Join(faults...)
}

// NoPrograms are warnings about event handlers whose program is not there. look finds a
// program by its name or path, as exec.LookPath does. What a shell makes of more than a plain
// first word is not guessed at.
func (o *Options) NoPrograms(look func(string) (string, error)) (warnings []string) {
	missing := func(command string) string {
		word, _, _ := strings.Cut(strings.TrimSpace(command), " ")
		if !plainWord.MatchString(word) || shellWords[word] {
			return ""
		}
		if _, err := look(word); err == nil || errors.Is(err, exec.ErrDot) {
			return ""
		}
		return "there is no program " + word
	}
	for _, h := range o.EventHandlers {
		_, command, typed := strings.Cut(h, "=")
		if !typed {
			command = h
		}
		if why := missing(command); why != "" {
			warnings = append(warnings, fmt.Sprintf("Warning: event handler '%s': %s", command, why))
		}
	}
	for i, h := range o.Handlers {
		if why := missing(h.Run); why != "" {
			warnings = append(warnings, fmt.Sprintf("Warning: handlers[%d]: %s", i, why))
		}
	}
	return warnings
}

// plainWord is a word that no shell changes.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./+-]+$`)

// shellWords are what POSIX shells have built in, or read as their own.
var shellWords = func() map[string]bool {
	words := make(map[string]bool)
	for _, w := range strings.Fields(`. : [ alias bg break case cd command continue do done echo elif else esac eval exec exit
		export false fc fg fi for getopts hash if in jobs kill local printf pwd read readonly return set shift test then
		times trap true type ulimit umask unalias unset until wait while`) {
		words[w] = true
	}
	return words
}()
