package live

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
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
func Parse(text []byte) ([]Entry, error) { return parse(text, func(int) {}) }

// parse is Parse that tells where the value of each node ends.
func parse(text []byte, ended func(int)) ([]Entry, error) {
	switch {
	case len(text) > MaxFile:
		return nil, ErrTooLarge
	case len(bytes.TrimSpace(text)) == 0:
		return nil, ErrEmpty
	}
	p := parser{jsontext.NewDecoder(bytes.NewBuffer(text)), make(map[string]string)}
	entries, err := p.list(ended)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("the list is cut short: %w", err)
	case err != nil:
		return nil, err
	case len(entries) == 0:
		return nil, ErrNoNodes
	}
	if _, err := p.ReadToken(); err != io.EOF {
		return nil, fmt.Errorf("there is more after the list, from byte %d on", p.InputOffset())
	}
	return entries, nil
}

// parser reads a list token by token: each node is there once in memory, and no
// key of an object twice.
type parser struct {
	*jsontext.Decoder
	// shared are texts that many nodes have: keys and values of tags.
	shared map[string]string
}

const (
	maxShared     = 10_000
	maxSharedText = 64
)

// share returns text as a string, the same for the same text.
func (p parser) share(text []byte) string {
	if s, ok := p.shared[string(text)]; ok {
		return s
	}
	s := string(text)
	if len(p.shared) < maxShared && len(s) <= maxSharedText {
		p.shared[s] = s
	}
	return s
}

func (p parser) list(ended func(int)) (entries []Entry, err error) {
	err = p.object("the list", newString, func(name string) error {
		if name == "" || len(name) > maxNodeName {
			return fmt.Errorf("%.40q cannot be a node's name", name)
		}
		if len(entries) == MaxNodes {
			return ErrTooLarge
		}
		e, err := p.node(name)
		if err != nil {
			return fmt.Errorf("node %q: %w", name, err)
		}
		entries = append(entries, e)
		ended(int(p.InputOffset()))
		return nil
	})
	return entries, err
}

// newString is for texts that are there once.
func newString(text []byte) string { return string(text) }

// object reads an object and calls member for each of its keys, as keep makes a string
// of it; member has to read the value. An object of null has no keys.
func (p parser) object(what string, keep func([]byte) string, member func(key string) error) error {
	t, err := p.ReadToken()
	if err != nil {
		return err
	}
	switch t.Kind() {
	case jsontext.KindNull:
		return nil
	case jsontext.KindBeginObject:
	default:
		return fmt.Errorf("%s is no JSON object", what)
	}
	for {
		if p.PeekKind() == jsontext.KindEndObject {
			_, err := p.ReadToken()
			return err
		}
		key, err := p.ReadValue()
		if err != nil {
			return err
		}
		if err := member(keep(unquoted(key))); err != nil {
			return err
		}
	}
}

// unquoted is the text of a JSON string. It is good until the next read.
func unquoted(raw jsontext.Value) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, raw) // it was checked when it was read
	return text
}

// scalar reads a string, number or boolean as text, which is good until the next
// read; nil for null.
func (p parser) scalar(key string, want jsontext.Kind) ([]byte, error) {
	raw, err := p.ReadValue()
	if err != nil {
		return nil, err
	}
	kind := raw.Kind()
	if kind == jsontext.KindFalse {
		kind = jsontext.KindTrue
	}
	switch {
	case kind == jsontext.KindNull:
		return nil, nil
	case kind != want:
		return nil, fmt.Errorf("%q has a value of another kind", key)
	case kind == jsontext.KindString:
		return unquoted(raw), nil
	}
	return raw, nil
}

// node reads one node, in either shape. Who is in a list without a word of how it
// is, is alive.
func (p parser) node(name string) (Entry, error) {
	e := Entry{Name: name, Status: Alive}
	var ip netip.Addr
	var port uint16
	var droonga []Tag
	err := p.object("it", p.share, func(key string) (err error) {
		switch key {
		case "address":
			ip, err = p.address()
		case "port":
			port, err = p.port()
		case "tags":
			e.Tags, err = p.tags()
		case "status":
			err = p.text(key, func(value []byte) { e.Status = ParseStatus(p.share(value)) })
		case "verdict":
			err = p.text(key, func(value []byte) { e.Verdict = p.share(value) })
		case "degraded":
			var value []byte
			value, err = p.scalar(key, jsontext.KindTrue)
			e.Degraded = string(value) == "true"
		case "since":
			e.Since, err = p.time(key)
		case "live":
			var value []byte
			if value, err = p.scalar(key, jsontext.KindTrue); string(value) == "false" {
				e.Status = Failed
			}
		case "type", "role", "internal_name", "accept_messages_newer_than":
			err = p.text(key, func(value []byte) { droonga = append(droonga, Tag{droongaTag[key], p.share(value)}) })
		default: // of a later version
			err = p.SkipValue()
		}
		return err
	})
	if ip.IsValid() {
		e.Addr = netip.AddrPortFrom(ip, port)
	}
	if e.Tags == nil { // Droonga's shape: its keys were tags
		e.Tags = droonga
	}
	return e, err
}

// droongaTag has the tag that each key of FormatClusterState comes from.
var droongaTag = map[string]string{
	"type": "type", "role": "role", "internal_name": "internal-name", "accept_messages_newer_than": "accept-newer-than",
}

// text reads a string and calls use with it, unless it is null.
func (p parser) text(key string, use func([]byte)) error {
	value, err := p.scalar(key, jsontext.KindString)
	if value != nil {
		use(value)
	}
	return err
}

func (p parser) address() (ip netip.Addr, err error) {
	value, err := p.scalar("address", jsontext.KindString)
	if len(value) == 0 {
		return ip, err
	}
	if ip, err = netip.ParseAddr(string(value)); err != nil {
		return ip, fmt.Errorf("address %.60q is none", value)
	}
	return ip, nil
}

func (p parser) time(key string) (t time.Time, err error) {
	value, err := p.scalar(key, jsontext.KindString)
	if value == nil {
		return t, err
	}
	err = t.UnmarshalText(value)
	return t, err
}

func (p parser) port() (uint16, error) {
	value, err := p.scalar("port", jsontext.KindNumber)
	if value == nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(value), 10, 16)
	if err != nil {
		return 0, fmt.Errorf("port %.20s is none", value)
	}
	return uint16(n), nil
}

// tags returns none as an empty slice: not nil, which is for a node without the key.
func (p parser) tags() ([]Tag, error) {
	tags := make([]Tag, 0, 4)
	err := p.object("tags", p.share, func(key string) error {
		if len(tags) == maxNodeTags {
			return fmt.Errorf("it has more than %d tags", maxNodeTags)
		}
		value, err := p.scalar(key, jsontext.KindString)
		tags = append(tags, Tag{key, p.share(value)})
		return err
	})
	return tags, err
}
