package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/catalog"
	"github.com/ibuki-dev/ibuki/dispatch"
	"github.com/ibuki-dev/ibuki/gateway"
	"github.com/ibuki-dev/ibuki/livefile"
)

var gatewayCommand = &command{
	name:     "gateway",
	synopsis: "Delivers searches and writes to a cluster of Groonga servers",
	hidden:   true,
	help: `
Usage: {prog} gateway -catalog=FILE -live-nodes=FILE [options]

  Answers clients of Groonga and has the servers of a cluster do the work: each
  search goes to one live replica of each slice, each write to all replicas.
  Which servers there are is in the catalog; which of them are alive is in the
  file that the agent of this machine writes. Writes go through a log that the
  gateways share: one is done when a majority of them has it on disk, and a
  replica that misses it gets it when it is back.

Options:

  -catalog=FILE             Droonga's catalog.json. host:port of a volume is the
                            HTTP address of its Groonga server.
  -live-nodes=FILE          The list of live nodes, followed as it changes. While
                            there is none yet, all nodes are held to be alive.
  -http=:10040              Where Groonga's HTTP interface is offered, and /status.
  -droonga=ADDR             Where Droonga's message protocol is offered.
  -log=DIR                  Where this gateway's part of the log of writes is kept.
                            Without it writes are refused. See docs/write-log.md.
  -log-size=1073741824      How many bytes the log may have. Then writes are refused.
  -compare-rate=1000        How many records a second are read of each server, in the
                            background, to compare it with the others of its slice.
                            0: none.
  -fill-pause=30s           How long a write that may not be done twice may wait for
                            a server from which another one is being filled, if no
                            other complete server can take it. Then the filling is
                            given up, and begins anew later.
  -dataset=NAME             The dataset that commands are about which name none.
  -node=NAME                Which of the catalog's nodes this machine is. Unless
                            said, it is told by the addresses of this machine.
  -peers=ADDR               Another gateway of the same catalog (host:port of its
                            -http). May be given more than once. Unless said,
                            there is one on each node of the catalog, at the same
                            port. 'none': this is the only one.
  -write-wait=300ms         How long a write waits for a further replica. Then
                            that one gets it later, and is not read from until
                            then.
  -token-file=FILE          The token of those who change the cluster over HTTP
                            (ibuki cluster add and its like): one line, as ibuki keygen
                            prints it. Without it only this machine may.
  -log-level=info           'debug', 'info', 'warn' or 'error'.
`,
	run: runGateway,
}

// gatewayFlags are the settings of the command line.
type gatewayFlags struct {
	catalog, list, http, droonga string
	writeLog, dataset, node      string
	logSize                      int64
	compareRate                  int
	logLevel, tokenFile          string
	writeWait, fillPause         time.Duration
	peers                        listFlag
}

func runGateway(e *env, args []string) int {
	if slices.ContainsFunc(args, isBufferFlag) {
		return e.usage("-buffer is no more: writes are kept in a log that the gateways share, by -log=DIR. " +
			"Read \"From -buffer to -log\" in docs/write-log.md before you start this gateway.")
	}
	var f gatewayFlags
	fs := e.flags()
	fs.StringVar(&f.catalog, "catalog", "", "")
	fs.StringVar(&f.list, "live-nodes", "", "")
	fs.StringVar(&f.http, "http", ":10040", "")
	fs.StringVar(&f.droonga, "droonga", "", "")
	fs.StringVar(&f.writeLog, "log", "", "")
	fs.Int64Var(&f.logSize, "log-size", 1<<30, "")
	fs.IntVar(&f.compareRate, "compare-rate", dispatch.DefaultCompareRate, "")
	fs.DurationVar(&f.fillPause, "fill-pause", 30*time.Second, "")
	fs.StringVar(&f.dataset, "dataset", "", "")
	fs.StringVar(&f.node, "node", "", "")
	fs.Var(&f.peers, "peers", "")
	fs.DurationVar(&f.writeWait, "write-wait", 300*time.Millisecond, "")
	fs.StringVar(&f.tokenFile, "token-file", "", "")
	fs.StringVar(&f.logLevel, "log-level", "info", "")
	if fs.Parse(args) != nil {
		return 1
	}
	switch {
	case fs.NArg() > 0:
		return e.usage("Too many command line arguments.")
	case f.catalog == "":
		return e.usage("A catalog must be specified.")
	case f.list == "":
		return e.usage("A live-node list must be specified.")
	case f.compareRate < 0:
		return e.usage("-compare-rate is negative.")
	}
	tuneGateway()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	g, err := f.open(ctx, e)
	if err != nil {
		return e.fail("Error: %s", err)
	}
	return g.serve(ctx, e)
}

// isBufferFlag reports whether an argument is -buffer or -buffer-size, which gateways had
// before they shared a log.
func isBufferFlag(arg string) bool {
	name, _, _ := strings.Cut(strings.Replace(arg, "--", "-", 1), "=")
	return name == "-buffer" || name == "-buffer-size"
}

