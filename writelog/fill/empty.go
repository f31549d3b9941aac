package fill

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/writelog/applier"
)

// Server is a Groonga server.
type Server interface {
	// Do sends one command and waits for its answer.
	Do(ctx context.Context, c *groonga.Command) (groonga.Answer, error)
}

// firstOwn is the first id of what is not Groonga's own in a database.
const firstOwn = 256

// Empty takes all tables and settings out of a database. What is left of a table by a server that was killed goes by
// force. Plugins stay, as do ibuki's own configuration keys.
func Empty(ctx context.Context, s Server) error {
	tables, err := left(ctx, s)
	if err != nil {
		return err
	}
	for _, name := range tables { // one that is gone with another, or that is broken, is looked at below
		if !strings.Contains(name, ".") {
			if _, err := s.Do(ctx, command("table_remove", "name", name, "dependent", "yes")); err != nil {
				return err
			}
		}
	}
	rest, err := left(ctx, s)
	if err != nil {
		return err
	}
	for _, name := range rest {
		if _, err := s.Do(ctx, command("object_remove", "name", name, "force", "yes")); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		if rest, err = left(ctx, s); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("its database is damaged, and %s cannot be removed: stop the server, remove the files of its database, and start it", rest[0])
	}
	return unsetAll(ctx, s)
}

// left are the names of the tables and columns in a database, in the order of their ids: newest first.
func left(ctx context.Context, s Server) (names []string, err error) {
	body, err := ask(ctx, s, command("object_list"))
	if err != nil {
		return nil, err
	}
	var objects map[string]struct {
		ID   int
		Type struct{ Name string }
	}
	if err := json.Unmarshal(body, &objects); err != nil {
		return nil, fmt.Errorf("object_list: %w", err)
	}
	maps.DeleteFunc(objects, func(_ string, o struct {
		ID   int
		Type struct{ Name string }
	},
	) bool {
		return o.ID < firstOwn || o.Type.Name == "proc"
	})
	return slices.SortedFunc(maps.Keys(objects), func(a, b string) int { return objects[b].ID - objects[a].ID }), nil
}

// unsetAll deletes the configuration keys that are not ibuki's.
func unsetAll(ctx context.Context, s Server) error {
	a, err := s.Do(ctx, command("dump", "dump_records", "no", "dump_schema", "no", "dump_indexes", "no", "dump_plugins", "no"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(a.Body)) {
		rest, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "config_set ")
		if !ok || strings.HasPrefix(rest, applier.Prefix) {
			continue
		}
		key, _, err := Setting(ctx, s, rest)
		if err != nil {
			return err
		}
		if _, err := ask(ctx, s, command("config_delete", "key", key)); err != nil {
			return err
		}
	}
	return nil
}

// Setting finds the key and the value of a line of a dump, rest being what follows config_set. The line has neither
// quotes around a value with blanks in it nor around such a key: findings/groonga-dump-config.sh.
func Setting(ctx context.Context, s Server, rest string) (key, value string, err error) {
	for end := 0; ; {
		blank := strings.IndexByte(rest[end:], ' ')
		key = rest
		if blank >= 0 {
			key = rest[:end+blank]
		}
		body, err := ask(ctx, s, command("config_get", "key", key))
		if err != nil {
			return "", "", err
		}
		if err := json.Unmarshal(body, &value); err != nil {
			return "", "", fmt.Errorf("config_get: %w", err)
		}
		if value != "" {
			return key, value, nil
		}
		if blank < 0 { // one without a value, or gone meanwhile
			key, _, _ = strings.Cut(rest, " ")
			return key, "", nil
		}
		end += blank + 1
	}
}

// command makes a command of pairs of names and values.
func command(name string, pairs ...string) *groonga.Command {
	c := &groonga.Command{Name: name}
	for i := 0; i < len(pairs); i += 2 {
		c.Args = append(c.Args, groonga.Arg{Name: pairs[i], Value: pairs[i+1]})
	}
	return c
}

// ask sends a command and returns the body of its answer; a return code is an error.
func ask(ctx context.Context, s Server, c *groonga.Command) (json.RawMessage, error) {
	a, err := s.Do(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	if a.Code != 0 {
		return nil, fmt.Errorf("the server answers %s with %d: %.200s", c.Name, a.Code, a.Body)
	}
	body, err := groonga.Result(a.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	return body, nil
}
