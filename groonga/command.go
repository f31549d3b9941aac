package groonga

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// The limits of a command. A body is limited by its reader (Config.MaxBody).
const (
	MaxCommandName = 128     // bytes of a command's name
	MaxArgs        = 1024    // arguments of one command
	MaxURI         = 1 << 20 // bytes of a path with its query, or of a command line
)

// Faults of a command as it came. They are the client's.
var (
	ErrBadCommand = errors.New("not a command")
	ErrTooLong    = errors.New("command is too long")
)

// Command is one Groonga command.
type Command struct {
	Name string // "select"
	// Dataset is the catalog's name of the data it is about; "" is the default.
	Dataset string
	// Args are the arguments in the order in which they came; of two with one
	// name the later counts. Change them by Set and Del only.
	Args []Arg
	// Body is what comes with a load instead of the argument values: one JSON array or
	// object. It is not changed.
	Body []byte
	// ContentType is the type of Body as the client gave it, "" for Groonga's default.
	ContentType string
	// ID names one write over all gateways; "" for one that came from a client.
	ID string
	// Keys are those of its table, for a load or a delete whose records are placed by them.
	Keys Keys
	// Forwarded: another gateway has passed it on, and it is not passed on once more.
	Forwarded bool

	query string // the arguments as they came, escaped; "" if they are to be written anew
}

// Arg is one argument.
type Arg struct{ Name, Value string }

// ParseURI parses the path and query of Groonga's HTTP interface:
// /d/select.json?table=Items. A suffix of the command's name is the argument
// output_type, unless that is given, as with Groonga. It keeps no reference to uri.
func ParseURI(uri string) (*Command, error) {
	if len(uri) > MaxURI {
		return nil, ErrTooLong
	}
	path, query, _ := strings.Cut(uri, "?")
	name, ok := strings.CutPrefix(path, "/d/")
	if !ok {
		return nil, fmt.Errorf("%w: the path does not begin with /d/", ErrBadCommand)
	}
	if strings.ContainsRune(name, '%') {
		var err error
		if name, err = url.PathUnescape(name); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrBadCommand, err)
		}
	}
	name, suffix, _ := strings.Cut(name, ".")
	c := &Command{Name: strings.Clone(name), query: strings.Clone(query)}
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := c.parseQuery(c.query); err != nil {
		return nil, err
	}
	if _, given := c.Lookup("output_type"); suffix != "" && !given {
		c.Set("output_type", strings.Clone(suffix))
	}
	return c, nil
}

// ParseForm adds the arguments of a form body (application/x-www-form-urlencoded).
func (c *Command) ParseForm(body string) error {
	c.query = ""
	return c.parseQuery(strings.Clone(body))
}

// parseQuery reads arguments as Groonga reads them: a name ends with the next '=', whatever
// is before it, and a value with '&' or ';'.
func (c *Command) parseQuery(query string) error {
	for query != "" {
		if len(c.Args) == MaxArgs {
			return ErrTooLong
		}
		name, rest, _ := strings.Cut(query, "=")
		value := rest
		query = ""
		if i := strings.IndexAny(rest, "&;"); i >= 0 {
			value, query = rest[:i], rest[i+1:]
		}
		c.Args = append(c.Args, Arg{unescape(name), unescape(value)})
	}
	return nil
}

// unescape undoes the escaping of a query, escape by escape: what is none stays as it is,
// as with Groonga.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			b = append(b, ' ')
		case c == '%' && i+2 < len(s) && hexDigit(s[i+1]) >= 0 && hexDigit(s[i+2]) >= 0:
			b = append(b, byte(hexDigit(s[i+1])<<4|hexDigit(s[i+2])))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// hexDigit is the value of a hexadecimal digit, -1 if it is none.
func hexDigit(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c - 'a' + 10)
	case c >= 'A' && c <= 'F':
		return int(c - 'A' + 10)
	}
	return -1
}

func checkName(name string) error {
	if name == "" {
		return fmt.Errorf("%w: it has no name", ErrBadCommand)
	}
	if len(name) > MaxCommandName {
		return ErrTooLong
	}
	for _, r := range []byte(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-', r == '@', r == '#', r == ':':
		default:
			return fmt.Errorf("%w: the name has %q in it", ErrBadCommand, r)
		}
	}
	return nil
}

