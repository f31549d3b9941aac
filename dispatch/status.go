package dispatch

import (
	"time"
)

// Status is how a gateway stands, for people and programs.
type Status struct {
	Self     string         `json:"self,omitempty"` // this gateway, as the others know it
	Volumes  []VolumeStatus `json:"volumes"`
	Peers    []PeerStatus   `json:"gateways,omitempty"`
	Log      *LogStatus     `json:"log,omitempty"` // the replicated log of writes
	Reads    uint64         `json:"reads"`
	Hedges   uint64         `json:"hedges"`  // further attempts because an answer was late
	Refused  uint64         `json:"refused"` // commands refused for overload
	Underway int64          `json:"underway"`
	HedgeMs  float64        `json:"hedge_after_ms"`
	MedianMs float64        `json:"median_ms"`
}

// VolumeStatus is how one Groonga server stands.
type VolumeStatus struct {
	Address string   `json:"address"` // host:port
	Node    string   `json:"node"`
	Slices  []string `json:"slices"`
	// State is active (read from), inactive (alive, but lacks writes or does not
	// answer) or dead (by the live-node list).
	State  string `json:"state"`
	Listed bool   `json:"listed"` // alive by the list
	Server string `json:"server"` // up, late or down, as this gateway has seen itself
	Fault  string `json:"fault,omitempty"`
	// Software is what an HTTP server calls itself that is not Groonga's own.
	Software string `json:"software,omitempty"`
	Behind   bool   `json:"behind"`            // out of the read set
	Drained  bool   `json:"drained,omitempty"` // because somebody wants it: ibuki cluster drain
	// Waiting is how many entries of the log it has not applied yet, those that are not
	// for it included. Where another gateway applies the log to it, it is how many there
	// are since it was put out of the read set.
	Waiting uint64 `json:"waiting"`

	Outstanding int32     `json:"outstanding"`
	Answers     uint64    `json:"answers"`
	Failures    uint64    `json:"failures"`
	Delivered   uint64    `json:"delivered"`          // writes
	Position    *Position `json:"position,omitempty"` // in the log, if this gateway applies it to the server
	MedianMs    float64   `json:"median_ms"`
	P99Ms       float64   `json:"p99_ms"`
}

// PeerStatus is how another gateway stands.
type PeerStatus struct {
	Address   string `json:"address"`
	Node      string `json:"node,omitempty"`
	Reachable bool   `json:"reachable"` // messages of the log reach it
}

// Status tells how the gateway stands.
func (d *Dispatcher) Status() Status {
	s := Status{
		Self: d.cfg.Self, Reads: d.reads.Load(), Hedges: d.watch.hedges.Load(), Refused: d.refused.Load(), Underway: d.underway.Load(),
		HedgeMs: ms(time.Duration(d.watch.hedgeAfter.Load())), MedianMs: ms(time.Duration(d.watch.median.Load())),
	}
	for _, v := range d.now().volumes {
		s.Volumes = append(s.Volumes, d.volumeStatus(v))
	}
	if d.logged != nil {
		for _, p := range d.now().peers {
			s.Peers = append(s.Peers, PeerStatus{p.Addr, p.Name, d.logged.member.Reaches(p.Addr)})
		}
		s.Log = d.logged.status()
	}
	return s
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (d *Dispatcher) volumeStatus(v *volume) VolumeStatus {
	s := VolumeStatus{
		Address: v.addr, Node: v.address.Host, Slices: d.slicesOf(v),
		Listed: v.listed.Load(), Server: v.state().String(),
		Outstanding: v.outstanding.Load(), Answers: v.answers.Load(), Failures: v.failures.Load(),
		Delivered: v.delivered.Load(), Behind: v.out.Load() != 0,
	}
	v.mu.Lock()
	s.Software = v.software
	if v.state() != up {
		s.Fault = v.fault
	}
	v.mu.Unlock()
	switch {
	case !s.Listed:
		s.State = "dead"
	case v.rank() == good || v.rank() == slow:
		s.State = "active"
	default:
		s.State = "inactive"
	}
	if d.logged != nil {
		d.logged.volumeStatus(v, &s)
	}
	q, _ := v.latency.quantiles(0.5, 0.99)
	s.MedianMs, s.P99Ms = ms(q[0]), ms(q[1])
	return s
}

// slicesOf are the labels of what a server holds.
func (d *Dispatcher) slicesOf(v *volume) []string {
	list := []string{}
	for _, ds := range d.now().datasets {
		for _, l := range ds.layouts {
			for _, p := range l.parts {
				for _, o := range p.volumes {
					if o == v {
						list = append(list, joinName(ds.name, p.label))
					}
				}
			}
		}
	}
	return list
}

func joinName(dataset, label string) string {
	if label == "" {
		return dataset
	}
	return dataset + "/" + label
}
