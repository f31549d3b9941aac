package droonga

import (
	"fmt"
	"strings"

	"github.com/ibuki-dev/ibuki/groonga"
)

// conditions makes the filter of a select, which all of several conditions have to
// meet. One that is a query, in the syntax of search boxes, becomes the select's
// own query; further ones become calls of the function query in the filter.
type conditions struct {
	command *groonga.Command
	filters []string
	queried bool
}

func (c *conditions) add(condition any) error {
	if condition == nil {
		return nil
	}
	if m, ok := condition.(map[string]any); ok && !c.queried {
		if text, ok := m["query"].(string); ok {
			c.queried = true
			return c.query(text, m)
		}
	}
	script, err := script(condition, 0)
	if err == nil {
		c.filters = append(c.filters, script)
	}
	return err
}

// query gives the select a query.
func (c *conditions) query(text string, m map[string]any) error {
	q, err := parseTextQuery(m)
	if err != nil {
		return err
	}
	c.command.Set("query", text)
	c.command.Set("query_flags", q.flags)
	if q.columns != "" {
		c.command.Set("match_columns", q.columns)
	}
	if q.operator != "" {
		c.command.Set("default_operator", q.operator)
	}
	return nil
}

func (c *conditions) finish() {
	if len(c.filters) > 0 {
		c.command.Set("filter", strings.Join(c.filters, " && "))
	}
}

// textQuery is how a query in the syntax of search boxes is read.
type textQuery struct{ columns, flags, operator string }

var operators = map[string]string{"||": "||", "&&": "&&", "-": "&!"}

func parseTextQuery(m map[string]any) (q textQuery, err error) {
	switch to := m["matchTo"].(type) {
	case string:
		q.columns = to
	case []any:
		list, err := texts(to)
		if err != nil {
			return q, badRequest("BadRequest", "condition: matchTo: %v", err)
		}
		q.columns = strings.Join(list, "||")
	}
	var flags []string
	for _, f := range []struct {
		name, flag string
		usual      bool
	}{
		{"allowPragma", "ALLOW_PRAGMA", true}, {"allowColumn", "ALLOW_COLUMN", true}, {"allowLeadingNot", "ALLOW_LEADING_NOT", false},
	} {
		allowed, ok := m[f.name].(bool)
		if ok && allowed || !ok && f.usual {
			flags = append(flags, f.flag)
		}
	}
	q.flags = strings.Join(flags, "|")
	if q.flags == "" {
		q.flags = "NONE"
	}
	switch op := m["defaultOperator"]; op {
	case nil, "":
	case "||":
		q.operator = "OR"
	case "&&":
		q.operator = "AND"
	case "-":
		q.operator = "NOT"
	default:
		return q, badRequest("BadRequest", "condition: undefined operator assigned %.20v", op)
	}
	return q, nil
}

// script writes a condition in Groonga's script syntax, in brackets.
func script(condition any, depth int) (string, error) {
	if depth > maxDepth {
		return "", badRequest("BadRequest", "condition: nested too deeply")
	}
	switch c := condition.(type) {
	case string:
		return "(" + c + ")", nil
	case map[string]any:
		if text, ok := c["query"].(string); ok {
			q, err := parseTextQuery(c)
			if err != nil {
				return "", err
			}
			options := `"flags": ` + quote(q.flags)
			if q.operator != "" {
				options += `, "default_operator": ` + quote(q.operator)
			}
			return fmt.Sprintf("query(%s, %s, {%s})", quote(q.columns), quote(text), options), nil
		}
		if text, ok := c["script"].(string); ok {
			return "(" + text + ")", nil
		}
	case []any:
		return combined(c, depth)
	}
	text, _ := jsonText(condition) // for a person; "" will do
	return "", badRequest("BadRequest", "condition: neither a script nor a query: %.100s", text)
}

// combined writes conditions that an operator joins: [operator, condition…].
func combined(list []any, depth int) (string, error) {
	if len(list) < 2 {
		return "", badRequest("BadRequest", "condition: a list has an operator and conditions")
	}
	name, _ := list[0].(string)
	operator, ok := operators[name]
	if !ok {
		return "", badRequest("BadRequest", "condition: undefined operator assigned %.20v", list[0])
	}
	var parts []string
	for _, element := range list[1:] {
		if element == nil {
			continue
		}
		part, err := script(element, depth+1)
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	return "(" + strings.Join(parts, " "+operator+" ") + ")", nil
}

// quote writes text as a string of the script syntax.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`).Replace(text) + `"`
}
