package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/ibuki-dev/ibuki/agent"
	"github.com/ibuki-dev/ibuki/agent/logging"
	"github.com/ibuki-dev/ibuki/settings"
)

// updateAfterChange is the environment variable for agent.Config.UpdateAfterChange:
// its user, the Droonga engine, writes the agent's command line itself.
const updateAfterChange = "IBUKI_UPDATE_AFTER_CHANGE"

// settled is how long after its start an agent has usually joined and been told of all
// members.
const settled = 10 * time.Second

var agentCommand = &command{
	name:     "agent",
	synopsis: "Runs an agent, which is one node of a cluster",
	help: `
Usage: {prog} agent [options]

  Runs one node of a cluster until it is interrupted. An interrupt makes it tell
  the others that it leaves; a second one ends it at once.

Options:

` + settings.Help() + `
  Each key of a file can also stand in the environment: IBUKI_NODE_NAME is
  node_name. It takes precedence over files, and flags over it. 'config check' and
  'config show' take the same flags.

  SIGUSR1 writes the metrics of the last minute to standard error.
  SIGHUP reads the files again and applies log level, event handlers, tags, tokens,
  the encrypt-verify switches and what to do on signals. SIGTERM ends the agent
  without a leave unless leave_on_terminate is set in a file; an interrupt does so
  if skip_leave_on_interrupt is set.

Event handlers:

  CMD is run by /bin/sh for one event at a time. TYPE is member-join, member-leave,
  member-failed, member-update, member-reap, user, query, user:NAME, query:NAME or
  *, or several of them with commas; without a TYPE, CMD gets all events.
  The environment says what happened: SERF_EVENT, SERF_SELF_NAME, SERF_SELF_ROLE,
  SERF_SELF_ADDR, SERF_SELF_PORT, SERF_TAG_*, SERF_USER_EVENT, SERF_USER_LTIME,
  SERF_QUERY_NAME (also as SERF_USER_QUERY), SERF_QUERY_LTIME, SERF_QUERY_SOURCE,
  SERF_OLD_TAGS. Standard input has a line for each member
  (name, address, role, tags; tabs between), or the payload. What the handler of
  a query prints is its answer. Under the key handlers, a file can have handlers
  with a time-out, retries and more; see docs/handlers.md.

The list of live nodes:

  The file is replaced atomically, and only when the list has changed. FORMAT is
  live-nodes (by default), all-nodes, cluster-state, file_sd, haproxy, nginx or
  template. With options: file=FILE,format=FORMAT,port=N,port_tag=TAG,name=NAME,
  template=FILE,run=CMD, where the last is run after each change. The user
  events and queries live-nodes:exclude NAME, live-nodes:include NAME and
  live-nodes:refresh take a node out of the list, and put it back.

  With ` + updateAfterChange + `=1 in the agent's environment, every
  member-join, member-leave and member-failed is followed by a member-update of the
  same members, for clients that expect it.
`,
	run: runAgent,
}

// agentRun is one run of the agent command.
type agentRun struct {
	env   *env
	args  []string
	opts  settings.Options
	cfg   agent.Config
	json  bool            // lines of ours are objects too
	file  *logging.Writer // nil: the log goes to stdout
	agent *agent.Agent

	httpListener net.Listener // nil: no HTTP API
}

func runAgent(e *env, args []string) int {
	r := &agentRun{env: e, args: args}
	var ok bool
	if r.opts, r.cfg, ok = r.read(); !ok {
		return 1
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	// Whoever read our output may go away without us: this keeps the write's
	// error from ending the process. Ignored, the signal would be so in handlers too.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	defer signal.Stop(pipe)

	if err := r.openLog(); err != nil {
		return r.env.fail("==> %s", err)
	}
	if !r.start() {
		return 1
	}
	defer r.agent.Stop()
	defer r.serveHTTP()()
	defer r.tellMetrics()()
	if !r.join(signals) {
		return 1
	}
	r.info("")
	if r.file != nil {
		r.output("Log data goes to %s", r.cfg.LogFile.Path)
	} else {
		r.output("Log data will now stream in as it occurs:\n")
	}
	r.agent.Log().Open()
	tellService(daemon.SdNotifyReady, r.status())
	defer watchService(r.agent.Alive)()
	// A start needs more memory than what follows, and Go would keep it.
	defer time.AfterFunc(settled, debug.FreeOSMemory).Stop()
	return r.wait(signals)
}

// status is what a service manager shows of the agent.
func (r *agentRun) status() string {
	return fmt.Sprintf("%s at %s", r.cfg.Name, r.agent.Addr())
}

// output, info: lines as Serf's agent prints them.
func (r *agentRun) output(format string, args ...any) {
	if r.json {
		r.sayJSON(fmt.Sprintf(format, args...))
		return
	}
	r.env.say("==> "+format, args...)
}
func (r *agentRun) info(format string, args ...any) {
	if r.json {
		r.sayJSON(fmt.Sprintf(format, args...))
		return
	}
	r.env.say("%s", strings.TrimRight("    "+fmt.Sprintf(format, args...), " "))
}

// sayJSON prints a line of ours as one of the log, if there is anything in it.
func (r *agentRun) sayJSON(text string) {
	if text = strings.TrimSpace(text); text != "" {
		r.env.say("%s", logging.Record{Time: time.Now(), Level: "INFO", Message: text}.JSON())
	}
}

// openLog decides where the log goes.
func (r *agentRun) openLog() (err error) {
	r.json = r.cfg.LogFormat == logging.LogJSON && r.cfg.LogFile.Path == ""
	if r.cfg.LogFile.Path == "" {
		return nil
	}
	if r.file, err = r.cfg.LogFile.Open(); err == nil {
		r.cfg.LogOutput = r.file
	}
	return err
}

// faults prints each fault on a line of its own.
func (r *agentRun) faults(err error) {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range list.Unwrap() {
			r.faults(err)
		}
		return
	}
	r.fault("%s", err)
}

