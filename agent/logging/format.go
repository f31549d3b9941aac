package logging

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
)

// Format is how the log is printed. Who watches it gets lines of text, whatever it is.
type Format uint8

// The formats.
const (
	LogText  Format = iota // as Serf prints it to a terminal: behind four spaces
	LogLines               // the same lines without the spaces, for files
	LogJSON                // an object a line
)

// ParseFormat reads "text" or "json"; the empty string is text.
func ParseFormat(s string) (Format, error) {
	switch s {
	case "", "text":
		return LogText, nil
	case "json":
		return LogJSON, nil
	}
	return 0, fmt.Errorf("Invalid log format: '%s'. Valid log formats are: text, json", s)
}

// SetFormat says how lines are printed. Before Open.
func (l *Log) SetFormat(f Format) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.format = f
}

// prefix is what stands before each line.
func (f Format) prefix() string {
	if f == LogText {
		return "    "
	}
	return ""
}

// printed is a record in the format that is printed.
func (l *Log) printed(r *record, line string) string {
	if l.format == LogJSON {
		return r.json()
	}
	return line
}

// Record is a line of the JSON format. What a message says of the protocol stands in
// fields too.
type Record struct {
	Time        time.Time `json:"time"`
	Level       string    `json:"level"` // TRACE, DEBUG, INFO, WARN, ERR
	Message     string    `json:"msg"`
	Kind        string    `json:"kind,omitempty"` // of a record of the core: suspect, failed, …
	Node        string    `json:"node,omitempty"`
	From        string    `json:"from,omitempty"`
	Addr        string    `json:"addr,omitempty"`
	Incarnation uint32    `json:"incarnation,omitempty"`
}

func (r *record) json() string {
	o := Record{Time: r.at, Level: levelName(r.level), Message: r.message()}
	if r.core {
		t := &r.trace
		o.Kind, o.Node, o.From, o.Incarnation = t.Kind.String(), t.Node, t.From, t.Incarnation
		if t.Addr != (netip.AddrPort{}) {
			o.Addr = t.Addr.String()
		}
	}
	return o.JSON()
}

// JSON is the record in one line, without an end of line.
func (r Record) JSON() string {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings, a number and a time of this century
	}
	return string(b)
}
