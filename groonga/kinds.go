package groonga

// Kind is what a command does to the data, which decides where it goes.
type Kind uint8

// The kinds of commands.
const (
	// Read asks: any complete replica will do.
	Read Kind = iota
	// Write changes: it goes to all replicas, of the slice of its record or of all
	// slices. What is not known to be a read is a write.
	Write
	// Forbidden is what would end or detach the servers behind the gateway.
	Forbidden
)

func (k Kind) String() string { return [...]string{"read", "write", "forbidden"}[k] }

// reads are the commands that change nothing. The list follows Groonga's
// reference of commands.
var reads = map[string]bool{
	"select": true, "range_filter": true, "status": true, "dump": true, "suggest": true,
	"table_list": true, "column_list": true, "schema": true, "object_exist": true, "object_inspect": true, "object_list": true,
	"tokenize": true, "table_tokenize": true, "tokenizer_list": true, "normalize": true, "normalizer_list": true,
	"config_get": true, "query_expand": true, "query_log_flags_get": true, "reference_acquire": true, "reference_release": true,
	"index_column_diff": true, "cache_limit": true, "check": true, "ruby_eval": false,
	"logical_select": true, "logical_range_filter": true, "logical_count": true, "logical_parameters": true,
	"logical_shard_list": true, "lock_acquire": false,
}

// Kind tells what the command does.
func (c *Command) Kind() Kind {
	switch c.Name {
	case "shutdown", "quit", "database_unmap":
		return Forbidden
	case "select", "logical_select":
		// With load_table the result is stored.
		if c.Get("load_table") != "" {
			return Write
		}
	case "cache_limit":
		if c.Get("max") != "" {
			return Write
		}
	}
	if reads[c.Name] {
		return Read
	}
	return Write
}

// SameEverywhere reports whether any of the servers that share the data answers a read
// for all of them: the schema is the same everywhere.
func SameEverywhere(name string) bool { return anywhere[name] }

var anywhere = map[string]bool{
	"status": true, "table_list": true, "column_list": true, "schema": true,
	"object_exist": true, "object_list": true, "tokenize": true, "table_tokenize": true, "tokenizer_list": true,
	"normalize": true, "normalizer_list": true, "config_get": true, "query_expand": true, "query_log_flags_get": true,
	"cache_limit": true, "check": true,
}
