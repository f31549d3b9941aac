package groonga

import "bytes"

// Kind is what a command does, which decides where it goes.
type Kind uint8

// The kinds of commands.
const (
	// Read asks: any complete replica will do.
	Read Kind = iota
	// Write changes the data: it goes to all replicas, of the slice of its record or of
	// all slices, in one order.
	Write
	// Forbidden is what would end or detach the servers behind the gateway.
	Forbidden
	// Everywhere is about the running servers and not about the data: it goes to all
	// that live, at once, beside the writes, and is kept for none. Its answers are put
	// together by JoinEverywhere.
	Everywhere
	// Unknown is no command that is known here. It may be one of a plugin that a server
	// has loaded, or a typing error: ask a server whether there is an object of that
	// name (ExistCommand). If there is, it may change anything, and is a Write; if not,
	// any server says what Groonga says of it.
	Unknown
)

func (k Kind) String() string {
	return [...]string{"read", "write", "forbidden", "everywhere", "unknown"}[k]
}

// kinds has every command of Groonga 13.0.0, and those that the newest reference
// documents. It is all that the delivery knows of them.
var kinds = map[string]Kind{
	"select": Read, "range_filter": Read, "suggest": Read, "query_expand": Read, "dump": Read,
	"logical_select": Read, "logical_range_filter": Read, "logical_count": Read, "logical_shard_list": Read,
	"status": Read, "schema": Read, "table_list": Read, "column_list": Read, "check": Read,
	"object_exist": Read, "object_inspect": Read, "object_list": Read, "index_column_diff": Read,
	"tokenize": Read, "table_tokenize": Read, "tokenizer_list": Read, "normalize": Read, "normalizer_list": Read,
	"config_get": Read, "query_log_flags_get": Read, "cache_limit": Read, "thread_limit": Read,

	"load": Write, "delete": Write, "truncate": Write,
	"table_create": Write, "table_remove": Write, "table_rename": Write, "table_copy": Write,
	"column_create": Write, "column_create_similar": Write, "column_remove": Write, "column_rename": Write, "column_copy": Write,
	"object_remove": Write, "object_set_visibility": Write, "logical_table_remove": Write, "reindex": Write, "defrag": Write,
	"config_set": Write, "config_delete": Write, "define_selector": Write,
	"plugin_register": Write, "plugin_unregister": Write, "register": Write,

	"request_cancel": Everywhere, "io_flush": Everywhere,
	"lock_acquire": Everywhere, "lock_release": Everywhere, "lock_clear": Everywhere, "clearlock": Everywhere,
	"log_level": Everywhere, "log_put": Everywhere, "log_reopen": Everywhere,
	"query_log_flags_set": Everywhere, "query_log_flags_add": Everywhere, "query_log_flags_remove": Everywhere,
	"thread_dump": Everywhere, "reference_acquire": Everywhere, "reference_release": Everywhere, "logical_parameters": Everywhere,

	"shutdown": Forbidden, "quit": Forbidden, "database_unmap": Forbidden,
}

// Kind tells what the command does.
func (c *Command) Kind() Kind {
	kind, known := kinds[c.Name]
	switch {
	case !known:
		return Unknown
	case (c.Name == "select" || c.Name == "logical_select") && c.Get("load_table") != "":
		return Write // the result is stored
	case c.Name == "table_tokenize" && c.Get("mode") == "ADD":
		return Write // tokens become records
	case (c.Name == "cache_limit" || c.Name == "thread_limit") && c.Get("max") != "":
		return Everywhere
	}
	return kind
}

// ExistCommand asks a server whether it has an object of that name.
func ExistCommand(name string) *Command {
	return &Command{Name: "object_exist", Args: []Arg{{"name", name}}}
}

// Exists reads the answer to ExistCommand.
func Exists(doc []byte) bool {
	body, err := Result(doc)
	return err == nil && string(body) == "true"
}

// JoinEverywhere makes one answer of those of all live servers: the first failure, or the
// first answer. A request is cancelled if one of them did it.
func JoinEverywhere(c *Command, answers []Answer) Answer {
	for _, a := range answers {
		if a.Code != 0 {
			return a
		}
	}
	if c.Name == "request_cancel" {
		for _, a := range answers {
			if wasCancelled(a.Body) {
				return a
			}
		}
	}
	return answers[0]
}

// wasCancelled looks for the value of "canceled", in whatever notation.
func wasCancelled(doc []byte) bool {
	i := bytes.LastIndex(doc, []byte("canceled"))
	if i < 0 {
		return false
	}
	value := doc[i+len("canceled"):]
	const msgpackTrue = 0xc3
	return bytes.Contains(value, []byte("true")) || len(value) > 0 && value[0] == msgpackTrue
}

// SameEverywhere reports whether any of the servers that share the data answers a read
// for all of them: the schema is the same everywhere.
func SameEverywhere(name string) bool { return anywhere[name] }

var anywhere = map[string]bool{
	"status": true, "table_list": true, "column_list": true, "schema": true,
	"object_exist": true, "object_list": true, "tokenize": true, "table_tokenize": true, "tokenizer_list": true,
	"normalize": true, "normalizer_list": true, "config_get": true, "query_expand": true, "query_log_flags_get": true,
	"cache_limit": true, "thread_limit": true, "check": true,
}
