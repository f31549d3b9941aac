package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// appendMember appends a node with its name as the key, in a line of its own.
func appendMember(b []byte, e *Entry) []byte {
	b = append(b, "\n  "...)
	b = appendString(b, e.Name)
	b = append(b, ": "...)
	return appendNode(b, e)
}

// appendNode appends a node as an object. More keys may be added; readers skip
// those that they do not know.
func appendNode(b []byte, e *Entry) []byte {
	b = append(b, `{"address":"`...) // without the port; "" if not known
	if e.Addr.Addr().IsValid() {
		b = e.Addr.Addr().AppendTo(b)
	}
	b = append(b, `","port":`...) // that the cluster talks by
	b = strconv.AppendUint(b, uint64(e.Addr.Port()), 10)
	b = append(b, `,"role":`...) // the tag, once more
	b = appendString(b, e.TagOr("role", ""))
	b = append(b, `,"tags":{`...)
	first := true
	for i, tag := range e.Tags {
		// A key that is no text would not be the only one to become what it would.
		if i > 0 && tag.Key == e.Tags[i-1].Key || !utf8.ValidString(tag.Key) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendString(b, tag.Key)
		b = append(b, ':')
		b = appendString(b, tag.Value)
	}
	b = append(b, `},"status":`...)
	b = appendString(b, e.Status.String())
	if year := e.Since.UTC().Year(); !e.Since.IsZero() && year >= 0 && year <= 9999 { // what RFC 3339 can say
		b = append(b, `,"since":"`...)
		b = e.Since.UTC().AppendFormat(b, time.RFC3339Nano)
		b = append(b, '"')
	}
	if e.Verdict != "" {
		b = appendString(append(b, `,"verdict":`...), e.Verdict)
	}
	if e.Degraded {
		b = append(b, `,"degraded":true`...)
	}
	return append(b, '}')
}

// appendString appends a JSON string; bytes that are no text become U+FFFD.
func appendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // the error is that there were such bytes
	return b
}

// clusterNode is one node in FormatClusterState. Droonga keeps these as tags; what
// a node does not have is null.
type clusterNode struct {
	Type         *string `json:"type"`
	Role         *string `json:"role"`
	InternalName *string `json:"internal_name"`
	NewerThan    *string `json:"accept_messages_newer_than"`
	Live         bool    `json:"live"`
}

func appendClusterState(v *View) ([]byte, error) {
	o := newObject(v.Len())
	for e := range v.All() {
		if !utf8.ValidString(e.Name) {
			continue
		}
		o.add(e.Name, &clusterNode{
			Type:         firstTag(e, "type"),
			Role:         firstTag(e, "role"),
			InternalName: firstTag(e, "internal-name"),
			// The short key is that of Droonga's later releases.
			NewerThan: firstTag(e, "accept-newer-than", "accept-messages-newer-than"),
			Live:      e.Status == Alive,
		})
	}
	return o.end()
}

// firstTag returns the value of the first of the tags that there is.
func firstTag(e *Entry, keys ...string) *string {
	for _, key := range keys {
		if value, ok := e.Tag(key); ok {
			return &value
		}
	}
	return nil
}

// targetGroup is one element of a Prometheus file_sd document.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// appendFileSD has one group for each node, so that each can have labels of its own.
func appendFileSD(v *View, r *Rendering) ([]byte, error) {
	groups := []targetGroup{}
	for e, target := range r.targets(v) {
		labels := map[string]string{"node": e.Name}
		if r.Name != "" { // else Prometheus' own job_name counts
			labels["job"] = r.Name
		}
		for _, tag := range slices.Backward(e.Tags) { // of two that become one label the first counts
			labels["tag_"+labelName(tag.Key)] = tag.Value
		}
		groups = append(groups, targetGroup{[]string{target.String()}, labels})
	}
	out, err := json.MarshalIndent(groups, "", "  ")
	return append(out, '\n'), err
}

// labelName is a tag's key with _ for what may not be in the name of a label.
func labelName(key string) string {
	b := []byte(key)
	for i, c := range b {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			b[i] = '_'
		}
	}
	return string(b)
}

// object writes a JSON object with one key a line, in the order of add.
type object struct {
	buf   bytes.Buffer
	first bool
	err   error
}

func newObject(keys int) *object {
	o := &object{first: true}
	o.buf.Grow(keys * 256)
	o.buf.WriteByte('{')
	return o
}

func (o *object) add(key string, value any) {
	k, err := json.Marshal(key)
	if err == nil {
		var text []byte
		if text, err = json.Marshal(value); err == nil {
			if !o.first {
				o.buf.WriteByte(',')
			}
			o.first = false
			fmt.Fprintf(&o.buf, "\n  %s: %s", k, text)
		}
	}
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("%q: %w", key, err)
	}
}

func (o *object) end() ([]byte, error) {
	o.buf.WriteString("\n}\n")
	return o.buf.Bytes(), o.err
}
