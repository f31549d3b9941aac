package dispatch

import (
	"time"
)

// Status is how a gateway stands, for people and programs.
type Status struct {
	Self    string         `json:"self,omitempty"` // this gateway, as the others know it
	Volumes []VolumeStatus `json:"volumes"`
	Peers   []PeerStatus   `json:"gateways,omitempty"`
	// Sequencer is the gateway that puts writes in sequence as this one sees it.
	Sequencer string     `json:"sequencer,omitempty"`
	Log       *LogStatus `json:"log,omitempty"` // the replicated log of writes
	Reads     uint64     `json:"reads"`
	Hedges    uint64     `json:"hedges"`  // further attempts because an answer was late
	Refused   uint64     `json:"refused"` // commands refused for overload
	Underway  int64      `json:"underway"`
	HedgeMs   float64    `json:"hedge_after_ms"`
	MedianMs  float64    `json:"median_ms"`
}

// VolumeStatus is how one Groonga server stands.
type VolumeStatus struct {
	Address string   `json:"address"` // host:port
	Node    string   `json:"node"`
	Slices  []string `json:"slices"`
	// State is active (read from), inactive (alive, but lacks writes or does not
	// answer) or dead (by the live-node list).
	State   string `json:"state"`
	Listed  bool   `json:"listed"` // alive by the list
	Server  string `json:"server"` // up, late or down, as this gateway has seen itself
	Fault   string `json:"fault,omitempty"`
	Behind  bool   `json:"behind"`            // writes wait for it here
	HeldBy  any    `json:"held_by,omitempty"` // other gateways where writes wait for it
	Doubted bool   `json:"doubted,omitempty"`
	Waiting int    `json:"waiting"` // writes that wait for it here, those under way included
	// WaitingBytes are theirs; WaitingSince is when the oldest came.
	WaitingBytes int64      `json:"waiting_bytes"`
	WaitingSince *time.Time `json:"waiting_since,omitempty"`

	Outstanding int32     `json:"outstanding"`
	Answers     uint64    `json:"answers"`
	Failures    uint64    `json:"failures"`
	Delivered   uint64    `json:"delivered"`          // writes
	Position    *Position `json:"position,omitempty"` // in the log, if this gateway applies it to the server
	Mismatches  uint64    `json:"mismatches"`         // answers to writes that differ from another replica's
	MedianMs    float64   `json:"median_ms"`
	P99Ms       float64   `json:"p99_ms"`
}

// PeerStatus is how another gateway stands.
type PeerStatus struct {
	Address   string `json:"address"`
	Node      string `json:"node,omitempty"`
	Reachable bool   `json:"reachable"`
	Fault     string `json:"fault,omitempty"`
}

// Status tells how the gateway stands.
func (d *Dispatcher) Status() Status {
	s := Status{
		Self: d.cfg.Self, Reads: d.reads.Load(), Hedges: d.watch.hedges.Load(), Refused: d.refused.Load(), Underway: d.underway.Load(),
		HedgeMs: ms(time.Duration(d.watch.hedgeAfter.Load())), MedianMs: ms(time.Duration(d.watch.median.Load())),
	}
	backlogs := d.backlogs()
	for _, v := range d.volumes {
		s.Volumes = append(s.Volumes, d.volumeStatus(v, backlogs[v.addr]))
	}
	d.peers.mu.Lock()
	for _, p := range d.peers.list {
		s.Peers = append(s.Peers, PeerStatus{p.Addr, p.Name, p.reachable, p.fault})
	}
	d.peers.mu.Unlock()
	if d.logged != nil {
		s.Log = d.logged.status()
		s.Sequencer = s.Log.Leader
		return s
	}
	s.Sequencer = d.peers.sequencer()
	return s
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// backlogs is what waits for each server. A damaged buffer shows in the log when
// it is to be delivered.
func (d *Dispatcher) backlogs() map[string]Backlog {
	if d.cfg.Buffer == nil {
		return nil
	}
	list, err := d.cfg.Buffer.Backlogs()
	if err != nil {
		d.log.Debug("buffer", "error", err)
	}
	byName := make(map[string]Backlog, len(list))
	for _, l := range list {
		byName[l.Replica] = l
	}
	return byName
}

func (d *Dispatcher) volumeStatus(v *volume, waiting Backlog) VolumeStatus {
	s := VolumeStatus{
		Address: v.addr, Node: v.address.Host, Slices: d.slicesOf(v),
		Listed: v.listed.Load(), Server: v.state().String(),
		Outstanding: v.outstanding.Load(), Answers: v.answers.Load(), Failures: v.failures.Load(),
		Delivered: v.delivered.Load(), Mismatches: v.mismatches.Load(),
	}
	s.Waiting, s.WaitingBytes = waiting.Writes, waiting.Bytes
	if !waiting.Oldest.IsZero() {
		s.WaitingSince = &waiting.Oldest
	}
	d.writes.mu.Lock()
	s.Behind, s.Doubted = v.behind || v.out, !v.doubtedAt.IsZero()
	if len(v.heldBy) > 0 {
		held := make([]string, 0, len(v.heldBy))
		for _, p := range d.peers.list {
			if _, ok := v.heldBy[p.Addr]; ok {
				held = append(held, p.Addr)
			}
		}
		s.HeldBy = held
	}
	d.writes.mu.Unlock()
	v.mu.Lock()
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
	for _, ds := range d.datasets {
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

// sequencer is the gateway that puts writes in sequence, as this one sees it.
func (p *peers) sequencer() string {
	for _, s := range p.list {
		if s.Addr > p.d.cfg.Self {
			break
		}
		if _, ok := p.usable(s); ok {
			return s.Addr
		}
	}
	return p.d.cfg.Self
}
