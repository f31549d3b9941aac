package dashboard

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// FigureKind is how a figure is to be read.
type FigureKind uint8

// The kinds.
const (
	Counter FigureKind = iota
	Gauge
	HistogramKind
)

// Figure is one number of the agent for /metrics. Those of one Name have the same
// Help, Kind and keys of Labels, and there is a bounded number of them.
type Figure struct {
	Name, Help string
	Kind       FigureKind
	Labels     map[string]string
	Value      float64
	// Of a HistogramKind: how many were at most each bound, all of them, and their sum.
	Buckets map[float64]uint64
	Count   uint64
	Sum     float64
}

// meters are the metrics of one agent.
type meters struct {
	s        *Server
	handler  http.Handler
	requests *prometheus.CounterVec
	gaps     prometheus.Counter

	mu     sync.Mutex
	asking chan struct{} // closed when the loop has answered; nil: nobody asks
}

// init is separate from New's literal because the collectors ask the server.
func (m *meters) init(s *Server) {
	m.s = s
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ibuki_http_requests_total",
		Help: "Requests to the API, by path and by what came of them."}, []string{"path", "result"})
	m.gaps = prometheus.NewCounter(prometheus.CounterOpts{Name: "ibuki_http_stream_gaps_total",
		Help: "How often a client of the stream was told that it missed something."})
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	r := prometheus.NewRegistry()
	r.MustRegister(m.requests, m.gaps, agentCollector{s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("ibuki_http_streams", "Clients of the stream.", func() float64 { return float64(s.streams.Len()) }),
		gauge("ibuki_list_version", "Version of the list of live nodes.", func() float64 { return float64(s.agent.Live().Current().Version()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "ibuki_http_records_total", Help: "Records of the stream."},
			func() float64 { return float64(s.journal.end() - 1) }),
	)
	m.handler = promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: answerPatience / 2})
}

// answered counts a request.
func (m *meters) answered(path string, err error) {
	result := "ok"
	var p *problem
	if errors.As(err, &p) {
		result = p.Code
	} else if err != nil {
		result = "gone"
	}
	if path == "" {
		path = "other"
	}
	m.requests.WithLabelValues(path, result).Inc()
}

// loopAnswers reports whether the agent's loop answers within d. Only one asks at a
// time: a loop that hangs costs one goroutine, whoever wants to know.
func (m *meters) loopAnswers(d time.Duration) bool {
	m.mu.Lock()
	asking := m.asking
	if asking == nil {
		asking = make(chan struct{})
		m.asking = asking
		go func() {
			m.s.agent.Stats()
			m.mu.Lock()
			m.asking = nil
			m.mu.Unlock()
			close(asking)
		}()
	}
	m.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-asking:
		return true
	case <-t.C:
		return false
	}
}

// metrics answers in Prometheus' text format.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) error {
	s.meters.handler.ServeHTTP(w, r)
	return nil
}

// agentCollector asks the agent when somebody wants to know.
type agentCollector struct{ s *Server }

// Describe implements prometheus.Collector: what there is, is known when asked.
func (c agentCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c agentCollector) Collect(out chan<- prometheus.Metric) {
	c.members(out)
	if c.s.cfg.Figures == nil {
		return
	}
	for _, f := range c.s.cfg.Figures() {
		desc := prometheus.NewDesc(f.Name, f.Help, nil, f.Labels)
		var m prometheus.Metric
		var err error
		switch f.Kind {
		case HistogramKind:
			m, err = prometheus.NewConstHistogram(desc, f.Count, f.Sum, f.Buckets)
		case Gauge:
			m, err = prometheus.NewConstMetric(desc, prometheus.GaugeValue, f.Value)
		default:
			m, err = prometheus.NewConstMetric(desc, prometheus.CounterValue, f.Value)
		}
		if err != nil {
			m = prometheus.NewInvalidMetric(desc, err)
		}
		out <- m
	}
}

// members tells how many there are of each status.
func (c agentCollector) members(out chan<- prometheus.Metric) {
	count := map[string]int{"alive": 0, "leaving": 0, "left": 0, "failed": 0}
	degraded := 0
	for e := range c.s.agent.Live().Current().All() {
		count[e.Status.String()]++
		if e.Degraded {
			degraded++
		}
	}
	for status, n := range count { // order-free: the registry sorts
		desc := prometheus.NewDesc("ibuki_members", "Members by status, as this node sees them.", nil, prometheus.Labels{"status": status})
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n))
	}
	desc := prometheus.NewDesc("ibuki_members_degraded", "Members that do not answer as they should and are not failed.", nil, nil)
	out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(degraded))
}
