package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/rpc"
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
	switch {
	case err == nil:
	case e.name != "serf" && (errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)):
		e.say("No agent answers at %s. Start one ('%s agent'), or name its address with -rpc-addr or SERF_RPC_ADDR.", *f.addr, e.name)
		return nil
	default:
		e.say("Error connecting to Serf agent: %s", err)
		return nil
	}
	return c
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
