package agent

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// metricsInterval is what recent metrics are put together by, metricsKept how
	// many such intervals are kept.
	metricsInterval = 10 * time.Second
	metricsKept     = 6
)

// recentMetrics are those of the last minute, for who asks by a signal.
type recentMetrics struct {
	mu   sync.Mutex
	list []*metricsOf // oldest first; the last one is not over yet
}

type metricsOf struct {
	begun    time.Time
	gauges   map[string]float64
	counters map[string]*aggregate
	samples  map[string]*aggregate
}

func (r *recentMetrics) add(now time.Time, list []metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	begun := now.Truncate(metricsInterval)
	if n := len(r.list); n == 0 || !r.list[n-1].begun.Equal(begun) {
		if n > metricsKept {
			r.list = slices.Delete(r.list, 0, n-metricsKept)
		}
		r.list = append(r.list, &metricsOf{begun: begun, gauges: make(map[string]float64),
			counters: make(map[string]*aggregate), samples: make(map[string]*aggregate)})
	}
	to := r.list[len(r.list)-1]
	for _, m := range list {
		switch m.kind {
		case kindGauge:
			to.gauges[m.name] = m.value
		case kindCounter:
			aggregateOf(to.counters, m.name).add(m.value, now)
		case kindSample:
			aggregateOf(to.samples, m.name).add(m.value, now)
		}
	}
}

func aggregateOf(all map[string]*aggregate, name string) *aggregate {
	a := all[name]
	if a == nil {
		a = &aggregate{}
		all[name] = a
	}
	return a
}

// text is one line for each metric of each interval that is over, as Serf
// writes them for SIGUSR1.
func (r *recentMetrics) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, of := range r.list[:max(0, len(r.list)-1)] {
		for _, name := range slices.Sorted(maps.Keys(of.gauges)) {
			fmt.Fprintf(&b, "[%v][G] '%s': %0.3f\n", of.begun, name, of.gauges[name])
		}
		for _, kind := range []struct {
			letter metricKind
			all    map[string]*aggregate
		}{{kindCounter, of.counters}, {kindSample, of.samples}} {
			for _, name := range slices.Sorted(maps.Keys(kind.all)) {
				fmt.Fprintf(&b, "[%v][%c] '%s': %s\n", of.begun, kind.letter, name, kind.all[name].text())
			}
		}
	}
	return b.String()
}

func (a *aggregate) text() string {
	if d := a.deviation(); d != 0 {
		return fmt.Sprintf("Count: %d Min: %0.3f Mean: %0.3f Max: %0.3f Stddev: %0.3f Sum: %0.3f LastUpdated: %s",
			a.count, a.least, a.mean(), a.greatest, d, a.sum, a.last)
	}
	return fmt.Sprintf("Count: %d Sum: %0.3f LastUpdated: %s", a.count, a.sum, a.last)
}

// WriteMetrics writes the metrics of the last minute, for people: one line for
// each in each ten seconds that are over.
func (a *Agent) WriteMetrics(w io.Writer) error {
	_, err := io.WriteString(w, a.recent.text())
	return err
}
