package dashboard

import (
	"maps"
	"slices"
)

// figureJSON is a Figure as /v1/agent has it.
type figureJSON struct {
	Name   string            `json:"name"`
	Kind   string            `json:"kind"` // counter, gauge or histogram
	Labels map[string]string `json:"labels,omitempty"`
	Value  float64           `json:"value"`
	// Of a histogram: its Value is the sum.
	Count   uint64       `json:"count,omitempty"`
	Buckets []bucketJSON `json:"buckets,omitempty"`
}

type bucketJSON struct {
	Most  float64 `json:"most"` // how many were at most so much
	Count uint64  `json:"count"`
}

var kindWords = map[FigureKind]string{Counter: "counter", Gauge: "gauge", HistogramKind: "histogram"}

// figures are the agent's figures, those of /metrics under their names there.
func (s *Server) figures() []figureJSON {
	out := []figureJSON{}
	if s.cfg.Figures == nil {
		return out
	}
	for _, f := range s.cfg.Figures() {
		one := figureJSON{Name: f.Name, Kind: kindWords[f.Kind], Labels: f.Labels, Value: f.Value}
		if f.Kind == HistogramKind {
			one.Value, one.Count = f.Sum, f.Count
			for _, most := range slices.Sorted(maps.Keys(f.Buckets)) {
				one.Buckets = append(one.Buckets, bucketJSON{most, f.Buckets[most]})
			}
		}
		out = append(out, one)
	}
	return out
}
