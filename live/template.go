package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	template "github.com/DataDog/datadog-agent/pkg/template/text"
	"iter"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseTemplate reads a template of the user's own. It is run on a list: .Alive
// and .All are the nodes, .Len, .NumAlive and .Version numbers; a node has .Name,
// .Addr, .Status, .Since, .Tags and .TagOr KEY DEFAULT. Names and tags come from the
// network: what would end a line in them is an underscore, and the functions word, quote, port
// and json make of them what can stand in a file.
func ParseTemplate(name, text string) (*template.Template, error) {
	t, err := template.New(name).Option("missingkey=error").Funcs(template.FuncMap{
		"word": word, "quote": quote, "port": portOr, "json": jsonOf, callName: call,
	}).Parse(text)
	if err != nil {
		return nil, err
	}
	return withoutReflection(t), nil
}

// word makes a word of letters, digits and -_. of s.
func word(s string) string {
	if s == "" {
		return "_"
	}
	return strings.Map(func(c rune) rune {
		if isWordRune(c) {
			return c
		}
		return '_'
	}, s)
}

// quote puts s between double quotes, with backslashes before what would end it or mean
// something else there.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range oneLine(s) {
		if strings.ContainsRune("\"\\$`", c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	b.WriteByte('"')
	return b.String()
}

// portOr is value if that is the number of a port, else otherwise.
func portOr(otherwise any, value string) string {
	if n, err := strconv.ParseUint(value, 10, 16); err == nil && n != 0 {
		return strconv.FormatUint(n, 10)
	}
	return fmt.Sprint(otherwise)
}

// jsonOf is v as JSON.
func jsonOf(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// oneLine is s with an underscore for each character that would end a line, that a
// terminal takes for an order, or that is none.
func oneLine(s string) string {
	if strings.IndexFunc(s, isNoText) < 0 && utf8.ValidString(s) {
		return s
	}
	return strings.Map(func(c rune) rune {
		if isNoText(c) || c == utf8.RuneError {
			return '_'
		}
		return c
	}, s)
}

func isNoText(c rune) bool { return unicode.IsControl(c) || c == '\u2028' || c == '\u2029' }

// templateView is a View as templates see it, and templateNode a node in one: nothing
// of it has a control character.
type templateView struct{ *View }

// Alive are the live nodes.
func (v templateView) Alive() iter.Seq[templateNode] { return templateNodes(v.View.Alive()) }

// All are all nodes.
func (v templateView) All() iter.Seq[templateNode] { return templateNodes(v.View.All()) }

func templateNodes(all iter.Seq[*Entry]) iter.Seq[templateNode] {
	return func(yield func(templateNode) bool) {
		for e := range all {
			if !yield(templateNode{e}) {
				return
			}
		}
	}
}

type templateNode struct{ *Entry }

// Name is the node's name.
func (n templateNode) Name() string { return oneLine(n.Entry.Name) }

// Tags are the node's tags.
func (n templateNode) Tags() []Tag {
	out := make([]Tag, 0, len(n.Entry.Tags))
	for _, t := range n.Entry.Tags {
		out = append(out, Tag{oneLine(t.Key), oneLine(t.Value)})
	}
	return out
}

// TagOr returns the value of a tag, or what it is when there is none.
func (n templateNode) TagOr(key, otherwise string) string {
	return oneLine(n.Entry.TagOr(key, otherwise))
}

// execute bounds what a template may make.
func execute(t *template.Template, v *View) ([]byte, error) {
	var b limited
	if err := t.Execute(&b, templateView{v}); err != nil {
		return nil, err
	}
	return b.buf.Bytes(), nil
}
