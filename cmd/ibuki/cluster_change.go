package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ibuki-dev/ibuki/dispatch"
	"github.com/ibuki-dev/ibuki/gateway"
)

// clusterOrder asks a gateway to change something.
type clusterOrder struct {
	e       *env
	client  *http.Client
	address string // of the gateway
	token   string
	asJSON  bool
	dry     bool
	noWait  bool
	said    map[string]string // how servers and gateways stood last
}

// orderFlags are the options of the commands that change a cluster.
type orderFlags struct {
	gateway, tokenFile             string
	asJSON, dry, noWait, noGateway bool
	votes                          listFlag
}

// changeCommand makes the part of the group that does one kind of change.
func changeCommand(do string) func(e *env, args []string) int {
	return func(e *env, args []string) int { return runClusterChange(e, do, args) }
}

func runClusterChange(e *env, do string, args []string) int {
	var f orderFlags
	fs := e.flags()
	fs.StringVar(&f.gateway, "gateway", defaultGateway, "")
	fs.StringVar(&f.tokenFile, "token-file", os.Getenv(tokenFileVariable), "")
	fs.BoolVar(&f.asJSON, "json", false, "")
	fs.BoolVar(&f.dry, "n", false, "")
	fs.BoolVar(&f.dry, "dry-run", false, "")
	fs.BoolVar(&f.noWait, "no-wait", false, "")
	fs.BoolVar(&f.noGateway, "no-gateway", false, "")
	fs.Var(&f.votes, "vote", "")
	if fs.Parse(args) != nil {
		return 1
	}
	query, body, fault := f.request(do, fs.Args())
	if fault != "" {
		return e.usage(fault)
	}
	o, err := newClusterOrder(e, &f)
	if err != nil {
		return e.usage(err.Error())
	}
	defer o.client.CloseIdleConnections()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	change := new(dispatch.ClusterChange)
	if err := o.ask(ctx, http.MethodPost, gateway.CatalogPath, query, body, change); err != nil {
		return e.fail("Error: %s", err)
	}
	o.show(change)
	if o.dry || o.noWait {
		return 0
	}
	if err := o.follow(ctx, o.wanted(change, query)); err != nil {
		return e.fail("%s", err)
	}
	return 0
}

// request is what the gateway is asked for. fault says what is wrong with the arguments.
func (f *orderFlags) request(do string, args []string) (query url.Values, body []byte, fault string) {
	query = url.Values{"do": {do}}
	if f.dry {
		query.Set("dry", "yes")
	}
	if f.noGateway {
		query.Set("alone", "yes")
	}
	query["vote"] = f.votes
	switch do {
	case dispatch.ChangeApply:
		if len(args) != 1 {
			return nil, nil, "Say one catalog file."
		}
		var err error
		if body, err = os.ReadFile(args[0]); err != nil {
			return nil, nil, err.Error()
		}
	case dispatch.ChangeReplace:
		if len(args) != 2 {
			return nil, nil, "Say the node that goes, and the one that takes its place."
		}
		query["node"], query["with"] = args[:1], args[1:]
	default:
		if len(args) == 0 && len(f.votes) == 0 {
			return nil, nil, "Say one node, or -vote=HOST:PORT."
		}
		if len(args) > 0 && len(f.votes) > 0 {
			return nil, nil, "Say nodes, or -vote=HOST:PORT: one after the other."
		}
		query["node"] = args
	}
	return query, body, ""
}

// tokenFileVariable is the environment variable that -token-file may be given by.
const tokenFileVariable = "IBUKI_GATEWAY_TOKEN_FILE"

func newClusterOrder(e *env, f *orderFlags) (*clusterOrder, error) {
	if _, _, err := net.SplitHostPort(f.gateway); err != nil {
		return nil, fmt.Errorf("-gateway: %w", err)
	}
	token, err := readToken(f.tokenFile)
	if err != nil {
		return nil, err
	}
	return &clusterOrder{
		e: e, client: &http.Client{Timeout: 20 * time.Second}, address: f.gateway, token: token,
		asJSON: f.asJSON, dry: f.dry, noWait: f.noWait, said: make(map[string]string),
	}, nil
}