// fault prints what keeps the agent from starting, or, while it runs, what is wrong with
// its files.
func (r *agentRun) fault(format string, args ...any) {
	if r.agent != nil || r.json {
		r.output(format, args...)
		return
	}
	r.env.fail("==> "+format, args...)
}

// serf is what the agent calls itself.
func (r *agentRun) serf() string {
	if r.env.asSerf() {
		return "Serf agent"
	}
	return "ibuki agent"
}

// read puts together what flags and files say.
func (r *agentRun) read() (settings.Options, agent.Config, bool) {
	flags, files, err := r.parse()
	if err != nil { // said by the flag set
		return flags, agent.Config{}, false
	}
	opts, err := settings.Read(files)
	if err != nil {
		r.faults(err)
		return opts, agent.Config{}, false
	}
	environ, err := settings.FromEnviron(os.Environ())
	if err != nil {
		r.faults(err)
		return opts, agent.Config{}, false
	}
	opts = opts.Merge(environ).Merge(flags)
	cfg, warnings, err := opts.Config()
	if err != nil {
		r.faults(err)
		return opts, cfg, false
	}
	if !r.env.asSerf() {
		warnings = append(warnings, opts.NoPrograms(exec.LookPath)...)
	}
	for _, w := range warnings {
		r.output("%s", w)
	}
	cfg.LogOutput = r.env.stdout
	cfg.UpdateAfterChange = os.Getenv(updateAfterChange) == "1"
	return opts, cfg, true
}

// parse reads the command line. What is wrong with it has been printed if there is an error.
func (r *agentRun) parse() (o settings.Options, paths []string, err error) {
	fs := r.env.flags()
	flags := settings.NewFlags(fs)
	if err := fs.Parse(r.args); err != nil {
		return o, nil, err
	}
	if r.env.extra() {
		return o, nil, errExtra
	}
	if err := flags.Finish(); err != nil {
		var f *settings.FlagError
		if errors.As(err, &f) && !r.env.asSerf() {
			err = fmt.Errorf("-%s=%s: %s", f.Flag, f.Text, wantedTime)
		}
		r.fault("Error: %s", err)
		return o, nil, err
	}
	return flags.Options, flags.Paths, nil
}

// start starts the agent and says so; joining comes later, with lines of its own.
func (r *agentRun) start() bool {
	r.output("Starting %s...", r.serf())
	cfg := r.cfg
	cfg.Join, cfg.RetryJoin = nil, nil
	a, err := agent.New(cfg)
	if err == nil {
		err = r.listenHTTP()
	}
	if err == nil {
		err = a.Start(context.Background())
	}
	if err != nil {
		if r.httpListener != nil {
			r.httpListener.Close()
		}
		r.startFailed(err)
		return false
	}
	r.agent = a
	r.output("Starting %s RPC...", r.serf())
	r.output("%s running!", r.serf())
	r.info("                  Node name: '%s'", cfg.Name)
	r.info("                  Bind addr: '%s'", a.BindAddr())
	if r.opts.Advertise != "" {
		r.info("Advertise addr: '%s'", a.Addr())
	}
	rpcAddr := cfg.RPCAddr
	if strings.HasSuffix(rpcAddr, ":0") {
		rpcAddr = a.RPCAddr().String()
	}
	r.info("                   RPC addr: '%s'", rpcAddr)
	r.info("                  Encrypted: %v", a.Encrypted())
	r.info("                   Snapshot: %v", cfg.SnapshotPath != "")
	r.info("                    Profile: %s", cfg.Profile)
	r.info("Message Compression Enabled: %v", !cfg.NoCompression)
	if r.httpListener != nil {
		r.info("                   HTTP API: %s", r.httpURL())
	}
	if cfg.Discover != "" {
		r.info("               mDNS cluster: %s", cfg.Discover)
	}
	return true
}

