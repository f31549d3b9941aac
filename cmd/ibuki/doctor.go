package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/diagnose"
	"github.com/ibuki-dev/ibuki/rpc"
)

var doctorCommand = &command{
	name:     "doctor",
	synopsis: "Looks for what is wrong with an agent and its cluster",
	hidden:   true,
	help: `
Usage: {prog} doctor [options]

  Asks the agent, the members and this host, and says what is wrong with the cure:
  failed members and addresses to join by that are none, blocked UDP, one-way paths,
  a wrong advertised address, keys and clusters that are mixed, names that two nodes
  have, clocks, MTU, open files, pauses, live-node lists, event handlers and the
  gateway. Nothing is changed. Run it on the agent's host; elsewhere it does not look
  at addresses, routes and ports. What happened counts for ten minutes.

  The exit code is 0 if there is no fault, 1 if there is one, and 2 if no agent could
  be asked.

Options:

  -format=text              Form of the output: 'text' or 'json'.
  -gateway=ADDR             HOST:PORT of a gateway that has to answer. Without it one at
                            127.0.0.1:10040 is looked at if it is there.
` + rpcHelp,
	run: runDoctor,
}

const (
	// doctorPatience is how long all of it may take.
	doctorPatience = 25 * time.Second
	// doctorConnect is how long a connection to an address may take.
	doctorConnect = 2 * time.Second
	// doctorCases is how many failed members are explained.
	doctorCases = 8
	// doctorRoutes is to how many members the way is looked at.
	doctorRoutes = 256
	// exitNoAgent is the exit code if no agent could be asked.
	exitNoAgent = 2
)

func runDoctor(e *env, args []string) int {
	fs := e.flags()
	format := fs.String("format", "text", "")
	gateway := fs.String("gateway", "", "")
	agent := addRPCFlags(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() > 0 {
		return e.usage("It takes no arguments.")
	}
	if *gateway != "" {
		if _, _, err := net.SplitHostPort(*gateway); err != nil {
			return e.fail("-gateway: %s", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), doctorPatience)
	defer cancel()
	findings, code := examine(ctx, agent, *gateway)
	out, err := formatOutput(findings, findings.String, *format)
	if err != nil {
		return e.fail("Encoding error: %s", err)
	}
	e.say("%s", out)
	return code
}

// examine looks at everything, and returns the exit code as well.
func examine(ctx context.Context, agent rpcFlags, gateway string) (diagnose.Findings, int) {
	c, err := agent.dial(ctx)
	if err != nil {
		return noAgent(*agent.addr, err), exitNoAgent
	}
	defer c.Close()
	d := &doctor{client: c}
	d.facts.Now = time.Now()
	if d.facts.Agent, err = c.Checkup(ctx); err != nil {
		return noAgent(*agent.addr, err), exitNoAgent
	}
	if d.facts.Members, err = c.Members(ctx); err != nil {
		return noAgent(*agent.addr, err), exitNoAgent
	}
	d.facts.Here = atThisHost(*agent.addr)
	d.askMembers(ctx)
	if d.facts.Here {
		d.lookHere(ctx)
	}
	d.facts.Gateway = gatewayFacts(gateway)
	findings := diagnose.Examine(&d.facts)
	if findings.Worst() == diagnose.Fault {
		return findings, 1
	}
	return findings, 0
}

// noAgent says why no agent could be asked.
func noAgent(addr string, err error) diagnose.Findings {
	say := func(cure, format string, args ...any) diagnose.Findings {
		return diagnose.Findings{{Level: diagnose.Fault, Area: "agent", Text: fmt.Sprintf(format, args...), Cure: cure}}
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist):
		found := say("Start it ('ibuki agent', or 'systemctl start ibuki-agent'), or name its address with -rpc-addr or SERF_RPC_ADDR.", "No agent answers at %s.", addr)
		if held := heldPorts(); held != "" {
			found = append(found, diagnose.Finding{Level: diagnose.Fault, Area: "ports", Text: held,
				Cure: "End it ('ss -lptun' names it), or give the agent another port (-bind=ADDRESS:PORT)."})
		}
		return found
	case errors.Is(err, rpc.ErrInvalidAuthToken) || errors.Is(err, rpc.ErrAuthRequired) || errors.Is(err, rpc.ErrPermission):
		return say("Give a token with the verb query: -rpc-auth or SERF_RPC_AUTH.", "The agent at %s does not let you ask: %s.", addr, err)
	}
	return say("If that is Serf's own agent, or an older one, 'ibuki reachability' can test it; else look at -rpc-addr.",
		"What answers at %s cannot be examined: %s.", addr, err)
}

// defaultGossip is where an agent listens if nothing else is said.
const defaultGossip = ":7946"

// heldPorts says whether another program has the port that an agent would take.
func heldPorts() string {
	var held []string
	if l, err := net.Listen("tcp", defaultGossip); err == nil {
		l.Close()
	} else if errors.Is(err, syscall.EADDRINUSE) {
		held = append(held, "TCP")
	}
	if c, err := net.ListenPacket("udp", defaultGossip); err == nil {
		c.Close()
	} else if errors.Is(err, syscall.EADDRINUSE) {
		held = append(held, "UDP")
	}
	if len(held) == 0 {
		return ""
	}
	return fmt.Sprintf("Port 7946, an agent's own, is taken by another process (%s).", strings.Join(held, " and "))
}

// atThisHost reports whether an address of RPC is one of this host.
func atThisHost(addr string) bool {
	if _, ok := access.UnixPath(addr); ok {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.IsLoopback() || slices.Contains(ownAddresses(), ip.Unmap()))
}

// ownAddresses are those of this host's interfaces.
func ownAddresses() (own []netip.Addr) {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr().Unmap())
		}
	}
	return own
}

