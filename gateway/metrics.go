package gateway

import (
	"fmt"
	"strings"

	"github.com/ibuki-dev/ibuki/dispatch"
)

// metricsType is the media type of Prometheus' text format.
const metricsType = "text/plain; version=0.0.4; charset=utf-8"

// figures writes Prometheus' text format.
type figures struct{ strings.Builder }

// family begins the figures of one name.
func (f *figures) family(name, kind, help string) {
	fmt.Fprintf(f, "# HELP ibuki_gateway_%s %s\n# TYPE ibuki_gateway_%s %s\n", name, help, name, kind)
}

// one writes a figure; label is a name and a value, or nothing.
func (f *figures) one(name string, value float64, label ...string) {
	of := ""
	if len(label) == 2 {
		of = fmt.Sprintf(`{%s="%s"}`, label[0], strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(label[1]))
	}
	fmt.Fprintf(f, "ibuki_gateway_%s%s %g\n", name, of, value)
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// metrics are a gateway's figures for Prometheus.
func metrics(s *dispatch.Status) string {
	f := new(figures)
	single := func(name, kind, help string, value float64) {
		f.family(name, kind, help)
		f.one(name, value)
	}
	single("reads_total", "counter", "Searches.", float64(s.Reads))
	single("hedges_total", "counter", "Further attempts because an answer was late.", float64(s.Hedges))
	single("refused_total", "counter", "Commands refused for overload.", float64(s.Refused))
	single("underway", "gauge", "Commands under way.", float64(s.Underway))
	f.family("server_active", "gauge", "1: the Groonga server is read from.")
	for i := range s.Volumes {
		f.one("server_active", truth(s.Volumes[i].State == "active"), "server", s.Volumes[i].Address)
	}
	if s.Log == nil {
		return f.String()
	}
	single("log_bytes", "gauge", "Bytes of the log of writes.", float64(s.Log.Bytes))
	single("log_leased", "gauge", "1: searches are answered from the read set, else passed on.", truth(s.Log.Leased))
	f.family("server_suspect", "gauge", "1: the Groonga server has to be filled. Of those that this gateway applies the log to.")
	for i := range s.Volumes {
		if p := s.Volumes[i].Position; p != nil {
			f.one("server_suspect", truth(p.State == "suspect" || p.State == "filling"), "server", s.Volumes[i].Address)
		}
	}
	f.compared(s.Log.Compare)
	return f.String()
}

// compared writes what comparisons have found, if this gateway compares.
func (f *figures) compared(c *dispatch.CompareStatus) {
	if c == nil || len(c.Last) == 0 {
		return
	}
	each := func(name, help string, value func(s *dispatch.SliceComparison) float64) {
		f.family(name, "gauge", help)
		for i := range c.Last {
			f.one(name, value(&c.Last[i]), "slice", c.Last[i].Slice)
		}
	}
	each("compare_differs", "1: the servers of the slice hold different data.", func(s *dispatch.SliceComparison) float64 { return truth(len(s.Differences) > 0) })
	each("compare_failed", "1: the last comparison of the slice's servers did not come to its end.", func(s *dispatch.SliceComparison) float64 { return truth(s.Fault != "") })
	each("compare_records", "Records that the last comparison has read of each server.", func(s *dispatch.SliceComparison) float64 { return float64(s.Records) })
	each("compare_ended_timestamp_seconds", "When the last comparison ended.", func(s *dispatch.SliceComparison) float64 { return float64(s.Ended.Unix()) })
}
