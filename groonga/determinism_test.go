package groonga

import (
	"bytes"
	"testing"

	"github.com/ibuki-dev/ibuki/groonga/groongatest"
)

func TestDeterministic(t *testing.T) {
	for line, want := range map[string]bool{
		`load --table T --values []`:                                           true,
		`load --table T --each 'n = rand()' --values []`:                       false,
		`load --table T --each 'n = now ()' --values []`:                       false,
		`load --table T --each 'n = string_length(title)' --values []`:         true,
		`delete --table T --key a`:                                             true,
		`delete --table T --filter 'at < now()'`:                               false,
		`delete --table T --filter 'title == "now()"'`:                         true,
		`delete --table T --filter 'in_values(_key, "a", "now()")'`:            true,
		`delete --table T --filter 'title == "a\\" && rand() < 3 || t == \"'`:  true, // all of it is a text
		`delete --table T --filter 'some_plugin(title)'`:                       false,
		`delete --table T --filter '(n > 3) && (n < 5)'`:                       true,
		`delete --table T --filter 'n > 3' --limit 2`:                          false,
		`select --table T --filter true --load_table U --load_columns _key`:    false,
		`column_create --table T --name n --flags COLUMN_SCALAR --type UInt32`: true,
	} {
		c, err := ParseLine(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if got := c.Deterministic(); (got == nil) != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}

// The list names functions that a real server has: one that it does not have would be one
// of somebody's plugin.
func TestDeterministicFunctionsAreGroongas(t *testing.T) {
	server := groongatest.Start(t)
	ask := func(line string) []byte {
		c, err := ParseLine(line)
		if err != nil {
			t.Fatal(err)
		}
		_, body := server.Ask(c, nil)
		return body
	}
	for _, plugin := range []string{"string", "time", "number", "vector", "math"} {
		ask("plugin_register --name functions/" + plugin)
	}
	for name := range deterministic { // order-free: each by itself
		if body := ask("object_exist --name " + name); !bytes.HasSuffix(bytes.TrimSpace(body), []byte(",true]")) {
			t.Errorf("%s: %s", name, body)
		}
	}
}
