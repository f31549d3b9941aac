package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/agent"
	"github.com/ibuki-dev/ibuki/printable"
	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/settings"
)

// rpcHelp is the part of the help texts about rpcFlags.
const rpcHelp = `  -rpc-addr=127.0.0.1:7373  Where the agent answers RPC: HOST:PORT or unix:PATH.
                            SERF_RPC_ADDR in the environment is the default.
  -rpc-auth=""              Key or token for the agent's RPC. SERF_RPC_AUTH in the
                            environment is the default.
  -rpc-ca=FILE              Speak TLS with an agent whose certificate these
                            authorities have signed; 'system' for the host's.
                            IBUKI_RPC_CA in the environment is the default.
  -rpc-cert=FILE            Present this certificate; also IBUKI_RPC_CERT.
  -rpc-key=FILE             Its key; also IBUKI_RPC_KEY.
  -rpc-server-name=NAME     Name in the agent's certificate, if it is not the host
                            of -rpc-addr; also IBUKI_RPC_SERVER_NAME.
`

// rpcFlags say where the agent is, and what to show it.
type rpcFlags struct{ addr, auth, ca, cert, key, server *string }

func addRPCFlags(fs *flag.FlagSet) rpcFlags {
	return rpcFlags{
		addr:   fs.String("rpc-addr", cmp.Or(os.Getenv("SERF_RPC_ADDR"), "127.0.0.1:7373"), ""),
		auth:   fs.String("rpc-auth", os.Getenv("SERF_RPC_AUTH"), ""),
		ca:     fs.String("rpc-ca", os.Getenv("IBUKI_RPC_CA"), ""),
		cert:   fs.String("rpc-cert", os.Getenv("IBUKI_RPC_CERT"), ""),
		key:    fs.String("rpc-key", os.Getenv("IBUKI_RPC_KEY"), ""),
		server: fs.String("rpc-server-name", os.Getenv("IBUKI_RPC_SERVER_NAME"), ""),
	}
}

func (f rpcFlags) dial(ctx context.Context) (*rpc.Client, error) {
	cfg := rpc.ClientConfig{Addr: *f.addr, AuthKey: *f.auth}
	if *f.ca+*f.cert+*f.key+*f.server != "" {
		var err error
		if cfg.TLS, err = access.ClientTLS(*f.ca, *f.cert, *f.key, *f.server); err != nil {
			return nil, err
		}
	}
	return rpc.Dial(ctx, cfg)
}

// connect returns nil after it said why it failed.
func (f rpcFlags) connect(ctx context.Context, e *env) *rpc.Client {
	c, err := f.dial(ctx)
	if err == nil {
		return c
	}
	switch why := f.noAgent(err); {
	case e.asSerf():
		e.fail("Error connecting to Serf agent: %s", err)
	case why != "":
		e.fail("%s", strings.ReplaceAll(why, "{prog}", e.name))
	default:
		e.fail("Error connecting to the agent: %s", err)
	}
	return nil
}

// noAgent says in an operator's words why no agent answered, with the cure; "" if the
// error itself is plain.
func (f rpcFlags) noAgent(err error) string {
	where := "name its address with -rpc-addr or SERF_RPC_ADDR"
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("No agent answers at %s. Start one ('{prog} agent'), or %s.", *f.addr, where)
	case errors.Is(err, rpc.ErrBadReply), errors.Is(err, rpc.ErrClientClosed), errors.Is(err, syscall.ECONNRESET):
		return fmt.Sprintf("What answers at %s is no agent's RPC. Is it the port of -bind or -http, or does RPC need TLS (-rpc-ca)? Else %s.", *f.addr, where)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return fmt.Sprintf("Nothing answers at %s. Is that the right address, and does a firewall let RPC through? Else %s.", *f.addr, where)
	}
	return ""
}

// listFlag is a flag that may be given more than once. A value is never split.
type listFlag []string

func (l *listFlag) String() string     { return strings.Join(*l, ",") }
func (l *listFlag) Set(v string) error { *l = append(*l, v); return nil }

// parseTags reads key=value arguments; a value may hold more "=". The last of
// equal keys counts.
func parseTags(args []string) (map[string]string, error) {
	tags := make(map[string]string, len(args))
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("Invalid tag: '%s'", arg)
		}
		tags[key] = value
	}
	return tags, nil
}

// Mistakes on the command line. Under the name serf they are said in Serf's words and
// places, which scripts may know: the fault first, then all of the help. Under our own
// name each is one line, the cure in it, on stderr.

// asSerf reports whether the program was called by Serf's name.
func (e *env) asSerf() bool { return e.name == "serf" }

// fail prints a line and is the exit code of a failed command. Serf prints faults to
// stdout, where they end in the list that somebody wanted.
func (e *env) fail(format string, args ...any) int {
	text := fmt.Sprintf(format, args...)
	if e.asSerf() {
		e.say("%s", text)
		return 1
	}
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			text += refusalCure(err)
		}
	}
	fmt.Fprintln(e.stderr, printable.Text(strings.Trim(text, "\n")))
	return 1
}

// refusalCure is what can be done about an agent that refuses somebody.
func refusalCure(err error) string {
	switch {
	case errors.Is(err, rpc.ErrAuthRequired):
		return ". Give the agent's key or a token with -rpc-auth or SERF_RPC_AUTH."
	case errors.Is(err, rpc.ErrInvalidAuthToken):
		return ". The agent has another key, and no such token: see -rpc-auth and SERF_RPC_AUTH."
	case errors.Is(err, rpc.ErrPermission):
		return ". The token lacks the verb for it; 'tokens' in the agent's configuration gives it."
	}
	return ""
}

