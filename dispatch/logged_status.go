package dispatch

import (
	"context"

	"github.com/ibuki-dev/ibuki/writelog/applier"
)

// LogStatus is how the replicated log of writes stands, as this gateway sees it.
type LogStatus struct {
	Formed  bool     `json:"formed"` // this gateway belongs to a log
	Leader  string   `json:"leader"` // the gateway that leads; "" if none is known
	Term    uint64   `json:"term"`
	Members []string `json:"members"`
	Fault   string   `json:"fault,omitempty"` // why no write can be done
	Last    uint64   `json:"last"`            // the last entry that this gateway has
	Leased  bool     `json:"leased"`          // searches are answered from the read set; else another gateway is asked
	Bytes   int64    `json:"bytes"`
	Most    int64    `json:"most"` // bytes
	// Catalog names the catalog of the log, which holds since entry CatalogAt; 0: it has none yet.
	Catalog   string `json:"catalog,omitempty"`
	CatalogAt uint64 `json:"catalog_at,omitempty"`
	// Gateways are those that the catalog has; Members are those that have been taken in.
	Gateways []string `json:"gateways,omitempty"`
	Barred   string   `json:"barred,omitempty"` // why this gateway answers nothing
	// Compare is how the comparison of the servers stands; nil: another gateway compares.
	Compare *CompareStatus `json:"compare,omitempty"`
}

// Position is how far the log is applied to a server.
type Position struct {
	State   string `json:"state"` // up, down, unsettled, suspect or filling
	Why     string `json:"why"`
	Applied uint64 `json:"applied"` // all entries up to this index are
	Durable uint64 `json:"durable"` // and all up to this one are on its disk
	// Filling is how far the server's filling is; nil: it is not being filled.
	Filling *Filling `json:"filling,omitempty"`
}

func (l *logged) status() *LogStatus {
	v := l.member.View()
	s := &LogStatus{Formed: v.Formed, Leader: v.Leader, Term: v.Term, Members: v.Members, Fault: v.Fault, Leased: l.member.Serves()}
	if v.Formed && v.Leader == "" && s.Fault == "" {
		s.Fault = "no majority of the gateways answers, so nobody leads"
	}
	s.Last, s.Compare = l.member.Last(), l.comparer.status()
	if v.CatalogAt != 0 {
		s.Catalog, s.CatalogAt, s.Gateways = v.Catalog.Sum, v.CatalogAt, v.Catalog.Gateways
	}
	now, cancel := context.WithCancel(context.Background())
	cancel() // it is not waited for
	if err := l.barred(now); err != nil {
		s.Barred = err.Error()
	}
	s.Bytes, s.Most = l.member.Size()
	return s
}

func (l *logged) volumeStatus(v *volume, s *VolumeStatus) {
	s.Drained = l.member.View().Drained[v.addr] != 0
	a := l.d.now().appliers[v]
	if a == nil {
		if out := v.out.Load(); out != 0 {
			s.Waiting = l.since(out)
		}
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s.Waiting = l.since(a.prefix)
	s.Position = a.positionStatus()
	if s.Fault == "" {
		s.Fault = a.silences.fault()
	}
	if a.state == applier.Suspect && s.Fault == "" {
		s.Fault = a.why
		if a.filler.fault != "" {
			s.Fault += "; it could not be filled: " + a.filler.fault
		}
	}
}

// since is how many entries there are after one.
func (l *logged) since(index uint64) uint64 {
	last := l.index.Load()
	return last - min(index, last)
}

// positionStatus is how far the log is applied; a.mu is held.
func (a *volumeApplier) positionStatus() *Position {
	p := &Position{State: a.state.String(), Why: a.why, Applied: a.prefix, Durable: a.durable}
	if now := a.filler.now; now != nil {
		copied := *now
		p.State, p.Filling = "filling", &copied
	}
	return p
}
