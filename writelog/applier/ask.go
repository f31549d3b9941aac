package applier

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// asker asks a server the questions of an applier.
type asker struct{ server Server }

// command makes a command of pairs of names and values.
func command(name string, pairs ...string) *groonga.Command {
	c := &groonga.Command{Name: name}
	for i := 0; i < len(pairs); i += 2 {
		c.Args = append(c.Args, groonga.Arg{Name: pairs[i], Value: pairs[i+1]})
	}
	return c
}

// answered is the fault of a server that answers a question with an error.
type answered struct {
	name string
	code int
	body []byte
}

func (e *answered) Error() string {
	return fmt.Sprintf("the server answers %s with %d: %.200s", e.name, e.code, e.body)
}

// questionWait is how long the answer is waited for of a question that has no reason to wait in the server. Groonga
// 13.0.0 may lose an answer when the connection of somebody else breaks off in the middle of a request.
const questionWait = 10 * time.Second

// waits reports whether a command may have to wait for others, or takes its time.
func waits(c *groonga.Command) bool {
	switch c.Name {
	case "status", "config_get", "config_set", "config_delete", "object_list":
		return false
	case "thread_limit":
		return c.Get("max") == "1"
	}
	return true
}

// ask sends a command and returns the body of its answer; an answer that is an error is one.
func (q asker) ask(ctx context.Context, name string, pairs ...string) (json.RawMessage, error) {
	c := command(name, pairs...)
	if !waits(c) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, questionWait)
		defer cancel()
	}
	a, err := q.server.Do(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if a.Code != 0 {
		return nil, &answered{name, a.Code, a.Body}
	}
	if name == "dump" {
		return a.Body, nil
	}
	_, body, err := envelope(a.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return body, nil
}

func (q asker) get(ctx context.Context, key string) (string, error) {
	body, err := q.ask(ctx, "config_get", "key", key)
	if err != nil {
		return "", err
	}
	var s string
	if err := json.Unmarshal(body, &s); err != nil {
		return "", fmt.Errorf("config_get: %w", err)
	}
	return s, nil
}

func (q asker) set(ctx context.Context, key, value string) error {
	_, err := q.ask(ctx, "config_set", "key", key, "value", value)
	return err
}

// newest returns the value of the newer of two keys that are written in turn, and its number; "" and 0 if neither
// is whole.
func (q asker) newest(ctx context.Context, key string) (value string, number uint64, err error) {
	for _, turn := range []string{".0", ".1"} {
		s, err := q.get(ctx, key+turn)
		if err != nil {
			return "", 0, err
		}
		if n, v, ok := unseal(s); ok && n >= number {
			value, number = v, n
		}
	}
	return value, number, nil
}

// put writes the next value of two keys that are written in turn.
func (q asker) put(ctx context.Context, key string, number uint64, value string) error {
	return q.set(ctx, fmt.Sprint(key, ".", number%2), sealed(number, value))
}

// unset deletes a key that is there.
func (q asker) unset(ctx context.Context, key string) error {
	_, err := q.ask(ctx, "config_delete", "key", key)
	return err
}

// sync has the database's own files forced to the disk: its names and its configuration.
func (q asker) sync(ctx context.Context) error {
	_, err := q.ask(ctx, "io_flush", "recursive", "no")
	return err
}

// syncAll has everything forced to the disk.
func (q asker) syncAll(ctx context.Context) error {
	_, err := q.ask(ctx, "io_flush")
	return err
}

// limit returns the server's thread limit, and changes it if max is not 0.
func (q asker) limit(ctx context.Context, max int) (int, error) {
	var pairs []string
	if max > 0 {
		pairs = []string{"max", strconv.Itoa(max)}
	}
	body, err := q.ask(ctx, "thread_limit", pairs...)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(body))
}

// started is when the server was started and since when it is up, in seconds, as it says.
func (q asker) started(ctx context.Context) (when string, up int64, err error) {
	body, err := q.ask(ctx, "status")
	if err != nil {
		return "", 0, err
	}
	var status struct {
		Started json.Number `json:"starttime"`
		Uptime  int64       `json:"uptime"`
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return "", 0, fmt.Errorf("status: %w", err)
	}
	return status.Started.String(), status.Uptime, nil
}

// objects asks what there is, without opening any of it. table_list and schema do not do: of Groonga 13.0.0, two
// that come at the same time wait for each other.
func (q asker) objects(ctx context.Context) (objects, error) {
	body, err := q.ask(ctx, "object_list")
	if err != nil {
		return nil, err
	}
	var list map[string]json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("object_list: %w", err)
	}
	o := make(objects, len(list))
	for name := range list { // order-free: into another map
		o[name] = true
	}
	return o, nil
}

// records asks for the number of records in a table. It must not have the server read them: in a table without keys
// and values whose records were deleted, Groonga 13.0.0 gives ids twice after that (findings/groonga-no-key-ids.sh).
func (q asker) records(ctx context.Context, table string) (n uint64, err error) {
	body, err := q.ask(ctx, "select", "table", table, "limit", "0", "output_columns", "_id", "cache", "no")
	if err != nil {
		return 0, err
	}
	var parts [][]json.RawMessage // [[[n],[columns]]]
	var count []uint64
	known := json.Unmarshal(body, &parts) == nil && len(parts) > 0 && len(parts[0]) > 0 && json.Unmarshal(parts[0][0], &count) == nil
	if !known || len(count) != 1 {
		return 0, fmt.Errorf("select: an answer of no known form: %.100s", body)
	}
	return count[0], nil
}

// intents are the numbers of the intents in a dump.
func intentsOf(dump []byte) (numbers []int) {
	for line := range strings.Lines(string(dump)) {
		if rest, ok := strings.CutPrefix(line, "config_set "+keyIntent); ok {
			word, _, _ := strings.Cut(rest, " ")
			if n, err := strconv.Atoi(word); err == nil {
				numbers = append(numbers, n)
			}
		}
	}
	return numbers
}
