package groonga

import (
	"fmt"
	"regexp"
)

// deterministic are the functions whose result depends on the records and arguments alone, of
// Groonga 13.0.0 and its bundled plugins. What is not here is refused in a write of the
// replicated log: each server executes it by itself, and they have to end equal.
var deterministic = map[string]bool{
	"all_records": true, "between": true, "cast_loose": true, "edit_distance": true, "escalate": true,
	"fuzzy_search": true, "geo_distance": true, "geo_distance2": true, "geo_distance3": true,
	"geo_in_circle": true, "geo_in_rectangle": true, "html_untag": true, "in_records": true,
	"in_values": true, "math_abs": true, "max": true, "min": true, "normalize": true, "number_classify": true,
	"prefix_rk_search": true, "query": true, "query_parallel_or": true, "snippet": true, "snippet_html": true,
	"string_length": true, "string_slice": true, "string_substring": true, "string_tokenize": true,
	"sub_filter": true, "time_classify_day": true, "time_classify_day_of_week": true,
	"time_classify_hour": true, "time_classify_minute": true, "time_classify_month": true,
	"time_classify_second": true, "time_classify_week": true, "time_classify_year": true, "time_format": true,
	"time_format_iso8601": true, "vector_find": true, "vector_join": true, "vector_new": true,
	"vector_size": true, "vector_slice": true,
}

// called finds the names that are followed by a parenthesis, outside of texts.
var called = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|([A-Za-z_][A-Za-z0-9_]*)\s*\(`)

// Deterministic reports, by an error, that servers which execute a write one by one need not
// end equal: it calls a function that is not known to give the same everywhere, takes the
// first of records that are in no order, or stores what a search found.
func (c *Command) Deterministic() error {
	refuse := func(what string) error {
		return fmt.Errorf("%s: %s may differ from server to server, so it cannot be a write of the replicated log", c.Name, what)
	}
	switch c.Name {
	case "select", "logical_select", "logical_range_filter":
		return refuse("what is stored by load_table")
	case "delete":
		if c.Get("limit") != "" {
			return refuse("which records a limit takes")
		}
	}
	for _, a := range c.Args {
		switch a.Name {
		case "filter", "each", "ifexists":
			for _, m := range called.FindAllStringSubmatch(a.Value, -1) {
				if m[1] != "" && !deterministic[m[1]] {
					return refuse("what " + m[1] + "() gives")
				}
			}
		}
	}
	return nil
}
