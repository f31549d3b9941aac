package agent

import (
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// The metrics have Serf's names. What emits them only adds to numbers in memory
// (meter); a goroutine of its own makes lines of them every second, for servers
// (metrics_sink.go) and for who asks (metrics_recent.go).

const (
	// metricsService begins every name, as with Serf.
	metricsService = "serf-agent"
	// metricsFlush is how often what was measured is handed on.
	metricsFlush = time.Second
	// metricsQuiet is that if they go nowhere and are only kept for who asks.
	metricsQuiet = 5 * time.Second
	// maxSamples is how many values of one flush are kept one by one.
	maxSamples = 4096
	// maxMetricNames is how many different names from the network or of commands
	// may be part of a name. The rest are counted in the totals only: whoever
	// sends events could else make any number of series.
	maxMetricNames = 256
)

// meter takes numbers from anywhere. It never waits and, once a name is known,
// allocates nothing.
type meter struct {
	mu      sync.Mutex
	now     measures
	spare   measures        // emptied, to be used again
	named   map[string]bool // parts of names from outside
	dropped uint64          // samples beyond maxSamples
}

// measures are what came in one flush.
type measures struct {
	counters map[string]float64
	gauges   map[string]float64
	samples  []sampled
}

type sampled struct {
	name  string
	value float64
}

func newMeasures() measures {
	return measures{counters: make(map[string]float64), gauges: make(map[string]float64)}
}

func newMeter() *meter {
	return &meter{now: newMeasures(), spare: newMeasures(), named: make(map[string]bool)}
}

// count adds to a counter.
func (m *meter) count(name string, n float64) {
	if n == 0 {
		return
	}
	m.mu.Lock()
	m.now.counters[name] += n
	m.mu.Unlock()
}

// gauge sets a value that stays until it is set again.
func (m *meter) gauge(name string, v float64) {
	m.mu.Lock()
	m.now.gauges[name] = v
	m.mu.Unlock()
}

// sample takes one value of many.
func (m *meter) sample(name string, v float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.now.samples) >= maxSamples {
		m.dropped++
		return
	}
	m.now.samples = append(m.now.samples, sampled{name, v})
}

// since samples how long something took, in milliseconds as Serf does.
func (m *meter) since(name string, begun time.Time) { m.sample(name, milliseconds(time.Since(begun))) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// of is the name of a metric about something that is named from outside; ok is
// false if there are too many of them.
func (m *meter) of(prefix, name string) (metric string, ok bool) {
	metric = prefix + name
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.named[metric] {
		if len(m.named) >= maxMetricNames {
			return "", false
		}
		m.named[metric] = true
	}
	return metric, true
}

// take hands out what came since the last time; it is valid until the next call.
func (m *meter) take() measures {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.now
	m.now, m.spare = m.spare, out
	clear(m.now.counters)
	clear(m.now.gauges)
	m.now.samples = m.now.samples[:0]
	return out
}

// metricKind is how a value is to be read.
type metricKind byte

const (
	kindGauge   metricKind = 'G'
	kindCounter metricKind = 'C'
	kindSample  metricKind = 'S'
)

// metric is one value with its whole name.
type metric struct {
	kind  metricKind
	name  string
	value float64
}

// list puts the values into one order. host is part of the names of gauges
// where several agents report to one place; "" is left out.
func (m *measures) list(dst []metric, host string) []metric {
	prefix := metricsService + "."
	if host != "" {
		host += "."
	}
	for _, name := range slices.Sorted(maps.Keys(m.gauges)) {
		dst = append(dst, metric{kindGauge, metricName(prefix + host + name), m.gauges[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(m.counters)) {
		dst = append(dst, metric{kindCounter, metricName(prefix + name), m.counters[name]})
	}
	for _, s := range m.samples {
		dst = append(dst, metric{kindSample, metricName(prefix + s.name), s.value})
	}
	return dst
}

// metricName keeps what divides the fields of a line out of a name.
func metricName(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == ':' || r == '|' || r == 0x7f {
			return '_'
		}
		return r
	}, s)
}

// aggregate is what samples come to.
type aggregate struct {
	count           int
	sum, squares    float64
	least, greatest float64
	last            time.Time
}

func (a *aggregate) add(v float64, now time.Time) {
	if a.count == 0 || v < a.least {
		a.least = v
	}
	if a.count == 0 || v > a.greatest {
		a.greatest = v
	}
	a.count++
	a.sum += v
	a.squares += v * v
	a.last = now
}

func (a *aggregate) mean() float64 { return a.sum / float64(a.count) }

// deviation is the standard deviation of the samples.
func (a *aggregate) deviation() float64 {
	n := float64(a.count)
	if a.count < 2 {
		return 0
	}
	return math.Sqrt(max(0, (n*a.squares-a.sum*a.sum)/(n*(n-1))))
}