// readToken reads the secret in a file; "" is no file.
func readToken(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("-token-file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, "\r\n") {
		return "", fmt.Errorf("-token-file: %s has to hold one line, the token: ibuki keygen prints one", path)
	}
	return token, nil
}

// ask asks the gateway, and reads what it answers into v.
func (o *clusterOrder) ask(ctx context.Context, method, path string, query url.Values, body []byte, v any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+o.address+path+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	if o.token != "" {
		req.Header.Set("Authorization", "Bearer "+o.token)
	}
	resp, err := o.client.Do(req)
	if err != nil {
		return errors.Unwrap(err) // without the method and the address
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, clusterBytes))
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s is no gateway of this version with -log", o.address)
	case resp.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%s wants its token: -token-file=FILE", o.address)
	case resp.StatusCode != http.StatusOK:
		return errors.New(strings.TrimSpace(string(text)))
	}
	return json.Unmarshal(text, v)
}

// show says what is changed, or would be.
func (o *clusterOrder) show(c *dispatch.ClusterChange) {
	if o.asJSON {
		text, err := json.MarshalIndent(c, "", "  ")
		if err == nil {
			o.e.say("%s", text)
		}
		return
	}
	verbs := [2]string{"Added", "Removed"}
	if c.Dry {
		verbs = [2]string{"Would add", "Would remove"}
	}
	for i, lists := range [2][2][]string{{c.Added, c.GatewaysAdded}, {c.Removed, c.GatewaysRemoved}} {
		for _, server := range lists[0] {
			o.e.say("%s server %s", verbs[i], server)
		}
		for _, name := range lists[1] {
			o.e.say("%s gateway %s", verbs[i], name)
		}
	}
	if c.Empty() {
		o.e.say("The cluster has these servers and gateways: nothing to change.")
	}
}

// wanted are the servers that are to be read from in the end, and the gateways that are to be members, or not.
type wanted struct {
	servers, members, gone []string
	hosts                  []string // all that is on these
}

func (o *clusterOrder) wanted(c *dispatch.ClusterChange, query url.Values) *wanted {
	w := &wanted{servers: c.Added, members: c.GatewaysAdded, gone: c.GatewaysRemoved}
	switch query.Get("do") {
	case dispatch.ChangeAdd:
		w.hosts = query["node"]
	case dispatch.ChangeReplace:
		w.hosts = query["with"]
	}
	return w
}

// follow waits until what was changed has come about, and says how far it is. The cluster does it by itself: whoever
// follows may go.
func (o *clusterOrder) follow(ctx context.Context, w *wanted) error {
	for heard := time.Now(); ; {
		said, err := askGateways(o.address)
		if err == nil {
			heard = time.Now()
			if o.look(w, newClusterReport(said)) {
				return nil
			}
		} else if time.Since(heard) > fillSilence {
			return fmt.Errorf("Error: %w; the cluster goes on by itself, see ibuki cluster status", err)
		}
		select {
		case <-ctx.Done():
			return errors.New("Broken off: the cluster goes on by itself; the same command again tells how far it is.")
		case <-time.After(fillLook):
		}
	}
}

// look tells what has changed, and reports whether all has come about.
func (o *clusterOrder) look(w *wanted, r *clusterReport) bool {
	done := true
	on := func(address string) bool {
		host, _, _ := net.SplitHostPort(address)
		return slices.ContainsFunc(w.hosts, func(h string) bool { return strings.Trim(h, "[]") == host })
	}
	for i := range r.Servers {
		s := &r.Servers[i]
		if !slices.Contains(w.servers, s.Address) && !on(s.Address) {
			continue
		}
		done = done && s.ReadFrom
		o.tell(s.Address, s.standing())
	}
	for _, g := range r.Gateways {
		switch {
		case slices.Contains(w.gone, g.Address) && g.Member:
			done = false
			o.tell(g.Address, "still a member")
		case slices.Contains(w.members, g.Address) || on(g.Address):
			done = done && g.Member
			o.tell(g.Address, map[bool]string{true: "a member", false: "waiting until it is started and taken in"}[g.Member])
		}
	}
	return done
}

func (o *clusterOrder) tell(who, text string) {
	if o.said[who] != text && !o.asJSON {
		o.said[who] = text
		o.e.say("%s: %s", who, text)
	}
}

