package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/dispatch"
)

const (
	// clusterPatience is how long a gateway may take to say how it stands.
	clusterPatience = 3 * time.Second
	// clusterBytes bounds what it says.
	clusterBytes = 16 << 20
)

func runClusterStatus(e *env, args []string) int {
	fs := e.flags()
	gateway := fs.String("gateway", defaultGateway, "")
	asJSON := fs.Bool("json", false, "")
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() > 0 {
		return e.usage("Too many command line arguments.")
	}
	said, err := askGateways(*gateway)
	if err != nil {
		return e.fail("Error asking the gateway: %s", err)
	}
	r := newClusterReport(said)
	if *asJSON {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return e.fail("Encoding error: %s", err)
		}
		e.say("%s", text)
	} else {
		e.say("%s", strings.TrimRight(r.String(), "\n"))
	}
	if !r.Good {
		return 1
	}
	return 0
}

// defaultGateway is that of this machine.
const defaultGateway = "127.0.0.1:10040"

// gatewaySaid is what a gateway said of the cluster.
type gatewaySaid struct {
	address string
	status  *gatewayStatus // nil: it did not answer
	err     error
}

// askGateways asks a gateway, and the others that it names.
func askGateways(address string) ([]gatewaySaid, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("-gateway: %w", err)
	}
	client := &http.Client{Timeout: clusterPatience}
	defer client.CloseIdleConnections()
	first, err := askGateway(client, address)
	if err != nil {
		return nil, err
	}
	log := first.Cluster.Log
	if log == nil {
		return nil, fmt.Errorf("%s keeps no log of writes: it was started without -log", address)
	}
	var names []string
	for _, p := range first.Cluster.Peers {
		names = append(names, p.Address)
	}
	for _, name := range append(slices.Clone(log.Members), log.Gateways...) {
		if !slices.Contains(names, name) && name != first.Cluster.Self {
			names = append(names, name)
		}
	}
	self := first.Cluster.Self
	if self == "" {
		self = address
	}
	list := make([]gatewaySaid, 1+len(names))
	list[0] = gatewaySaid{address: self, status: first}
	var waiting sync.WaitGroup
	for i, name := range names {
		waiting.Go(func() {
			s, err := askGateway(client, name)
			list[i+1] = gatewaySaid{name, s, err}
		})
	}
	waiting.Wait()
	return list, nil
}

func askGateway(client *http.Client, address string) (*gatewayStatus, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+address+"/status", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, errors.Unwrap(err) // without the method and the address
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, clusterBytes+1))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		return nil, errors.New(resp.Status)
	case len(text) > clusterBytes:
		return nil, fmt.Errorf("more than %d bytes", clusterBytes)
	}
	s := new(gatewayStatus)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("what answers at %s is no gateway: %w", address, err)
	}
	return s, nil
}

// clusterReport is how a cluster stands, put together of what its gateways say.
type clusterReport struct {
	Good     bool             `json:"good"` // writes are done, and every server is as it should be
	Leader   string           `json:"leader"`
	Majority int              `json:"majority"` // so many gateways have to answer
	Gateways []clusterGateway `json:"gateways"`
	Servers  []clusterServer  `json:"servers"`
	// Compare is how the comparison of the servers stands; nil: the gateway that compares does
	// not answer.
	Compare *dispatch.CompareStatus `json:"compare,omitempty"`
	Says    []string                `json:"says"` // what follows, in words
}

type clusterGateway struct {
	Address string `json:"address"`
	Answers bool   `json:"answers"`
	Leads   bool   `json:"leads"`
	Leased  bool   `json:"leased"` // it answers searches itself
	Member  bool   `json:"member"` // it counts for the majority
	Fault   string `json:"fault,omitempty"`
	Barred  string `json:"barred,omitempty"` // why it answers nothing
}

type clusterServer struct {
	Address  string   `json:"address"`
	Slices   []string `json:"slices"`
	ReadFrom bool     `json:"read_from"`
	State    string   `json:"state"`             // up, down, unsettled, suspect, filling, or unknown
	Gateway  string   `json:"gateway,omitempty"` // that applies the log to it
	Applied  uint64   `json:"applied"`
	Behind   uint64   `json:"behind"` // entries of the log
	Why      string   `json:"why,omitempty"`
	Drained  bool     `json:"drained,omitempty"` // somebody wants it not to be read from
	// Filling is how far it is, of a server that is being filled.
	Filling *dispatch.Filling `json:"filling,omitempty"`
}

