package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/agent/logging"
	"github.com/ibuki-dev/ibuki/rpc"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// backend is the agent as its RPC clients see it.
type backend struct{ *Agent }

var _ rpc.Backend = backend{}

// Backend is what an RPC server needs to serve this agent.
func (a *Agent) Backend() rpc.Backend { return backend{a} }

// rpcListenError has the text that Serf's agent prints.
type rpcListenError struct{ err error }

func (e *rpcListenError) Error() string { return "Error starting RPC listener: " + e.err.Error() }
func (e *rpcListenError) Unwrap() error { return e.err }

func (a *Agent) serveRPC() {
	if a.rpcListener == nil {
		return
	}
	a.rpcServer = rpc.NewServer(rpc.ServerConfig{AuthKey: a.cfg.RPCAuth, Guard: &a.guard, Logger: a.faults.logged()}, backend{a})
	a.wg.Go(func() { _ = a.rpcServer.Serve(a.rpcListener) })
}

func (a *Agent) stopRPC() {
	if a.rpcServer != nil {
		a.subs.closeAll()
		a.rpcServer.Close()
	} else if a.rpcListener != nil {
		a.rpcListener.Close()
	}
}

// Join implements rpc.Backend.
func (b backend) Join(ctx context.Context, addrs []string, replay bool) (int, error) {
	return b.Agent.Join(ctx, addrs, replay)
}

// Leave implements rpc.Backend: the agent ends when the reply is out. A client
// that goes away meanwhile does not change that.
func (b backend) Leave(ctx context.Context) error {
	left := make(chan error, 1)
	go func() {
		err := b.Agent.Leave(b.ctx)
		left <- err
		if err == nil {
			b.end(nil)
		}
	}()
	select {
	case err := <-left:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-left: // the end of the agent is what ended ctx
		return err
	default:
		return ctx.Err()
	}
}

// ForceLeave makes a failed member a left one.
func (a *Agent) ForceLeave(name string, prune bool) error {
	if prune {
		a.logger.Info("agent: Force leaving node (prune): " + name)
	} else {
		a.logger.Info("agent: Force leaving node: " + name)
	}
	err := a.doErr(func(now time.Time) error { return a.machine.ForceLeave(now, name, prune) })
	if err != nil {
		a.logger.Warn("agent: failed to remove node", "err", err)
	}
	return err
}

// doErr runs f in the loop and returns its error.
func (a *Agent) doErr(f func(now time.Time) error) error {
	var err error
	if doErr := a.do(a.ctx, func(now time.Time) { err = f(now) }); doErr != nil {
		return ErrStopped
	}
	return err
}

// Members implements rpc.Backend.
func (b backend) Members() []rpc.Member {
	members := b.Agent.Members()
	out := rpcMembers(members)
	for i := range members {
		if since := members[i].Since; !since.IsZero() {
			out[i].Since = since.UnixNano()
		}
	}
	return out
}

func rpcMembers(members []serf.Member) []rpc.Member {
	out := make([]rpc.Member, len(members))
	for i := range members {
		m := &members[i]
		tags := make(map[string]string, len(m.Tags))
		for _, t := range m.Tags {
			tags[t.Key] = t.Value
		}
		out[i] = rpc.Member{
			Name: m.Name, Addr: ipBytes(m.Addr.Addr()), Port: m.Addr.Port(), Tags: tags, Status: m.Status.String(),
			ProtocolMin: m.Versions.PMin, ProtocolMax: m.Versions.PMax, ProtocolCur: m.Versions.PCur,
			DelegateMin: m.Versions.DMin, DelegateMax: m.Versions.DMax, DelegateCur: m.Versions.DCur,
			Verdict: verdict(m.Verdict.String(), m.Restarting), Degraded: m.Degraded,
		}
	}
	return out
}

func ipBytes(a netip.Addr) net.IP {
	if !a.IsValid() {
		return nil
	}
	return net.IP(a.AsSlice())
}

// UserEvent implements rpc.Backend.
func (b backend) UserEvent(name string, payload []byte, coalesce bool) error {
	return b.Agent.UserEvent(name, payload, coalesce)
}

// UserEvent broadcasts a user event; it is delivered here too.
func (a *Agent) UserEvent(name string, payload []byte, coalesce bool) error {
	a.logger.Debug(fmt.Sprintf("agent: Requesting user event send: %s. Coalesced: %v. Payload: %q", name, coalesce, payload))
	err := a.doErr(func(now time.Time) error { return a.machine.UserEvent(now, name, payload, coalesce) })
	if err != nil {
		a.logger.Warn("agent: failed to send user event", "err", err)
	}
	return err
}

// Respond implements rpc.Backend.
func (b backend) Respond(id uint64, payload []byte) error {
	q, ok := b.answers.lookup(id)
	if !ok {
		return rpc.ErrInvalidQueryID
	}
	return b.respondToQuery(q, payload, serf.Outcome{})
}

func (a *Agent) respondToQuery(id serf.QueryID, payload []byte, o serf.Outcome) error {
	return a.doErr(func(now time.Time) error { return a.machine.RespondOutcome(now, id, payload, o) })
}

// Subscribe implements rpc.Backend.
func (b backend) Subscribe(prompt bool) (<-chan rpc.Event, func() int, func()) {
	if prompt {
		return b.subs.add(false, serf.Prompt)
	}
	return b.subs.add(false, serf.Windowed)
}