// doctor collects the facts.
type doctor struct {
	client *rpc.Client
	facts  diagnose.Facts
}

// askMembers asks all members of this one, of those that failed, and for their keys. Who
// does not answer says nothing.
func (d *doctor) askMembers(ctx context.Context) {
	f := &d.facts
	off := time.Until(time.Unix(0, f.Agent.Now)) // 0, about, if the agent is here
	f.Asked = time.Now().Add(off)
	f.Accounts, _, _ = d.client.History(ctx, f.Agent.Node)
	f.Answered = time.Now().Add(off)
	for _, m := range f.Members {
		if m.Status != "failed" || len(f.Cases) == doctorCases {
			continue
		}
		histories, asked, err := d.client.History(ctx, m.Name)
		if err == nil {
			f.Cases = append(f.Cases, diagnose.NewCase(m.Name, m.Status, histories, asked, f.Asked.Add(-whyAge)))
		}
	}
	if f.Agent.Encrypted {
		keys, err := d.client.Key(ctx, rpc.ListKeys, "")
		f.Keys = &keys
		if err != nil && keys.NumResp == 0 {
			f.Keys, f.KeyFault = nil, err.Error()
		}
	}
}

// findSilent has all live members acknowledge a query, and notes who did not, or did not
// answer what was sent to it alone. A packet may get lost: nobody is silent before the
// second try.
func (d *doctor) findSilent(ctx context.Context) {
	f := &d.facts
	acked := make(map[string]bool)
	missing := func() (silent []diagnose.Silence) {
		for _, m := range f.Members {
			s := diagnose.Silence{Node: m.Name, NoAck: !acked[m.Name]}
			s.NoAccount = slices.Contains(f.Agent.Natives, m.Name) &&
				!slices.ContainsFunc(f.Accounts, func(h rpc.History) bool { return h.From == m.Name })
			if m.Status == "alive" && m.Name != f.Agent.Node && (s.NoAck || s.NoAccount) {
				silent = append(silent, s)
			}
		}
		return silent
	}
	for try := 0; try < 2; try++ {
		if !d.ping(ctx, acked) {
			return // it says nothing of the members
		}
		if f.Silent = missing(); len(f.Silent) == 0 {
			return
		}
		if try == 0 {
			again, _, _ := d.client.History(ctx, f.Agent.Node)
			f.Accounts = mergeAccounts(f.Accounts, again)
		}
	}
}

// mergeAccounts adds the accounts of members that are not there yet.
func mergeAccounts(all, more []rpc.History) []rpc.History {
	for _, h := range more {
		if !slices.ContainsFunc(all, func(o rpc.History) bool { return o.From == h.From }) {
			h.Now = 0 // of another time
			all = append(all, h)
		}
	}
	return all
}