// newClusterReport puts together what gateways said; the first is the one that was asked.
func newClusterReport(said []gatewaySaid) *clusterReport {
	first := said[0].status.Cluster
	if i := slices.IndexFunc(said, leads); i > 0 { // the one that was asked may be cut off, or have missed an election
		first.Log = said[i].status.Cluster.Log
	}
	r := &clusterReport{Leader: first.Log.Leader, Majority: len(first.Log.Members)/2 + 1}
	var last uint64
	for _, s := range said {
		g := clusterGateway{Address: s.address, Member: slices.Contains(first.Log.Members, s.address) || len(said) == 1}
		switch {
		case s.err != nil:
			g.Fault = s.err.Error()
		case s.status.Cluster.Log == nil:
			g.Fault = "it keeps no log of writes"
		default:
			log := s.status.Cluster.Log
			g.Answers, g.Leased, g.Fault, g.Barred = true, log.Leased, log.Fault, log.Barred
			g.Leads = log.Leader != "" && (log.Leader == s.address || len(said) == 1)
			last = max(last, log.Last)
			if log.Compare != nil && (r.Compare == nil || g.Leads) {
				r.Compare = log.Compare
			}
		}
		r.Gateways = append(r.Gateways, g)
	}
	for _, v := range first.Volumes {
		r.Servers = append(r.Servers, newClusterServer(v.Address, said, last))
	}
	r.judge(first.Log)
	return r
}

// leads reports whether a gateway says that it leads the log, and that writes are done.
func leads(s gatewaySaid) bool {
	if s.status == nil || s.status.Cluster.Log == nil {
		return false
	}
	log := s.status.Cluster.Log
	return log.Leader == s.address && log.Fault == ""
}

// newClusterServer is a server as the gateway says that applies the log to it.
func newClusterServer(address string, said []gatewaySaid, last uint64) clusterServer {
	c := clusterServer{Address: address, State: "unknown", Why: "the gateway that applies the log to it does not answer"}
	for _, s := range said {
		if s.status == nil {
			continue
		}
		i := slices.IndexFunc(s.status.Cluster.Volumes, func(v dispatch.VolumeStatus) bool { return v.Address == address })
		if i < 0 {
			continue
		}
		v := &s.status.Cluster.Volumes[i]
		if c.Slices == nil {
			c.Slices, c.ReadFrom, c.Drained = v.Slices, v.State == "active" && !v.Behind, v.Drained
		}
		if p := v.Position; p != nil {
			c.State, c.Why, c.Applied, c.Gateway = p.State, p.Why, p.Applied, s.address
			c.Filling = p.Filling
			if last > p.Applied {
				c.Behind = last - p.Applied
			}
		}
	}
	return c
}

// judge says in words what follows.
func (r *clusterReport) judge(log *dispatch.LogStatus) {
	answer, members := 0, 0
	for _, g := range r.Gateways {
		if g.Member {
			members++
			if g.Answers {
				answer++
			}
		}
	}
	r.Good = log.Fault == "" && r.Leader != ""
	switch spare := answer - r.Majority; {
	case log.Fault != "":
		r.say("Writes are refused: %s.", strings.TrimSuffix(log.Fault, "."))
	case spare < 0:
		r.say("%d of %s answer from here, and a majority is %d.", answer, counted(members, "gateway"), r.Majority)
	case spare == 0 && members > 1:
		r.say("Writes are done. If one more gateway ends, they are refused: %d of %d answer, and a majority is %d.", answer, members, r.Majority)
	case members > 1:
		r.say("Writes are done, and go on if %s more ends: %d of %d answer, and a majority is %d.", counted(spare, "gateway"), answer, members, r.Majority)
	default:
		r.say("Writes are done. There is one gateway: they stop with it.")
	}
	if members == 2 {
		r.say("With two gateways, writes stop when either ends; searches go on. A third gateway on a machine " +
			"without a Groonga server is a vote: ibuki cluster add -vote=HOST:PORT.")
	}
	for _, g := range r.Gateways {
		if !g.Member {
			r.say("%s is not in the log, and counts for no majority.", g.Address)
		}
		if g.Barred != "" {
			r.say("%s: %s.", g.Address, strings.TrimSuffix(g.Barred, "."))
			r.Good = false
		}
	}
	for i := range r.Servers {
		r.judgeServer(&r.Servers[i])
	}
	if r.Compare != nil {
		r.judgeComparison(r.Compare)
	}
}