// Observe is Subscribe, prompt, for a reader that answers no queries: they end without it.
func (a *Agent) Observe() (events <-chan rpc.Event, lost func() int, cancel func()) {
	return a.subs.add(true, serf.Prompt)
}

// Monitor implements rpc.Backend.
func (b backend) Monitor(level string) (<-chan string, func(), error) {
	l, err := logging.ParseLevel(level)
	if err != nil {
		return nil, nil, err
	}
	lines, cancel := b.log.Watch(l)
	return lines, cancel, nil
}

// Coordinate implements rpc.Backend.
func (b backend) Coordinate(node string) (*rpc.Coordinate, error) {
	if b.cfg.NoCoordinates {
		return nil, errors.New("Coordinates are disabled")
	}
	var c wire.Coordinate
	var ok bool
	err := b.doErr(func(time.Time) error { c, ok = b.machine.Coordinate(node); return nil })
	if err != nil || !ok {
		return nil, err
	}
	return &rpc.Coordinate{Vec: slices.Clone(c.Vec), Error: c.Error, Adjustment: c.Adjustment, Height: c.Height}, nil
}

// Stats implements rpc.Backend.
func (b backend) Stats() map[string]map[string]string {
	var s serf.Stats
	_ = b.doErr(func(time.Time) error { s = b.machine.Stats(); return nil })
	tags := make(map[string]string)
	for _, t := range b.local().Tags {
		tags[t.Key] = t.Value
	}
	handlers := make(map[string]string)
	for _, h := range b.handlers.List() {
		for _, f := range h.Filters {
			handlers[f.Type+":"+f.Name] = h.Command
		}
	}
	return map[string]map[string]string{
		"agent": {"name": b.cfg.Name},
		"runtime": {
			"os": runtime.GOOS, "arch": runtime.GOARCH, "version": runtime.Version(),
			"max_procs":  strconv.Itoa(runtime.GOMAXPROCS(0)),
			"goroutines": strconv.Itoa(runtime.NumGoroutine()),
			"cpu_count":  strconv.Itoa(runtime.NumCPU()),
		},
		"serf":           b.serfStats(&s),
		"tags":           tags,
		"event_handlers": handlers,
	}
}

func (b backend) serfStats(s *serf.Stats) map[string]string {
	u := func(t wire.LTime) string { return strconv.FormatUint(uint64(t), 10) }
	out := map[string]string{
		"members": strconv.Itoa(s.Members), "failed": strconv.Itoa(s.Failed), "left": strconv.Itoa(s.Left),
		"health_score": strconv.Itoa(s.HealthScore),
		"member_time":  u(s.MemberTime), "event_time": u(s.EventTime), "query_time": u(s.QueryTime),
		"intent_queue": strconv.Itoa(s.IntentQueue), "event_queue": strconv.Itoa(s.EventQueue),
		"query_queue": strconv.Itoa(s.QueryQueue),
		"encrypted":   strconv.FormatBool(b.Encrypted()),
	}
	if !b.cfg.NoCoordinates {
		out["coordinate_resets"] = strconv.Itoa(s.CoordinateResets)
	}
	return out
}

// replaceTags: the caller holds tagsLock.
func (a *Agent) replaceTags(tags map[string]string) error {
	list := SortedTags(tags)
	// The file comes first, as in Serf, so nothing may be written that would be refused.
	if err := a.doErr(func(time.Time) error { return a.machine.CheckTags(list) }); err != nil {
		return err
	}
	if err := a.writeTagsFile(tags); err != nil {
		a.logger.Error("agent: " + err.Error())
		return err
	}
	return a.doErr(func(now time.Time) error { return a.machine.SetTags(now, list) })
}

// SortedTags are tags as the machine takes them, sorted by key.
func SortedTags(tags map[string]string) []wire.Tag {
	out := make([]wire.Tag, 0, len(tags))
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, wire.Tag{Key: k, Value: tags[k]})
	}
	return out
}

// internalPrefix begins the names of queries that Serf asks by itself.
const internalPrefix = "_serf_"

// Query implements rpc.Backend.
func (b backend) Query(req rpc.QueryRequest, sink func(rpc.QueryRecord)) error {
	if strings.HasPrefix(req.Name, internalPrefix) && (req.Name != internalPrefix+"ping" || len(req.Payload) > 0) {
		return fmt.Errorf("Queries cannot contain the '%s' prefix", internalPrefix)
	}
	b.logger.Debug(fmt.Sprintf("agent: Requesting query send: %s. Payload: %q", req.Name, req.Payload))
	err := b.query(&req, sink)
	if err != nil {
		b.logger.Warn("agent: failed to start user query", "err", err)
	}
	return err
}

// query starts a query; sink is called by the loop and must not wait.
func (a *Agent) query(req *rpc.QueryRequest, sink func(rpc.QueryRecord)) error {
	p := serf.QueryParam{
		Nodes: req.FilterNodes, Ack: req.RequestAck, Outcome: req.Outcome, RelayFactor: req.RelayFactor, Timeout: req.Timeout,
	}
	if len(req.FilterTags) > 0 {
		p.Tags = SortedTags(req.FilterTags)
	}
	return a.doErr(func(now time.Time) error {
		id, err := a.machine.Query(now, req.Name, req.Payload, p)
		if err == nil {
			a.queries.add(id, sink)
		}
		return err
	})
}
