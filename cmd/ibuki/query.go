package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/ibuki-dev/ibuki/printable"
	"github.com/ibuki-dev/ibuki/rpc"
)

var queryCommand = &command{
	name:     "query",
	synopsis: "Asks the cluster and shows the answers",
	help: `
Usage: {prog} query [options] name [payload]

  Asks a query of all members, or of those that the options select, and shows
  the answers until the query ends.

  Ends when everybody has answered, or has said that it will not; who was
  expected to and did not is named on standard error.

  Exit codes: 0, with -min or -quorum if enough have answered; 1 for errors; 2
  if the query ended without enough answers.

Options:

  -format=text              Form of the output: 'text' (as answers come) or
                            'json' (at the end).
  -node=NAME                Ask only this node. May be given more than once.
  -tag key=regexp           Ask only nodes whose tag matches. May be given more
                            than once; all have to match.
  -timeout="15s"            How long to wait for answers. Unless said, the
                            agent decides by the size of the cluster.
  -min=N                    End as soon as so many have answered. (Not Serf's.)
  -quorum                   End as soon as more than half of those that were
                            asked have answered. (Not Serf's.)
  -no-ack                   Do not ask for acknowledgements.
  -outcome                  Show how each answer came about: the handler's exit code,
                            and whether its output was cut. Handlers that fail
                            answer too. (Only ibuki's nodes say so.)
  -relay-factor=0           Have answers sent by way of so many other nodes as
                            well, against loss: 0 to 255.
` + rpcHelp,
	run: runQuery,
}

func runQuery(e *env, args []string) int {
	fs := e.flags()
	var nodes, tagArgs listFlag
	fs.Var(&nodes, "node", "")
	fs.Var(&tagArgs, "tag", "")
	timeout := fs.Duration("timeout", 0, "")
	noAck := fs.Bool("no-ack", false, "")
	format := fs.String("format", "text", "")
	relay := fs.Int("relay-factor", 0, "")
	outcome := fs.Bool("outcome", false, "")
	var enough answersWanted
	fs.IntVar(&enough.min, "min", 0, "")
	fs.BoolVar(&enough.quorum, "quorum", false, "")
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	tags, err := parseTags(tagArgs)
	switch {
	case err != nil:
		return e.fail("Error: %s", err)
	case fs.NArg() < 1:
		return e.usage("A query name must be specified.")
	case fs.NArg() > 2:
		return e.usage("Too many command line arguments. Only a name and payload must be specified.")
	case enough.min < 0:
		return e.fail("-min must not be negative")
	case *relay < 0 || *relay > 255:
		return e.fail("Relay factor must be between 0 and 255")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c := agent.connect(ctx, e)
	if c == nil {
		return 1
	}
	defer c.Close()
	if !e.knows(ctx, c, "Error sending query", nodes...) {
		return 1
	}
	var out queryOutput
	switch *format {
	case "text":
		out = &queryText{e: e, name: fs.Arg(0), noAck: *noAck}
	case "json":
		out = &queryJSON{e: e, Responses: map[string]string{}}
	default:
		return e.fail("Invalid format: %s", *format)
	}
	return askQuery(ctx, e, c, out, rpc.QueryRequest{
		FilterNodes: nodes,
		FilterTags:  tags,
		RequestAck:  !*noAck,
		RelayFactor: uint8(*relay),
		Timeout:     *timeout,
		Name:        fs.Arg(0),
		Payload:     payload(fs.Args()),
		Outcome:     *outcome,
		Prompt:      true,
	}, &enough)
}

// askQuery shows a query until it ends, or enough have answered.
func askQuery(ctx context.Context, e *env, c *rpc.Client, out queryOutput, req rpc.QueryRequest, enough *answersWanted) int {
	q, err := c.Query(ctx, req)
	switch {
	case ctx.Err() != nil: // interrupted
		return 1
	case err != nil:
		return e.fail("Error sending query: %s", err)
	}
	out.started()
	for {
		rec, err := q.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return enough.judge(e, out.finished(), q.Last())
		case ctx.Err() != nil:
			return 1
		case err != nil:
			return e.fail("Query ended early: %s", err)
		case rec.Type == rpc.QueryRecordAck:
			out.ack(rec.From)
		case rec.Type == rpc.QueryRecordResponse:
			out.response(rec.From, rec.Payload, rec.Outcome)
			if enough.have(rec.Expected) {
				_ = q.Stop(ctx) // the connection ends anyway
				return out.finished()
			}
		}
	}
}