// judgeComparison says what the last comparison of the servers has come to.
func (r *clusterReport) judgeComparison(c *dispatch.CompareStatus) {
	for i := range c.Last {
		s := &c.Last[i]
		ago := time.Since(s.Ended).Round(time.Second)
		switch {
		case s.Says != "" && s.Differ == nil:
			r.say("%s: %s. Nobody can tell which is right: choose, and have the other filled.", s.Slice, s.Says)
			r.Good = false
		case s.Says != "":
			r.say("%s: %s. Wrong: %s.", s.Slice, s.Says, strings.Join(s.Differ, ", "))
			r.Good = false
		case s.Fault != "":
			r.say("%s: the servers were not compared to the end %v ago: %s.", s.Slice, ago, s.Fault)
		default:
			r.say("%s: the servers held the same %v ago: %s compared.", s.Slice, ago, counted(int(s.Records), "record"))
		}
	}
	for i := range c.Under {
		s := &c.Under[i]
		r.say("%s: the servers are being compared: %s, at %s.", s.Slice, counted(int(s.Records), "record"), cmp.Or(s.Table, "the tables"))
	}
	if c.Rate == 0 && len(c.Last) == 0 {
		r.say("The servers are not compared in the background: -compare-rate is 0.")
	}
}

// serverFaults says what is wrong with the Groonga servers of some hosts, as a gateway and those
// that it names say; nothing if it does not answer, or keeps no log.
func serverFaults(gateway string, hosts []string) []string {
	said, err := askGateways(gateway)
	if err != nil {
		return nil
	}
	r := newClusterReport(said)
	r.Says = nil
	for i := range r.Servers {
		if host, _, err := net.SplitHostPort(r.Servers[i].Address); err == nil && slices.Contains(hosts, host) {
			r.judgeServer(&r.Servers[i])
		}
	}
	if r.Compare == nil {
		return r.Says
	}
	for i := range r.Compare.Last { // nobody knows which of its servers it is
		s := &r.Compare.Last[i]
		of := func(addr string) bool {
			host, _, err := net.SplitHostPort(addr)
			return err == nil && slices.Contains(hosts, host)
		}
		if s.Says != "" && s.Differ == nil && slices.ContainsFunc(s.Servers, of) {
			r.say("%s: %s.", s.Slice, s.Says)
		}
	}
	return r.Says
}

// lagging is how many entries a server that is written to may be behind without a word.
const lagging = 1000

func (r *clusterReport) judgeServer(s *clusterServer) {
	switch {
	case s.Drained && !s.ReadFrom:
		r.say("%s is drained: it is not read from until ibuki cluster drain -end %s.", s.Address, s.Address)
	case s.State == "filling":
		r.say("%s is being filled from %s: %d records so far.", s.Address, s.Filling.From, s.Filling.Rows)
	case s.State == "suspect":
		why := strings.TrimPrefix(strings.TrimSuffix(s.Why, "."), "the database has to be filled: ")
		r.say("%s has to be filled from another server: %s.", s.Address, why)
	case s.State == "unknown":
		r.say("%s: %s.", s.Address, s.Why)
	case s.State != "up":
		r.say("%s is not written to now: %s.", s.Address, strings.TrimSuffix(s.Why, "."))
	case !s.ReadFrom:
		r.say("%s is not read from until it has caught up: it is %s behind.", s.Address, entries(s.Behind))
	case s.Behind > lagging:
		r.say("%s is %s behind.", s.Address, entries(s.Behind))
		return
	default:
		return
	}
	r.Good = false
}

func entries(n uint64) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

func (r *clusterReport) say(format string, args ...any) {
	r.Says = append(r.Says, fmt.Sprintf(format, args...))
}

// String is the report for people.
func (r *clusterReport) String() string {
	rows := [][]string{{"GATEWAY", "STATE", "SEARCHES", "FAULT"}}
	for _, g := range r.Gateways {
		state, searches := "follows", "passed on"
		switch {
		case !g.Answers:
			state, searches = "away", "-"
		case g.Leads:
			state = "leads"
		}
		if g.Leased {
			searches = "answered"
		}
		rows = append(rows, []string{g.Address, state, searches, g.Fault})
	}
	text := alignColumns(rows) + "\n"
	rows = [][]string{{"SERVER", "STATE", "READ FROM", "BEHIND", "SLICES"}}
	for _, s := range r.Servers {
		behind := "-"
		if s.Gateway != "" {
			behind = fmt.Sprint(s.Behind)
		}
		read := "no"
		if s.ReadFrom {
			read = "yes"
		}
		rows = append(rows, []string{s.Address, s.State, read, behind, strings.Join(s.Slices, " ")})
	}
	return text + alignColumns(rows) + "\n" + strings.Join(r.Says, "\n") + "\n"
}
