package live

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// The limits of Parse, beside MaxFile.
const (
	// MaxNodes is how many nodes a list may have.
	MaxNodes = 100_000
	// maxNodeName bounds a name, in bytes: a host, a port and a tag, and room.
	maxNodeName = 1024
	// maxNodeTags is how many tags a node may have. Serf's have to fit into 512 bytes.
	maxNodeTags = 512
)

// Errors of Parse.
var (
	// ErrEmpty: there is nothing in the file.
	ErrEmpty = errors.New("the list is empty")
	// ErrNoNodes: the list names no node. Who writes a list is in it, so that this
	// is never the truth.
	ErrNoNodes = errors.New("the list names no node")
)

// Parse reads FormatLiveNodes, FormatAllNodes and FormatClusterState. A list that is
// broken anywhere is refused as a whole. The entries are in the order of the text.
func Parse(text []byte) ([]Entry, error) {
	switch {
	case len(text) > MaxFile:
		return nil, ErrTooLarge
	case len(bytes.TrimSpace(text)) == 0:
		return nil, ErrEmpty
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if token, err := d.Token(); err != nil {
		return nil, cutShort(err)
	} else if token != json.Delim('{') {
		return nil, errors.New("the list is no JSON object")
	}
	var entries []Entry
	seen := make(map[string]bool)
	for d.More() {
		e, err := parseNode(d)
		if err != nil {
			return nil, err
		}
		if seen[e.Name] {
			return nil, fmt.Errorf("%q is in the list twice", e.Name)
		}
		seen[e.Name] = true
		if entries = append(entries, e); len(entries) > MaxNodes {
			return nil, ErrTooLarge
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return nil, cutShort(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("there is more after the list, from byte %d on", d.InputOffset())
	}
	if len(entries) == 0 {
		return nil, ErrNoNodes
	}
	return entries, nil
}

// cutShort says of a list that ends too early that it does.
func cutShort(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the list is cut short")
	}
	return err
}

// readEntry is what is read of a node, in either shape.
type readEntry struct {
	Address string    `json:"address"`
	Port    uint16    `json:"port"`
	Role    *string   `json:"role"`
	Tags    readTags  `json:"tags"`
	Status  *string   `json:"status"`
	Since   time.Time `json:"since"`

	// Droonga's.
	Type         *string `json:"type"`
	InternalName *string `json:"internal_name"`
	NewerThan    *string `json:"accept_messages_newer_than"`
	Live         *bool   `json:"live"`
}

// readTags are the tags of a JSON object, without a map between.
type readTags []Tag

// UnmarshalJSON implements json.Unmarshaler.
func (t *readTags) UnmarshalJSON(text []byte) error {
	if string(text) == "{}" {
		return nil
	}
	var m map[string]string
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	if len(m) > maxNodeTags {
		return fmt.Errorf("a node has more than %d tags", maxNodeTags)
	}
	for key, value := range m { // order-free: sorted below
		*t = append(*t, Tag{key, value})
	}
	*t = sortedTags(*t)
	return nil
}

func parseNode(d *json.Decoder) (Entry, error) {
	token, err := d.Token()
	if err != nil {
		return Entry{}, cutShort(err)
	}
	name, _ := token.(string) // within an object it is one
	if name == "" || len(name) > maxNodeName {
		return Entry{}, fmt.Errorf("%.40q cannot be a node's name", name)
	}
	var r readEntry
	if err := d.Decode(&r); err != nil {
		return Entry{}, fmt.Errorf("node %q: %w", name, cutShort(err))
	}
	e := Entry{Name: strings.Clone(name), Tags: r.Tags, Since: r.Since, Status: r.status()}
	if r.Live != nil {
		e.Tags = r.droongaTags(e.Tags)
	}
	if r.Address != "" {
		ip, err := netip.ParseAddr(r.Address)
		if err != nil {
			return Entry{}, fmt.Errorf("node %q: address %.60q is none", name, r.Address)
		}
		e.Addr = netip.AddrPortFrom(ip, r.Port)
	}
	return e, nil
}

// status: who is in a list of live nodes without a word about it is alive.
func (r *readEntry) status() Status {
	switch {
	case r.Status != nil:
		return ParseStatus(*r.Status)
	case r.Live != nil && !*r.Live:
		return Failed
	}
	return Alive
}

// droongaTags adds what Droonga's shape has in keys of their own.
func (r *readEntry) droongaTags(tags []Tag) []Tag {
	for _, tag := range []struct {
		key   string
		value *string
	}{{"type", r.Type}, {"role", r.Role}, {"internal-name", r.InternalName}, {"accept-newer-than", r.NewerThan}} {
		if tag.value != nil {
			tags = append(tags, Tag{tag.key, *tag.value})
		}
	}
	return sortedTags(tags)
}