// bootID names this start of the host: after another one, what a server had not yet forced
// to its disk may be gone.
func bootID() string {
	if text, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		return strings.TrimSpace(string(text))
	}
	return "unknown" // a power cut is not noticed then
}

// tuneGateway sets what the environment does not say of Go's runtime.
func tuneGateway() {
	if os.Getenv("GOGC") == "" {
		// The heap is small and what a search leaves behind is garbage at once: room for
		// some 50 MB of it makes the collector seldom.
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		// A Groonga server works on the same machine. If it takes the processor of one of
		// our threads, what is queued there goes on in another.
		runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
	}
}

// gatewayProcess is a gateway that runs.
type gatewayProcess struct {
	flags    *gatewayFlags
	log      *slog.Logger
	list     *livefile.List
	d        *dispatch.Dispatcher
	client   *gateway.Client
	server   *gateway.Server
	listener net.Listener
	droonga  gatewayDroonga
	started  time.Time
}

// open makes all parts. What is wrong is said before anything starts.
func (f *gatewayFlags) open(ctx context.Context, e *env) (_ *gatewayProcess, err error) {
	g := &gatewayProcess{flags: f, started: time.Now(), client: gateway.NewClient(256 << 20)}
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return nil, fmt.Errorf("-log-level: %w", err)
	}
	g.log = slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: level}))
	c, text, err := f.readCatalog()
	if err != nil {
		return nil, err
	}
	cfg := dispatch.Config{
		Catalog: c, Dataset: f.dataset, WriteWait: f.writeWait, PeerClient: g.client, Log: g.log,
	}
	if cfg.Self, cfg.Peers, err = f.gateways(c); err != nil {
		return nil, err
	}
	made := g // an error's return makes g nil
	defer func() {
		if err != nil {
			made.close()
		}
	}()
	if f.writeLog != "" {
		cfg.WriteLog = &dispatch.LogConfig{
			Dir: f.writeLog, Transport: g.client, MaxBytes: f.logSize, Boot: bootID(), CompareRate: f.compareRate, FillPause: f.fillPause,
		}
		if f.compareRate == 0 {
			cfg.WriteLog.CompareRate = -1
		}
	}
	g.list, err = livefile.Watch(ctx, f.list, livefile.Config{Report: g.reportList})
	if err != nil {
		return nil, err
	}
	cfg.List = g.list
	if g.d, err = dispatch.New(cfg); err != nil {
		return nil, err
	}
	if f.droonga != "" {
		if err = g.openDroonga(c, text); err != nil {
			return nil, fmt.Errorf("-droonga: %w", err)
		}
	}
	// Last: until then other gateways are refused at once, and need not wait.
	if g.listener, err = net.Listen("tcp", f.http); err != nil {
		return nil, err
	}
	served := gateway.Config{Doer: g.d, WriteLog: g.d.LogRequest(), Status: g.status, Cluster: g.d.Status, Log: g.log}
	if f.writeLog != "" {
		served.Operator = g.d
		if served.Guard, err = f.guard(); err != nil {
			return nil, err
		}
		served.Compare, served.Fill, served.Fillings = g.d.Compare, g.d.Fill, g.d.Fillings
		served.Backups, served.Version = g.d, version
	}
	g.server = gateway.NewServer(served)
	return g, nil
}

// readCatalog reads the catalog file.
func (f *gatewayFlags) readCatalog() (*catalog.Catalog, []byte, error) {
	text, err := os.ReadFile(f.catalog)
	if err != nil {
		return nil, nil, err
	}
	c, err := catalog.Parse(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.catalog, err)
	}
	return c, text, nil
}

// guard has the token of those who change the cluster; nil: there is none.
func (f *gatewayFlags) guard() (*access.Guard, error) {
	secret, err := readToken(f.tokenFile)
	if err != nil || secret == "" {
		return nil, err
	}
	guard := new(access.Guard)
	if err := guard.Set([]access.Token{{Name: "-token-file", Secret: secret, Verbs: access.Admin}}, 0); err != nil {
		return nil, fmt.Errorf("-token-file: %w", err)
	}
	return guard, nil
}

// reload reads the catalog file again: it has to be the catalog of the cluster.
func (g *gatewayProcess) reload() {
	c, _, err := g.flags.readCatalog()
	if err == nil {
		err = g.d.Reload(c)
	}
	if err != nil {
		g.log.Error("catalog file", "file", g.flags.catalog, "error", err)
		return
	}
	g.log.Info("catalog file is that of the cluster", "file", g.flags.catalog)
}

func (g *gatewayProcess) reportList(fault error) {
	if fault == nil {
		g.log.Info("live-node list is good again")
		return
	}
	g.log.Warn("live-node list", "error", fault)
}