// standing is how a server stands, in words.
func (s *clusterServer) standing() string {
	switch {
	case s.ReadFrom:
		return "read from"
	case s.Filling != nil && s.Filling.From == "":
		return s.Filling.Step
	case s.Filling != nil:
		return fmt.Sprintf("%s, from %s: %d records", s.Filling.Step, s.Filling.From, s.Filling.Rows)
	case s.Why != "":
		return s.State + ": " + s.Why
	}
	return s.State
}

func runClusterDrain(e *env, args []string) int {
	f := orderFlags{}
	fs := e.flags()
	fs.StringVar(&f.gateway, "gateway", defaultGateway, "")
	fs.StringVar(&f.tokenFile, "token-file", os.Getenv(tokenFileVariable), "")
	fs.BoolVar(&f.asJSON, "json", false, "")
	fs.BoolVar(&f.noWait, "no-wait", false, "")
	end := fs.Bool("end", false, "")
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() != 1 {
		return e.usage("Say one node, or HOST:PORT of one server.")
	}
	o, err := newClusterOrder(e, &f)
	if err != nil {
		return e.usage(err.Error())
	}
	defer o.client.CloseIdleConnections()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	query := url.Values{"node": fs.Args()}
	if *end {
		query.Set("end", "yes")
	}
	var list []string
	if err := o.ask(ctx, http.MethodPost, gateway.DrainPath, query, nil, &list); err != nil {
		return e.fail("Error: %s", err)
	}
	if f.asJSON {
		text, err := json.Marshal(list)
		if err != nil {
			return e.fail("Encoding error: %s", err)
		}
		e.say("%s", text)
	}
	switch {
	case f.noWait:
	case *end:
		err = o.follow(ctx, &wanted{servers: list})
	default:
		err = o.followDrain(ctx, list)
	}
	if err != nil {
		return e.fail("%s", err)
	}
	return 0
}

// followDrain waits until no gateway that answers has a search under way at servers, nor begins one.
func (o *clusterOrder) followDrain(ctx context.Context, servers []string) error {
	for {
		said, err := askGateways(o.address)
		if err != nil {
			return fmt.Errorf("Error: %w", err)
		}
		if readers := readersOf(said, servers); len(readers) == 0 {
			for _, server := range servers {
				o.tell(server, "not read from any more; it may be stopped. Put it back with ibuki cluster drain -end")
			}
			return nil
		} else {
			o.tell(strings.Join(servers, ", "), "still read from by "+strings.Join(readers, ", "))
		}
		select {
		case <-ctx.Done():
			return errors.New("Broken off: it stays drained; ibuki cluster drain -end puts it back.")
		case <-time.After(fillLook):
		}
	}
}

// readersOf are the gateways that read from one of some servers, or may.
func readersOf(said []gatewaySaid, servers []string) (list []string) {
	for _, s := range said {
		if s.status == nil {
			continue // nobody asks it either
		}
		for _, v := range s.status.Cluster.Volumes {
			if slices.Contains(servers, v.Address) && (!v.Behind || v.Position == nil && v.Outstanding > 0) {
				list = append(list, s.address)
				break
			}
		}
	}
	return list
}

func runClusterCatalog(e *env, args []string) int {
	fs := e.flags()
	f := orderFlags{}
	fs.StringVar(&f.gateway, "gateway", defaultGateway, "")
	fs.BoolVar(&f.asJSON, "json", false, "")
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() > 0 {
		return e.usage("Too many command line arguments.")
	}
	o, err := newClusterOrder(e, &f)
	if err != nil {
		return e.usage(err.Error())
	}
	defer o.client.CloseIdleConnections()
	var c dispatch.LogCatalog
	if err := o.ask(context.Background(), http.MethodGet, gateway.CatalogPath, nil, nil, &c); err != nil {
		return e.fail("Error: %s", err)
	}
	var text []byte
	if f.asJSON {
		text, err = json.MarshalIndent(c, "", "  ")
	} else {
		text, err = json.MarshalIndent(c.Catalog, "", "  ")
	}
	if err != nil {
		return e.fail("Encoding error: %s", err)
	}
	e.say("%s", text)
	return 0
}

const (
	// fillLook is how often it is asked how far a filling is.
	fillLook = 500 * time.Millisecond
	// fillSilence is how long nobody may answer that.
	fillSilence = 30 * time.Second
	// fillBegins is how long a filling may take to begin.
	fillBegins = 20 * time.Second
)

