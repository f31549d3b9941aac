package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// clientsPerHost are those that use the gateway of each host.
	clientsPerHost = 3
	// registers are the keys that the clients fight for at a time.
	registers = 4
	// pace is how long a client waits, at most, between two things.
	pace = 40 * time.Millisecond
)

// user is a client of one gateway, on one connection.
type user struct {
	*fasthttp.HostClient
	hosts  *hosts
	number int
	random *rand.Rand
	round  *atomic.Int64 // the registers in use
	past   *history
	next   int
	made   []string // columns
}

// writers has clients use all gateways until ctx ends; wait waits for their end.
func (h *hosts) writers(ctx context.Context, seed uint64, past *history, round *atomic.Int64) (wait func()) {
	var wg sync.WaitGroup
	for i := range nodes * clientsPerHost {
		c := h.user(i%nodes, i, past)
		c.random, c.round = rand.New(rand.NewPCG(seed, uint64(i))), round
		wg.Go(func() {
			for ctx.Err() == nil {
				c.something()
				time.Sleep(time.Duration(c.random.Int64N(int64(pace))))
			}
		})
	}
	return wg.Wait
}

// user is a client of a gateway that does nothing by itself.
func (h *hosts) user(host, number int, past *history) *user {
	return &user{
		hosts: h, number: number, past: past,
		HostClient: &fasthttp.HostClient{
			Addr: h.frontOf(host), MaxConns: 1, MaxIdemponentCallAttempts: 1, ReadTimeout: 4 * time.Second,
			Dial: func(addr string) (net.Conn, error) { return h.dial(host, addr) },
		},
	}
}

// something does what the client draws.
func (c *user) something() {
	c.next++
	value := fmt.Sprintf("c%d-%d", c.number, c.next)
	key := fmt.Sprintf("r%d-%d", c.round.Load(), c.random.IntN(registers))
	if c.random.IntN(3) == 0 {
		key = "w" + key[1:] // in the table that is emptied
	}
	switch n := c.random.IntN(100); {
	case n < 40:
		c.write(key, value)
	case n < 75:
		c.read(key)
	case n < 92 || !*stormAll:
		c.append(value)
	case n < 95:
		c.truncate()
	case n < 98 || len(c.made) == 0:
		c.makeColumn("c" + strings.ReplaceAll(value, "-", "_"))
	default:
		c.removeColumn()
	}
}

// tableOf is the table of a register.
func tableOf(key string) string {
	if key[0] == 'w' {
		return "Emptied"
	}
	return "Registers"
}

func (c *user) write(key, value string) bool {
	o := operation{client: c.number, key: key, value: value, call: c.past.now()}
	body := fmt.Sprintf(`[{"_key":%q,"value":%q}]`, key, value)
	o.outcome = c.ask("load", command("load", "table", tableOf(key)), body, ",1]")
	c.past.add(o)
	return o.outcome == done
}

func (c *user) truncate() {
	o := operation{client: c.number, key: everything, call: c.past.now()}
	o.outcome = c.ask("truncate", command("truncate", "target_name", "Emptied"), "", ",true]")
	c.past.add(o)
}

func (c *user) append(value string) {
	o := c.ask("append", command("load", "table", "Notes"), fmt.Sprintf(`[{"text":%q}]`, value), ",1]")
	c.past.set(c.past.notes, value, o)
}

func (c *user) makeColumn(name string) {
	o := c.ask("column_create", command("column_create", "table", "Notes", "name", name, "flags", "COLUMN_SCALAR", "type", "Text"), "", ",true]")
	c.past.set(c.past.columns, name, o)
	if o == done {
		c.made = append(c.made, name)
	}
}

func (c *user) removeColumn() {
	name := c.made[0]
	c.made = c.made[1:]
	o := c.ask("column_remove", command("column_remove", "table", "Notes", "name", name), "", ",true]")
	c.past.set(c.past.removed, name, o)
}

// ask sends a write; if it is done, the answer ends so.
func (c *user) ask(what, uri, body, end string) outcome {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://" + c.Addr + uri)
	if body != "" {
		req.Header.SetMethod("POST")
		req.Header.SetContentType("application/json")
		req.SetBodyString(body)
	}
	err := c.Do(req, resp)
	fault := string(resp.Header.Peek("X-Ibuki-Fault"))
	switch {
	case err != nil:
		c.past.note(what + ": no answer")
		return open
	case fault == "no-majority", fault == "given-up", fault == "buffer-full":
		c.past.note(what + ": " + fault)
		return refused
	case fault == "done-answer-gone":
		c.past.note(what + ": " + fault)
		return done
	case fault != "":
		c.past.note(what + ": " + fault)
		return open
	case resp.StatusCode() == 200 && strings.HasSuffix(string(resp.Body()), end):
		c.past.note(what + ": done")
		return done
	}
	c.past.note(fmt.Sprintf("%s: %d %.200s", what, resp.StatusCode(), resp.Body()))
	return open
}

// read reads a register, unless the answer says that it may be old.
func (c *user) read(key string) {
	o := operation{client: c.number, key: key, read: true, call: c.past.now()}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://" + c.Addr + lookUp(key))
	if err := c.Do(req, resp); err != nil {
		c.past.note("search: no answer")
		return
	}
	if len(resp.Header.Peek("X-Ibuki-Stale")) > 0 {
		c.past.note("search: stale")
		return
	}
	var err error
	if o.value, err = found(resp.Body()); err != nil {
		c.past.note("search: " + string(resp.Header.Peek("X-Ibuki-Fault")) + err.Error())
		return
	}
	c.past.note("search: done")
	c.past.add(o)
}

func lookUp(key string) string {
	return command("select", "table", tableOf(key), "filter", fmt.Sprintf("_key == %q", key), "output_columns", "value")
}

// found is the value that an answer to lookUp holds; "" is no record.
func found(body []byte) (string, error) {
	var answer []json.RawMessage
	var sets [][]json.RawMessage
	var row []string
	err := json.Unmarshal(body, &answer)
	if err != nil || len(answer) != 2 || !strings.HasPrefix(string(answer[0]), "[0,") {
		return "", fmt.Errorf("%v %.200s", err, body)
	}
	if err := json.Unmarshal(answer[1], &sets); err != nil || len(sets) != 1 || len(sets[0]) < 2 {
		return "", fmt.Errorf("%v %.200s", err, body)
	}
	if len(sets[0]) == 2 {
		return "", nil
	}
	if err := json.Unmarshal(sets[0][2], &row); err != nil || len(row) != 1 {
		return "", fmt.Errorf("%v %.200s", err, body)
	}
	return row[0], nil
}