// serve answers until ctx ends, and then ends in order.
func (g *gatewayProcess) serve(ctx context.Context, e *env) int {
	defer g.close()
	ended := make(chan error, 2)
	g.droonga.serve(e, ended)
	go func() { ended <- g.server.Serve(g.listener) }()
	e.say("Gateway answers at http://%s/", g.listener.Addr())
	tellService(daemon.SdNotifyReady, "answers at "+g.listener.Addr().String())
	defer watchService(g.alive)()
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	for ctx.Err() == nil {
		select {
		case err := <-ended:
			return e.fail("Error: %s", err)
		case <-again:
			g.reload()
		case <-ctx.Done():
		}
	}
	e.say("Gateway is stopping")
	tellService(daemon.SdNotifyStopping, "")
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	g.droonga.stop(grace)
	if err := g.server.Stop(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return e.fail("Error: %s", err)
	}
	return 0
}

// alive returns when the gateway's parts have answered, or ctx has ended.
func (g *gatewayProcess) alive(ctx context.Context) error {
	answered := make(chan struct{})
	go func() { g.status(); close(answered) }()
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gatewayProcess) close() {
	if g.droonga.listener != nil {
		g.droonga.listener.Close()
		g.droonga.beats.Close()
	}
	if g.d != nil {
		g.d.Close()
	}
	if g.listener != nil {
		g.listener.Close()
	}
	g.client.Close()
}

// gatewayStatus is what /status shows.
type gatewayStatus struct {
	Version string          `json:"version"`
	Uptime  float64         `json:"uptime_seconds"`
	List    gatewayList     `json:"live_nodes"`
	Cluster dispatch.Status `json:"cluster"`
}

// gatewayList is how the live-node list stands.
type gatewayList struct {
	File      string     `json:"file"`
	Loaded    bool       `json:"loaded"` // false: every node is held to be alive
	Missing   bool       `json:"missing,omitempty"`
	Fault     string     `json:"fault,omitempty"`
	Written   *time.Time `json:"written,omitempty"`
	Confirmed *time.Time `json:"confirmed,omitempty"`
	Stale     bool       `json:"stale"` // its agent has stopped confirming it
	Alone     bool       `json:"alone"` // it names one node only
	Alive     int        `json:"alive"`
	Nodes     int        `json:"nodes"`
}

func (g *gatewayProcess) status() any {
	h, view := g.list.Health(), g.list.Current()
	s := gatewayStatus{
		Version: version, Uptime: time.Since(g.started).Seconds(), Cluster: g.d.Status(),
		List: gatewayList{
			File: g.list.Path(), Loaded: h.Loaded, Missing: h.Missing, Stale: h.Stale, Alone: h.Alone,
			Alive: view.NumAlive(), Nodes: view.Len(),
		},
	}
	if h.Fault != nil {
		s.List.Fault = h.Fault.Error()
	}
	if h.Loaded {
		s.List.Written, s.List.Confirmed = &h.Written, &h.Confirmed
	}
	return s
}

// gateways finds which node this is and which other gateways there are.
func (f *gatewayFlags) gateways(c *catalog.Catalog) (self string, peers []dispatch.Peer, err error) {
	if len(f.peers) == 1 && f.peers[0] == "none" {
		return "", nil, nil
	}
	bound, port, err := net.SplitHostPort(f.http)
	if err != nil {
		return "", nil, fmt.Errorf("-http: %w", err)
	}
	node := f.node
	if node == "" {
		node = ownNode(c.Names(), bound)
	}
	if node == "" && len(f.peers) == 0 && len(c.Names()) == 1 {
		return "", nil, nil
	}
	if node == "" {
		return "", nil, errors.New("which of the catalog's nodes is this? Say -node=NAME, or -peers=none if this is the only gateway")
	}
	self = net.JoinHostPort(strings.Trim(node, "[]"), port)
	addrs := f.peers
	if len(addrs) == 0 {
		for _, name := range c.Names() {
			addrs = append(addrs, net.JoinHostPort(strings.Trim(name, "[]"), port))
		}
	}
	for _, addr := range addrs {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return "", nil, fmt.Errorf("-peers: %w", err)
		}
		if addr != self {
			peers = append(peers, dispatch.Peer{Name: host, Addr: addr})
		}
	}
	return self, peers, nil
}

// ownNode is the one of the nodes that is this machine: by the address that is bound,
// the machine's addresses or its name. "" if that is not clear.
func ownNode(nodes []string, bound string) string {
	ours := make(map[string]bool)
	if ip := net.ParseIP(bound); ip != nil && !ip.IsUnspecified() || bound != "" && ip == nil {
		ours[bound] = true
	} else {
		if name, err := os.Hostname(); err == nil {
			ours[name] = true
		}
		addrs, _ := net.InterfaceAddrs() // none: then it is not clear
		for _, a := range addrs {
			if ip, ok := a.(*net.IPNet); ok {
				ours[ip.IP.String()] = true
			}
		}
	}
	found := ""
	for _, n := range nodes {
		if ours[strings.Trim(n, "[]")] {
			if found != "" {
				return ""
			}
			found = n
		}
	}
	return found
}