// usage says what is wrong with the arguments, and where the help is; Serf's has all of it.
func (e *env) usage(fault string) int {
	if e.asSerf() {
		return e.fail("%s\n\n%s", fault, e.text(e.cmd.help))
	}
	if !strings.HasSuffix(fault, ".") {
		fault += "."
	}
	return e.fail("%s '%s %s -h' has all about it.", fault, e.name, e.cmd.name)
}

// flags returns an empty flag set. Called as serf it reports faults as Serf's does: the
// fault on stderr, the help on stdout.
func (e *env) flags() *flag.FlagSet {
	fs := flag.NewFlagSet(e.cmd.name, flag.ContinueOnError)
	e.set = fs
	if e.asSerf() {
		fs.SetOutput(e.stderr)
		fs.Usage = func() { e.say("%s", e.text(e.cmd.help)) }
		return fs
	}
	var fault strings.Builder // the package writes it, and then calls Usage
	fs.SetOutput(&fault)
	fs.Usage = func() {
		if fault.Len() == 0 { // asked for
			e.say("%s", e.text(e.cmd.help))
			return
		}
		e.fail("%s", e.flagFault(strings.TrimSpace(fault.String())))
	}
	return fs
}

// What the flag package says of a flag, and of its value.
var (
	noSuchFlag   = regexp.MustCompile(`^flag provided but not defined: -(.+)$`)
	noFlagValue  = regexp.MustCompile(`^flag needs an argument: -(.+)$`)
	badFlagValue = regexp.MustCompile(`(?s)^invalid (?:boolean )?value (".*") for (?:flag )?-([^:]+): (.*)$`)
)

// flagFault says in an operator's words what the flag package says in its own.
func (e *env) flagFault(text string) string {
	if m := noSuchFlag.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("There is no flag -%s.%s '%s %s -h' lists them.", m[1], e.nearFlag(m[1], ""), e.name, e.cmd.name)
	}
	if m := noFlagValue.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("-%s needs a value: -%s=VALUE.", m[1], m[1])
	}
	m := badFlagValue.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	return fmt.Sprintf("-%s=%s: %s.", m[2], strings.Trim(m[1], `"`), e.flagWants(m[2], m[3]))
}

// wantedTime is what is wrong with "5".
const wantedTime = "a time with its unit is wanted, like 30s or 500ms"

// flagWants says what the value of a flag is to be, or what its own type says of it.
func (e *env) flagWants(name, cause string) string {
	if cause != "parse error" && cause != "value out of range" {
		return cause
	}
	value, _ := e.set.Lookup(name).Value.(flag.Getter)
	if value == nil { // of the types that are no getters only switches say so
		return fmt.Sprintf("it is on or off: -%s or -%s=false", name, name)
	}
	switch value.Get().(type) {
	case bool:
		return fmt.Sprintf("it is on or off: -%s or -%s=false", name, name)
	case time.Duration:
		return wantedTime
	case uint, uint64:
		return "a whole number that is not negative is wanted"
	case int, int64:
		return "a whole number is wanted"
	case float64:
		return "a number is wanted"
	}
	return cause
}

// errExtra: the arguments that there are too many have been named.
var errExtra = errors.New("too many arguments")

// nearFlag is a question after the flag that may have been meant, "" if none is near.
func (e *env) nearFlag(name, rest string) string {
	var names []string
	e.set.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	if near := settings.Nearest(name, names); near != "" {
		return fmt.Sprintf(" Did you mean -%s%s?", near, rest)
	}
	return ""
}

// extra reports whether there are arguments after the flags of a command that takes none,
// after it said so. Serf passes them over, and with them a flag that lacks its dash.
func (e *env) extra() bool {
	if e.asSerf() || e.set.NArg() == 0 {
		return false
	}
	word, hint := e.set.Arg(0), ""
	if name, value, ok := strings.Cut(word, "="); ok {
		hint = e.nearFlag(name, "="+value)
	} else if e.set.Lookup(word) != nil {
		hint = fmt.Sprintf(" Did you mean -%s?", word)
	}
	e.fail("'%s %s' takes no arguments besides its flags: %q.%s", e.name, e.cmd.name, word, hint)
	return true
}

// memberStatuses are what Serf's members can be.
var memberStatuses = []string{"alive", "leaving", "left", "failed"}

// statusFault says that a filter lets no status pass, "" if it does. What is no regular
// expression is for the agent to refuse.
func statusFault(filter string) string {
	re, err := regexp.Compile("^(?:" + filter + ")$")
	if filter == "" || err != nil || slices.ContainsFunc(memberStatuses, re.MatchString) {
		return ""
	}
	hint := ""
	if near := settings.Nearest(filter, memberStatuses); near != "" {
		hint = fmt.Sprintf(" Did you mean %s?", near)
	}
	return fmt.Sprintf("-status=%s fits no status; there are %s.%s", filter, strings.Join(memberStatuses, ", "), hint)
}

// startCure is what can be done about an agent that does not start, "" if that is plain.
func startCure(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "; is another agent running there? 'ss -lntup' shows whose the port is, -bind, -rpc-addr and -http take another"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "; this host has no such address ('ip address' lists those it has), -advertise is for one that it is reached by"
	case errors.Is(err, syscall.EACCES) && strings.Contains(err.Error(), "bind"):
		return "; ports below 1024 are for root, or take CAP_NET_BIND_SERVICE"
	case errors.Is(err, agent.ErrNoPrivate):
		return "; say by -advertise=ADDR (or -bind=ADDR) at which address the others reach this node"
	}
	return ""
}