// ParseLine parses a command line of Groonga's own form:
// select --table Items --query 'title:@a' (one line, without its end).
func ParseLine(line string) (*Command, error) {
	if len(line) > MaxURI {
		return nil, ErrTooLong
	}
	if strings.HasPrefix(line, "/d/") {
		return ParseURI(line)
	}
	words, err := splitWords(line)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("%w: it has no name", ErrBadCommand)
	}
	if err := checkName(words[0]); err != nil {
		return nil, err
	}
	c := &Command{Name: words[0]}
	positions := positional[c.Name]
	for words = words[1:]; len(words) > 0; words = words[1:] {
		if len(c.Args) == MaxArgs {
			return nil, ErrTooLong
		}
		name, isName := strings.CutPrefix(words[0], "--")
		switch {
		case isName && len(words) > 1:
			c.Args = append(c.Args, Arg{name, words[1]})
			words = words[1:]
		case isName:
			return nil, fmt.Errorf("%w: --%s has no value", ErrBadCommand, name)
		case len(positions) > 0:
			c.Args = append(c.Args, Arg{positions[0], words[0]})
			positions = positions[1:]
		default:
			return nil, fmt.Errorf("%w: nothing is known of the argument %q", ErrBadCommand, words[0])
		}
	}
	return c, nil
}

// positional are the names of arguments that may be given by position alone.
var positional = map[string][]string{
	"select":          {"table", "match_columns", "query", "filter", "scorer", "sortby", "output_columns", "offset", "limit", "drilldown"},
	"load":            {"values", "table", "columns", "ifexists", "input_type"},
	"delete":          {"table", "key", "id", "filter"},
	"table_create":    {"name", "flags", "key_type", "value_type", "default_tokenizer", "normalizer"},
	"table_remove":    {"name"},
	"table_rename":    {"name", "new_name"},
	"column_create":   {"table", "name", "flags", "type", "source"},
	"column_remove":   {"table", "name"},
	"column_rename":   {"table", "name", "new_name"},
	"column_list":     {"table"},
	"dump":            {"tables"},
	"plugin_register": {"name"},
	"truncate":        {"target_name"},
}

// splitWords splits a command line: blanks separate, single and double quotes
// hold together, a backslash takes the next character as it is.
func splitWords(line string) (words []string, err error) {
	var word strings.Builder
	open, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		b := line[i]
		switch {
		case b == '\\' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			open = true
		case quote != 0 && b == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(b)
		case b == '\'' || b == '"':
			quote, open = b, true
		case b == ' ' || b == '\t' || b == '\r' || b == '\n':
			if open {
				words, open = append(words, word.String()), false
				word.Reset()
			}
		default:
			word.WriteByte(b)
			open = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("%w: a quote is not closed", ErrBadCommand)
	}
	if open {
		words = append(words, word.String())
	}
	return words, nil
}

// Get returns the value of an argument, "" if it was not given.
func (c *Command) Get(name string) string {
	v, _ := c.Lookup(name)
	return v
}

// Lookup returns the value of an argument and whether it was given.
func (c *Command) Lookup(name string) (string, bool) {
	for i := len(c.Args) - 1; i >= 0; i-- {
		if c.Args[i].Name == name {
			return c.Args[i].Value, true
		}
	}
	return "", false
}

// Set gives an argument a value, in its place if it has one.
func (c *Command) Set(name, value string) {
	c.query = ""
	for i := len(c.Args) - 1; i >= 0; i-- {
		if c.Args[i].Name == name {
			c.Args[i].Value = value
			return
		}
	}
	c.Args = append(c.Args, Arg{name, value})
}

// Del takes an argument away.
func (c *Command) Del(name string) {
	c.query = ""
	kept := c.Args[:0:0]
	for _, a := range c.Args {
		if a.Name != name {
			kept = append(kept, a)
		}
	}
	c.Args = kept
}

// Clone returns a copy whose arguments may be changed; the body is shared.
func (c *Command) Clone() *Command {
	next := *c
	next.Args = append([]Arg(nil), c.Args...)
	return &next
}

// URI returns the path and query that ask a Groonga server for the command.
func (c *Command) URI() string { return string(c.AppendURI(nil)) }

// AppendURI appends what URI returns.
func (c *Command) AppendURI(b []byte) []byte {
	b = append(b, "/d/"...)
	b = append(b, c.Name...)
	if c.query != "" {
		b = append(b, '?')
		return append(b, c.query...)
	}
	sep := byte('?')
	for _, a := range c.Args {
		b = append(b, sep)
		b = append(b, url.QueryEscape(a.Name)...)
		b = append(b, '=')
		b = append(b, url.QueryEscape(a.Value)...)
		sep = '&'
	}
	return b
}

// Method returns the HTTP method that the command is sent by: a body is posted.
func (c *Command) Method() string {
	if c.Body != nil {
		return "POST"
	}
	return "GET"
}
