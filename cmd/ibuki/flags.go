package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/ibuki-dev/ibuki/livefile"
	"github.com/ibuki-dev/ibuki/rpc"
)

// rpcHelp is the part of the help texts about rpcFlags.
const rpcHelp = `  -rpc-addr=127.0.0.1:7373  Where the agent answers RPC. SERF_RPC_ADDR in the
                            environment is the default.
  -rpc-auth=""              Key for the agent's RPC. SERF_RPC_AUTH in the
                            environment is the default.
`

// rpcFlags say where the agent is.
type rpcFlags struct{ addr, auth *string }

func addRPCFlags(fs *flag.FlagSet) rpcFlags {
	return rpcFlags{
		addr: fs.String("rpc-addr", cmp.Or(os.Getenv("SERF_RPC_ADDR"), "127.0.0.1:7373"), ""),
		auth: fs.String("rpc-auth", os.Getenv("SERF_RPC_AUTH"), ""),
	}
}

func (f rpcFlags) dial(ctx context.Context) (*rpc.Client, error) {
	return rpc.Dial(ctx, rpc.ClientConfig{Addr: *f.addr, AuthKey: *f.auth})
}

// connect returns nil after it said why it failed.
func (f rpcFlags) connect(ctx context.Context, e *env) *rpc.Client {
	c, err := f.dial(ctx)
	if err != nil {
		e.say("Error connecting to Serf agent: %s", err)
		return nil
	}
	return c
}

// listFlag is a flag that may be given more than once. A value is never split.
type listFlag []string

func (l *listFlag) String() string     { return strings.Join(*l, ",") }
func (l *listFlag) Set(v string) error { *l = append(*l, v); return nil }

// specsFlag are files of the live-node list, one each time.
type specsFlag []livefile.Spec

func (*specsFlag) String() string { return "" }

func (f *specsFlag) Set(v string) error {
	spec, err := livefile.ParseSpec(v)
	*f = append(*f, spec)
	return err
}

// switchFlag is a flag that is on, off or not said.
type switchFlag struct{ to **bool }

func (switchFlag) IsBoolFlag() bool { return true }

func (f switchFlag) String() string {
	if f.to == nil || *f.to == nil {
		return ""
	}
	return strconv.FormatBool(**f.to)
}

func (f switchFlag) Set(s string) error {
	v, err := strconv.ParseBool(s)
	if err != nil {
		return errors.New("parse error") // the flag package's own words
	}
	*f.to = &v
	return nil
}

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