// ping notes who acknowledges a query.
func (d *doctor) ping(ctx context.Context, acked map[string]bool) bool {
	q, err := d.client.Query(ctx, rpc.QueryRequest{Name: "_serf_ping", RequestAck: true, Timeout: doctorConnect})
	if err != nil {
		return false
	}
	for {
		r, err := q.Next(ctx)
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			return false
		}
		if r.Type == rpc.QueryRecordAck {
			acked[r.From] = true
		}
	}
}

// lookHere looks at this host, which is the agent's.
func (d *doctor) lookHere(ctx context.Context) {
	f := &d.facts
	f.Own = ownAddresses()
	d.findSilent(ctx)
	members := make(map[netip.AddrPort]bool)
	for _, m := range f.Members {
		ip, _ := netip.AddrFromSlice(m.Addr)
		at := netip.AddrPortFrom(ip.Unmap(), m.Port)
		members[at] = true
		if m.Status == "alive" && m.Name != f.Agent.Node && len(f.Routes) < doctorRoutes {
			f.Routes = append(f.Routes, diagnose.Route{Node: m.Name, MTU: mtuTo(at)})
		}
	}
	f.Seeds = make([]diagnose.Seed, len(f.Agent.Seeds))
	var wg sync.WaitGroup
	for i := range f.Silent {
		m := f.Members[slices.IndexFunc(f.Members, func(m rpc.Member) bool { return m.Name == f.Silent[i].Node })]
		wg.Go(func() { f.Silent[i].Fault = tryTCP(ctx, net.JoinHostPort(m.Addr.String(), strconv.Itoa(int(m.Port)))) })
	}
	for i, addr := range f.Agent.Seeds {
		wg.Go(func() { f.Seeds[i] = trySeed(ctx, addr, f.Agent.Bound, members) })
	}
	wg.Wait()
}

// trySeed looks up an address to join by, and connects to it if no member has it.
func trySeed(ctx context.Context, addr, bound string, members map[netip.AddrPort]bool) diagnose.Seed {
	s := diagnose.Seed{Address: addr}
	ctx, cancel := context.WithTimeout(ctx, 2*doctorConnect)
	defer cancel()
	_, port, _ := net.SplitHostPort(bound)
	host := addr[strings.LastIndexByte(addr, '/')+1:]
	if h, p, err := net.SplitHostPort(host); err == nil {
		host, port = h, p
	}
	host = strings.Trim(host, "[]")
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	n, portErr := strconv.ParseUint(port, 10, 16)
	if err = errors.Join(err, portErr); err != nil {
		s.Fault = err.Error()
		return s
	}
	for _, ip := range ips {
		s.At = append(s.At, netip.AddrPortFrom(ip.Unmap(), uint16(n)))
	}
	if slices.ContainsFunc(s.At, func(a netip.AddrPort) bool { return members[a] }) {
		return s
	}
	s.Fault = tryTCP(ctx, net.JoinHostPort(host, port))
	return s
}

// tryTCP says why no connection to an address can be made; "" if one can.
func tryTCP(ctx context.Context, addr string) string {
	conn, err := (&net.Dialer{Timeout: doctorConnect}).DialContext(ctx, "tcp", addr)
	if err == nil {
		conn.Close()
		return ""
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return err.Error()
}

// mtuTo is the MTU of the interface that packets to an address leave by; 0: not known.
func mtuTo(to netip.AddrPort) int {
	conn, err := net.Dial("udp", to.String()) // sends nothing
	if err != nil {
		return 0
	}
	defer conn.Close()
	from, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return 0
	}
	interfaces, _ := net.Interfaces()
	for i := range interfaces {
		addrs, _ := interfaces[i].Addrs()
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == from.Addr().Unmap() {
				return interfaces[i].MTU
			}
		}
	}
	return 0
}

// gatewayFacts asks a gateway; nil: none was named, and none is there.
func gatewayFacts(addr string) *diagnose.Gateway {
	g := &diagnose.Gateway{Address: cmp.Or(addr, defaultGateway)}
	client := &http.Client{Timeout: clusterPatience}
	defer client.CloseIdleConnections()
	status, err := askGateway(client, g.Address)
	switch {
	case err != nil && addr == "":
		return nil
	case err != nil:
		g.Fault = err.Error()
		return g
	case status.Cluster.Log == nil:
		g.Good = true
		return g
	}
	said, err := askGateways(g.Address)
	if err != nil {
		g.Fault = err.Error()
		return g
	}
	r := newClusterReport(said)
	g.Says, g.Good = r.Says, r.Good
	return g
}