func runClusterFill(e *env, args []string) int {
	fs := e.flags()
	address := fs.String("gateway", defaultGateway, "")
	asJSON := fs.Bool("json", false, "")
	discard := fs.Bool("discard", false, "")
	tokenFile := fs.String("token-file", os.Getenv(tokenFileVariable), "")
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() != 1 {
		return e.usage("Say one node, or HOST:PORT of one server.")
	}
	if _, _, err := net.SplitHostPort(*address); err != nil {
		return e.usage(fmt.Sprintf("-gateway: %s", err))
	}
	token, err := readToken(*tokenFile)
	if err != nil {
		return e.usage(err.Error())
	}
	f := fillOrder{token: token, client: &http.Client{Timeout: clusterPatience + fillLook}, query: url.Values{"node": {fs.Arg(0)}}, address: *address}
	defer f.client.CloseIdleConnections()
	if *discard {
		f.query.Set("discard", "yes")
	}
	if !*asJSON {
		f.progress = func(line string) { e.say("%s", line) }
	}
	list, err := f.run()
	if err != nil {
		return e.fail("Error filling %s: %s", fs.Arg(0), err)
	}
	if *asJSON {
		text, err := json.MarshalIndent(list, "", "  ")
		if err != nil {
			return e.fail("Encoding error: %s", err)
		}
		e.say("%s", text)
	}
	for _, s := range list {
		if s.Fault != "" {
			return e.fail("%s was not filled: %s", s.Server, s.Fault)
		}
	}
	return 0
}

// fillOrder has servers filled and follows that.
type fillOrder struct {
	client   *http.Client
	address  string
	token    string
	query    url.Values
	progress func(line string) // nil: nobody wants to hear of it
	said     map[string]string
}

// run returns how the servers stand in the end.
func (f *fillOrder) run() ([]*dispatch.FillTarget, error) {
	before, err := f.ask(http.MethodPost)
	if err != nil {
		return nil, err
	}
	f.said = make(map[string]string)
	begun, heard := time.Now(), time.Now()
	for {
		time.Sleep(fillLook)
		now, err := f.ask(http.MethodGet)
		if err != nil {
			if time.Since(heard) > fillSilence {
				return nil, err
			}
			continue
		}
		heard = time.Now()
		ended := true
		for i, s := range now {
			state := f.judge(before[i], s)
			f.say(s.Server, state)
			ended = ended && state.ended
			if !state.begun && time.Since(begun) > fillBegins {
				return nil, errors.New("it does not begin; see the log of the gateway on its node")
			}
		}
		if ended {
			return now, nil
		}
	}
}

// fillState is how a filling stands, in words.
type fillState struct {
	text         string
	begun, ended bool
}

func (f *fillOrder) judge(before, now *dispatch.FillTarget) fillState {
	p := now.Position
	switch {
	case p.Filling != nil:
		return fillState{fmt.Sprintf("%s, from %s: %d records", p.Filling.Step, p.Filling.From, p.Filling.Rows), true, false}
	case now.Fault != "":
		return fillState{"not filled", true, true}
	case now.Filled == before.Filled:
		return fillState{"waiting", false, false}
	case p.State != "up":
		return fillState{"filled; " + p.Why, true, false}
	}
	return fillState{"filled; the log is applied to it", true, true}
}

// say tells what has changed.
func (f *fillOrder) say(server string, s fillState) {
	if f.progress != nil && f.said[server] != s.text {
		f.said[server] = s.text
		f.progress(server + ": " + s.text)
	}
}

func (f *fillOrder) ask(method string) (list []*dispatch.FillTarget, err error) {
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+f.address+gateway.FillPath+"?"+f.query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	if f.token != "" {
		req.Header.Set("Authorization", "Bearer "+f.token)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, errors.Unwrap(err) // without the method and the address
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, clusterBytes))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, fmt.Errorf("%s wants its token: -token-file=FILE", f.address)
	case resp.StatusCode == http.StatusConflict || resp.StatusCode == http.StatusBadRequest:
		return nil, errors.New(strings.TrimSpace(string(text)))
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: is it a gateway with -log of this version?", resp.Status)
	}
	return list, json.Unmarshal(text, &list)
}
