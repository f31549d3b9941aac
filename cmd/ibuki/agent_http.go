package main

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/access"
	"github.com/ibuki-dev/ibuki/agent"
	"github.com/ibuki-dev/ibuki/agent/handler"
	"github.com/ibuki-dev/ibuki/dashboard"
	"github.com/ibuki-dev/ibuki/diagnose"
	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/rpc"
)

// httpAgent is an agent as the HTTP API needs it.
type httpAgent struct {
	rpc.Backend
	agent *agent.Agent
}

// Live implements dashboard.Agent.
func (h httpAgent) Live() *live.List { return h.agent.Live() }

// Subscribe implements dashboard.Agent: the API shows events and answers none.
func (h httpAgent) Subscribe() (<-chan rpc.Event, func() int, func()) { return h.agent.Observe() }

// listenHTTP takes the port, before anything else happens.
func (r *agentRun) listenHTTP() error {
	if r.cfg.HTTPAddr == "" {
		return nil
	}
	l, err := access.Listen(r.cfg.HTTPAddr, r.cfg.Socket)
	if err != nil {
		return errors.New("Error starting HTTP listener: " + err.Error())
	}
	r.httpListener = l
	return nil
}

// serveHTTP begins to serve; what it returns ends that.
func (r *agentRun) serveHTTP() (stop func()) {
	l := r.httpListener
	if l == nil {
		return func() {}
	}
	var overTLS *tls.Config
	if r.cfg.HTTPTLS {
		overTLS = r.agent.TLS().Config("http/1.1")
	}
	s := dashboard.New(dashboard.Config{TLS: overTLS,
		Agent: httpAgent{r.agent.Backend(), r.agent}, Guard: r.agent.Guard(), Name: r.cfg.Name,
		Hosts: httpHosts(r.cfg), Version: version, Logger: r.agent.Log().Logger(),
		Figures: func() []dashboard.Figure { return figures(r.agent) },
		Why:     whyOf(r.agent), Gateway: r.cfg.Gateway,
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	return func() {
		s.Close()
		l.Close()
		<-done
	}
}

// httpHosts are the names by which the API may be asked for: those of the configuration, else
// the node's and the machine's own.
func httpHosts(c agent.Config) []string {
	if len(c.HTTPHosts) > 0 {
		return c.HTTPHosts
	}
	own := []string{c.Name}
	if name, err := os.Hostname(); err == nil {
		short, _, _ := strings.Cut(name, ".")
		own = append(own, name, short)
	}
	return own
}

// whyOf explains members to clients of the HTTP API as the command why does.
func whyOf(a *agent.Agent) func(context.Context, string, bool) (any, error) {
	return func(ctx context.Context, node string, all bool) (any, error) {
		histories, asked := []rpc.History{a.OwnHistory(node)}, 1
		if all {
			teller, ok := a.Backend().(rpc.Historian)
			if !ok {
				return nil, rpc.ErrUnsupportedCommand
			}
			var err error
			if histories, asked, err = teller.History(ctx, node); err != nil {
				return nil, err
			}
		}
		status := ""
		if e := a.Live().Current().Get(node); e != nil {
			status = e.Status.String()
		}
		return diagnose.NewCase(node, status, histories, asked, time.Now().Add(-whyAge)).Report(), nil
	}
}

// whyAge is how far back clients of the HTTP API are told.
const whyAge = 24 * time.Hour

// httpURL is where the API is, as users type it.
func (r *agentRun) httpURL() string {
	if _, ok := access.UnixPath(r.cfg.HTTPAddr); ok {
		return r.cfg.HTTPAddr
	}
	scheme := "http"
	if r.cfg.HTTPTLS {
		scheme = "https"
	}
	return scheme + "://" + r.httpListener.Addr().String() + "/"
}

// number is one figure; labels are keys and values.
func number(kind dashboard.FigureKind, name, help string, v float64, labels ...string) dashboard.Figure {
	out := dashboard.Figure{Kind: kind, Name: "ibuki_" + name, Help: help, Value: v}
	for i := 0; i+1 < len(labels); i += 2 {
		if out.Labels == nil {
			out.Labels = make(map[string]string)
		}
		out.Labels[labels[i]] = labels[i+1]
	}
	return out
}

// figures are an agent's figures under the names that they have for Prometheus.
func figures(a *agent.Agent) []dashboard.Figure {
	f, ok := a.Figures()
	if !ok {
		return nil
	}
	all := []dashboard.Figure{
		histogram("loop_lateness_seconds", "How late the loop came to what it had to do at a certain time.", f.Lateness),
		histogram("detection_seconds", "From the first sign that a member does not answer, seen here, to its failure.", f.Detection),
		number(dashboard.Counter, "false_alarms_refuted_total", "How often this node was held for failed and said that it is not.", float64(f.Refuted)),
		number(dashboard.Counter, "members_failed_total", "Failures of members.", float64(f.Failed)),
		number(dashboard.Counter, "members_flapped_total", "Members that were back soon after they failed.", float64(f.Flapped)),
		number(dashboard.Gauge, "handler_queue_age_seconds", "How long the event has waited that waits longest for a handler.", f.Oldest.Seconds()),
		number(dashboard.Gauge, "rpc_streams", "Event streams: of RPC clients, and the API's own.", float64(f.Streams)),
		number(dashboard.Gauge, "health_score", "Lifeguard's score of this node: 0 is well.", float64(f.Health)),
		number(dashboard.Counter, "list_orders_dropped_total", "Orders for files of the live-node list that were lost.", float64(f.ListDropped)),
		number(dashboard.Gauge, "list_nodes_left_out", "Live nodes that are not in a file of the live-node list, for want of a port or an address.", float64(f.ListLeftOut)),
	}
	queue := func(name string, n int) {
		all = append(all, number(dashboard.Gauge, "queue_messages", "Messages that wait to be gossiped.", float64(n), "queue", name))
	}
	queue("member", f.MemberQueue)
	queue("intent", f.IntentQueue)
	queue("event", f.EventQueue)
	queue("query", f.QueryQueue)
	for reason, n := range f.Drops { // order-free: the registry sorts
		kind, why, _ := strings.Cut(reason, " ")
		all = append(all, number(dashboard.Counter, "drops_total", "What came from outside and could not be used.", float64(n), "kind", kind, "reason", why))
	}
	return append(all, handlerFigures(f.Handlers)...)
}

func handlerFigures(handlers []handler.Stats) (all []dashboard.Figure) {
	used := make(map[string]int)
	for _, h := range handlers {
		name := handlerLabel(used, h.Command)
		runs := func(result string, n uint64) dashboard.Figure {
			return number(dashboard.Counter, "handler_runs_total", "Runs of event handlers, by what came of them.", float64(n), "handler", name, "result", result)
		}
		all = append(all, runs("ok", h.Runs-h.Failed), runs("failed", h.Failed-h.TimedOut), runs("timeout", h.TimedOut),
			number(dashboard.Counter, "handler_run_seconds_total", "How long all runs took.", h.Lasted.Seconds(), "handler", name),
			number(dashboard.Counter, "handler_dropped_total", "Events that were lost for want of room, or came too late.", float64(h.Dropped+h.Expired), "handler", name),
			number(dashboard.Gauge, "handler_waiting", "Events that wait.", float64(h.Waiting), "handler", name),
		)
	}
	return all
}

// handlerLabel names a handler by its program: the rest of a command may hold secrets.
func handlerLabel(used map[string]int, command string) string {
	name := "handler"
	if words := strings.Fields(command); len(words) > 0 {
		name = filepath.Base(words[0])
	}
	name = strings.ToValidUTF8(name, "_")
	used[name]++
	if n := used[name]; n > 1 {
		name += "-" + strconv.Itoa(n)
	}
	return name
}

func histogram(name, help string, h agent.Histogram) dashboard.Figure {
	out := dashboard.Figure{Kind: dashboard.HistogramKind, Name: "ibuki_" + name, Help: help,
		Buckets: make(map[float64]uint64), Sum: h.Sum.Seconds()}
	for i, n := range h.Counts {
		out.Count += n
		if i < len(h.Bounds) {
			out.Buckets[h.Bounds[i].Seconds()] = out.Count
		}
	}
	return out
}
