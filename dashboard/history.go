package dashboard

import (
	"slices"
	"sync"
	"time"
)

const (
	// historyLen is how many changes of one node are kept.
	historyLen = 64
	// historyNodes is how many nodes have a history: those that nothing was heard
	// of for the longest time lose theirs.
	historyNodes = 16_384
)

// change is one change of a node's status.
type change struct {
	Time time.Time `json:"time"`
	From string    `json:"from"` // "": it was not known
	To   string    `json:"to"`   // "": it is not known any more
}

// past is what a node went through.
type past struct {
	changes []change // oldest first
	total   int
	fails   int // how often it failed
	flaps   int // how often it was back after it failed
}

// histories are the pasts of nodes, since the agent began to be watched.
type histories struct {
	mu    sync.Mutex
	nodes map[string]*past
}

func (h *histories) note(name string, c change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.nodes[name]
	if p == nil {
		if len(h.nodes) >= historyNodes {
			h.forget()
		}
		p = &past{}
		h.nodes[name] = p
	}
	p.total++
	switch {
	case c.To == "failed":
		p.fails++
	case c.From == "failed" && c.To == "alive":
		p.flaps++
	}
	p.changes = append(p.changes, c)
	if over := len(p.changes) - historyLen; over > 0 {
		p.changes = slices.Delete(p.changes, 0, over)
	}
}

// forget drops the node whose last change is the oldest.
func (h *histories) forget() {
	oldest, at := "", time.Time{}
	for name, p := range h.nodes { // order-free: the least; of equals any
		if last := p.changes[len(p.changes)-1].Time; oldest == "" || last.Before(at) {
			oldest, at = name, last
		}
	}
	delete(h.nodes, oldest)
}

// of returns a copy of a node's past.
func (h *histories) of(name string) past {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.nodes[name]
	if p == nil {
		return past{changes: []change{}}
	}
	out := *p
	out.changes = slices.Clone(p.changes)
	return out
}