func (r *agentRun) startFailed(err error) {
	cure := ""
	if !r.env.asSerf() {
		cure = startCure(err)
	}
	for _, text := range []string{"Error starting RPC listener", "Error starting HTTP listener", "Error starting mDNS listener", "Syslog setup failed"} {
		if strings.HasPrefix(err.Error(), text) {
			r.fault("%s%s", err, cure)
			return
		}
	}
	if errors.Is(err, agent.ErrSetup) {
		r.fault("Failed to setup the %s: %s%s", r.serf(), err, cure)
		return
	}
	r.fault("Failed to start the %s: %s%s", r.serf(), err, cure)
}

// join does what -join wants, and begins what -retry-join wants.
func (r *agentRun) join(signals <-chan os.Signal) bool {
	if len(r.cfg.Join) > 0 {
		r.output("Joining cluster...(replay: %v)", r.cfg.Replay)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			select {
			case sig := <-signals:
				if sig != syscall.SIGHUP {
					cancel()
				}
			case <-ctx.Done():
			}
		}()
		n, err := r.agent.Join(ctx, r.cfg.Join, r.cfg.Replay)
		if err != nil {
			r.output("%s", err)
			return false
		}
		r.info("Join completed. Synced with %d initial agents", n)
	}
	r.agent.RetryJoin(r.cfg.RetryJoin)
	return true
}

// wait waits for a signal that ends the agent, or its own end, and returns the
// exit code.
func (r *agentRun) wait(signals <-chan os.Signal) int {
	for {
		var sig os.Signal
		select {
		case sig = <-signals:
		case <-r.agent.Done():
			return r.ended()
		}
		r.output("Caught signal: %v", sig)
		if sig == syscall.SIGHUP {
			tellService(daemon.SdNotifyReloading, "")
			r.reload()
			tellService(daemon.SdNotifyReady, r.status())
			continue
		}
		tellService(daemon.SdNotifyStopping, "")
		if r.agent.HasLeft() {
			return 0 // it is ending as it was asked to
		}
		graceful := sig == os.Interrupt && !r.opts.SkipLeaveOnInt || sig == syscall.SIGTERM && r.opts.LeaveOnTerm
		if graceful && r.agent.Restarting() {
			r.output("A restart was announced: ending without a leave")
			return 0
		}
		if !graceful {
			return 1
		}
		return r.leave(signals)
	}
}

// ended is the exit code of an agent that ended by itself. A lost name is a
// failure, unlike with Serf: who watches over the process has to learn of it.
func (r *agentRun) ended() int {
	switch err := r.agent.Err(); err {
	case nil:
		return 0
	case agent.ErrConflictLost:
		r.output("%s", err)
	}
	return 1
}

// leaveMax is for a leave that does not end by itself, which it should: the
// machine bounds it by the broadcast time-out. It is not Serf's 3 s, which cut
// off a leave that was still being told.
const leaveMax = time.Minute

// signalEcho is how soon a second signal is only an echo of the first: Ctrl-C
// goes to all processes of the terminal, and a parent that passes it on sends it again.
const signalEcho = 500 * time.Millisecond

func (r *agentRun) leave(signals <-chan os.Signal) int {
	r.output("Gracefully shutting down agent...")
	ctx, cancel := context.WithTimeout(context.Background(), leaveMax)
	defer cancel()
	left := make(chan error, 1)
	go func() { left <- r.agent.Leave(ctx) }()
	begun := time.Now()
	for {
		select {
		case sig := <-signals:
			if sig == syscall.SIGHUP || time.Since(begun) < signalEcho {
				continue
			}
			r.output("Caught signal: %v", sig)
			return 1
		case <-r.agent.Done():
			return r.ended()
		case err := <-left:
			if err != nil {
				r.output("Error: %s", err)
				return 1
			}
			return 0
		}
	}
}

// reload reads the files again and applies what can change while the agent runs.
func (r *agentRun) reload() {
	r.output("Reloading configuration...")
	opts, cfg, ok := r.read()
	if !ok {
		r.output("Failed to reload configs")
		return
	}
	if keys := r.opts.NeedRestart(opts); len(keys) > 0 {
		r.output("Not changed before the next start: %s", strings.Join(keys, ", "))
	}
	r.opts.LeaveOnTerm, r.opts.SkipLeaveOnInt = opts.LeaveOnTerm, opts.SkipLeaveOnInt
	if err := r.agent.Reload(cfg); err != nil {
		r.faults(err)
	}
	if r.file != nil {
		if err := r.file.Reopen(); err != nil {
			r.output("%s", err)
		}
	}
}