// queryOutput shows a query in one of the formats. finished returns the exit
// code.
type queryOutput interface {
	started()
	ack(from string)
	response(from string, payload []byte, o *rpc.Outcome)
	finished() int
}

// queryText shows answers as they come.
type queryText struct {
	e               *env
	name            string
	noAck           bool
	acks, responses int
}

func (t *queryText) started() { t.e.say("Query '%s' dispatched", t.e.word(t.name)) }

func (t *queryText) ack(from string) {
	t.acks++
	t.e.say("Ack from '%s'", t.e.word(from))
}

func (t *queryText) response(from string, payload []byte, o *rpc.Outcome) {
	t.responses++
	how := ""
	if o != nil {
		how = fmt.Sprintf(" (exit %d)", o.Exit)
		if o.Truncated {
			how = fmt.Sprintf(" (exit %d, truncated)", o.Exit)
		}
	}
	text := string(bytes.TrimSuffix(payload, []byte("\n")))
	if t.e.screen { // no line of it looks like one of ours
		text = strings.ReplaceAll(text, "\n", "\n    ")
	}
	t.e.say("Response from '%s'%s: %s", t.e.word(from), how, text)
}

func (t *queryText) finished() int {
	if !t.noAck {
		t.e.say("Total Acks: %d", t.acks)
	}
	t.e.say("Total Responses: %d", t.responses)
	return 0
}

// queryJSON collects the answers. No acks are null, as with Serf.
type queryJSON struct {
	e         *env
	Acks      []string
	Responses map[string]string
	Outcomes  map[string]rpc.Outcome `json:",omitempty"`
}

func (j *queryJSON) started()        {}
func (j *queryJSON) ack(from string) { j.Acks = append(j.Acks, from) }

func (j *queryJSON) response(from string, payload []byte, o *rpc.Outcome) {
	j.Responses[from] = string(payload)
	if o == nil {
		return
	}
	if j.Outcomes == nil {
		j.Outcomes = map[string]rpc.Outcome{}
	}
	j.Outcomes[from] = *o
}

func (j *queryJSON) finished() int {
	out, err := formatOutput(j, nil, "json")
	if err != nil {
		return j.e.fail("Encoding error: %s", err)
	}
	j.e.say("%s", out)
	return 0
}

// exitFewAnswers is the exit code of a query that ended without enough answers.
const exitFewAnswers = 2

// answersWanted are how many answers make a query a success.
type answersWanted struct {
	min    int
	quorum bool
	got    int
}

// have counts an answer of those that expected members are to give (0: it is not
// known how many), and reports whether they are enough.
func (a *answersWanted) have(expected int) bool {
	a.got++
	return (a.min > 0 || a.quorum) && a.got >= a.min && (!a.quorum || expected > 0 && 2*a.got > expected)
}

// judge is the exit code of a query that has ended with code and the record last.
// Who was expected to answer and did not is named.
func (a *answersWanted) judge(e *env, code int, last rpc.QueryRecord) int {
	missing := ""
	if len(last.Missing) > 0 {
		missing = "No answer from " + printable.Line(strings.Join(last.Missing, ", "))
	}
	if code != 0 || a.min == 0 && !a.quorum {
		if missing != "" && !e.asSerf() { // whose callers take anything there for an error
			fmt.Fprintln(e.stderr, missing)
		}
		return code
	}
	text := fmt.Sprintf("Not enough answers: %d", a.got)
	if last.Expected > 0 {
		text += fmt.Sprintf(" of %d", last.Expected)
	} else if a.quorum {
		text += "; the agent does not say how many there should be"
	}
	fmt.Fprintln(e.stderr, text)
	if missing != "" {
		fmt.Fprintln(e.stderr, missing)
	}
	return exitFewAnswers
}
