package dispatch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// Peer is another gateway of the same catalog.
type Peer struct {
	Name string // its node's name in the live-node list, if it is on one
	Addr string // host:port of its HTTP front; also what orders the gateways
}

// PeerMessage is what gateways tell each other, as question and answer alike.
type PeerMessage struct {
	Name  string           `json:"name"`            // Addr of the sender
	Holds map[string]int64 `json:"holds,omitempty"` // servers for which acknowledged writes wait here; the oldest one's stamp
	// Others is what the sender knows of Holds of gateways that it cannot reach.
	Others map[string]map[string]int64 `json:"others,omitempty"`
	Stamp  int64                       `json:"stamp"`           // of the last write put in sequence here
	Ask    []string                    `json:"ask,omitempty"`   // have these writes been done there?
	Known  []string                    `json:"known,omitempty"` // of those asked for: yes
}

// PeerClient talks to other gateways.
type PeerClient interface {
	// Exchange tells a gateway how this one stands and returns how that one stands.
	Exchange(ctx context.Context, addr string, m PeerMessage) (PeerMessage, error)
	// Forward has another gateway deliver a write. An error of this package's
	// (answer.go, ErrBufferFull) is what that one said; after any other nobody knows
	// whether the write was done.
	Forward(ctx context.Context, addr string, c *groonga.Command) (groonga.Answer, error)
}

const (
	peerTimeout = 300 * time.Millisecond
	pushTimeout = 100 * time.Millisecond
	peerMisses  = 2 // so many exchanges in a row have to fail for a peer to be away
)

// peerState is what is known of another gateway.
type peerState struct {
	Peer
	ask chan struct{} // holds one: ask at once

	// Guarded by peers.mu.
	reachable bool
	met       bool // it was, since this process began
	misses    int
	asked     time.Time // when the last exchange that has ended began
	fault     string
	lost      chan struct{} // closed when it stops being reachable
}

// peers are the other gateways.
type peers struct {
	d    *Dispatcher
	list []*peerState // by address

	mu sync.Mutex
}

func (p *peers) init(d *Dispatcher) {
	p.d = d
	if d.cfg.WriteLog != nil {
		return // the members of the log keep in touch by themselves
	}
	for _, c := range d.cfg.Peers {
		p.list = append(p.list, &peerState{Peer: c, ask: make(chan struct{}, 1), lost: make(chan struct{})})
	}
	slices.SortFunc(p.list, func(a, b *peerState) int { return strings.Compare(a.Addr, b.Addr) })
}

func (p *peers) has(addr string) bool {
	return slices.ContainsFunc(p.list, func(s *peerState) bool { return s.Addr == addr })
}

// start asks all peers once and then goes on asking.
func (p *peers) start() {
	for _, s := range p.list {
		p.d.start(func() {
			tick := time.NewTicker(p.d.cfg.PeerPoll)
			defer tick.Stop()
			for {
				select {
				case <-p.d.ctx.Done():
					return
				case <-s.ask:
				case <-tick.C:
				}
				p.exchange(s, peerTimeout, nil)
			}
		})
	}
}

// all exchanges with all peers at once and waits for them. ask are writes to ask for;
// those known to one of them are returned.
func (p *peers) all(timeout time.Duration, only func(*peerState) bool, ask []string) (known []string) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, s := range p.list {
		if !only(s) {
			continue
		}
		wg.Go(func() {
			k := p.exchange(s, timeout, ask)
			mu.Lock()
			known = append(known, k...)
			mu.Unlock()
		})
	}
	wg.Wait()
	return known
}

// push tells the peers that can be reached how this gateway stands.
func (p *peers) push() {
	p.all(pushTimeout, func(s *peerState) bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return s.reachable
	}, nil)
}

// known asks all peers whether one of them has done a write.
func (p *peers) known(id string) bool {
	if id == "" || len(p.list) == 0 {
		return false
	}
	return slices.Contains(p.all(peerTimeout, func(*peerState) bool { return true }, []string{id}), id)
}

// exchange asks one peer how it stands.
func (p *peers) exchange(s *peerState, timeout time.Duration, ask []string) (known []string) {
	ctx, cancel := context.WithTimeout(p.d.ctx, timeout)
	defer cancel()
	begun := time.Now()
	m := p.message()
	m.Ask = ask
	reply, err := p.d.cfg.PeerClient.Exchange(ctx, s.Addr, m)
	if err == nil {
		p.d.writes.hear(s.Addr, reply, p)
	}
	p.mu.Lock()
	s.asked = begun
	switch {
	case err == nil:
		if !s.reachable {
			s.lost = make(chan struct{})
			p.d.log.Info("gateway answers", "peer", s.Addr)
		}
		s.reachable, s.met, s.misses, s.fault = true, true, 0, ""
	default:
		s.misses++
		s.fault = err.Error()
		if s.reachable && s.misses >= peerMisses {
			s.reachable = false
			close(s.lost)
			p.d.log.Info("gateway does not answer", "peer", s.Addr, "error", err)
		}
	}
	p.mu.Unlock()
	p.clear()
	return reply.Known
}

// doubt has all peers asked about a server that comes back before it is read from.
func (p *peers) doubt(v *volume) {
	if len(p.list) == 0 {
		return
	}
	w := &p.d.writes
	w.mu.Lock()
	v.doubtedAt = time.Now()
	v.judge()
	w.mu.Unlock()
	for _, s := range p.list {
		select {
		case s.ask <- struct{}{}:
		default:
		}
	}
}

// clear ends the doubts about which all peers were asked since.
func (p *peers) clear() {
	p.mu.Lock()
	oldest := time.Now()
	for _, s := range p.list {
		if s.asked.Before(oldest) {
			oldest = s.asked
		}
	}
	p.mu.Unlock()
	w := &p.d.writes
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range p.d.volumes {
		if !v.doubtedAt.IsZero() && v.doubtedAt.Before(oldest) {
			v.doubtedAt = time.Time{}
			v.judge()
		}
	}
}

// message is how this gateway stands.
func (p *peers) message() PeerMessage {
	m := PeerMessage{Name: p.d.cfg.Self, Holds: make(map[string]int64), Others: make(map[string]map[string]int64)}
	away := make(map[string]bool)
	p.mu.Lock()
	for _, s := range p.list {
		away[s.Addr] = !s.reachable
	}
	p.mu.Unlock()
	w := &p.d.writes
	w.mu.Lock()
	defer w.mu.Unlock()
	m.Stamp = w.stamp
	for _, v := range p.d.volumes {
		if stamp := w.oldest(v); v.behind && stamp != 0 {
			m.Holds[v.addr] = stamp
		}
		for gateway, stamp := range v.heldBy { // order-free: into another map
			if !away[gateway] {
				continue
			}
			if m.Others[gateway] == nil {
				m.Others[gateway] = make(map[string]int64)
			}
			m.Others[gateway][v.addr] = stamp
		}
	}
	return m
}

// oldest is the stamp of the first write that waits for a server; 0 if none does.
// w.mu is held.
func (w *writer) oldest(v *volume) int64 {
	if w.buffer == nil || !v.behind || w.buffer.Waiting(v.addr) == 0 {
		return 0
	}
	if v.head == 0 {
		v.head = 1 // older than all, if it cannot be read
		if p, ok, err := w.buffer.Next(v.addr); err == nil && ok {
			if e, err := decodeEntry(p.Data); err == nil {
				v.head = e.stamp
			}
		}
	}
	return v.head
}

// Exchange answers another gateway that tells how it stands.
func (d *Dispatcher) Exchange(m PeerMessage) PeerMessage {
	reply := d.peers.message()
	if d.peers.has(m.Name) {
		d.writes.hear(m.Name, m, &d.peers)
	}
	d.writes.mu.Lock()
	defer d.writes.mu.Unlock()
	for _, id := range m.Ask {
		if d.writes.seen.known[id] {
			reply.Known = append(reply.Known, id)
		}
	}
	return reply
}

// hear takes over what another gateway says of itself, and of those that cannot be
// asked.
func (w *writer) hear(from string, m PeerMessage, p *peers) {
	strangers := make(map[string]bool)
	p.mu.Lock()
	for _, s := range p.list {
		strangers[s.Addr] = !s.met
	}
	p.mu.Unlock()
	news := false
	var moved []*volume
	w.mu.Lock()
	w.stamp = max(w.stamp, m.Stamp)
	for _, v := range w.d.volumes {
		begun, before := v.hold(from, m.Holds)
		for gateway, holds := range m.Others { // order-free: each is about another gateway
			if strangers[gateway] && gateway != from && holds[v.addr] != 0 {
				other, _ := v.hold(gateway, holds)
				begun = begun || other
			}
		}
		news = news || begun
		if before {
			moved = append(moved, v)
		}
		v.judge()
	}
	w.mu.Unlock()
	if news {
		w.save()
	}
	for _, v := range moved {
		w.wake(v)
	}
}

// hold notes what waits for a server at another gateway. begun tells that now it does
// or does not any more, which is to be written down; before, that something waited.
func (v *volume) hold(gateway string, holds map[string]int64) (begun, before bool) {
	stamp, held := holds[v.addr]
	_, before = v.heldBy[gateway]
	if held {
		v.heldBy[gateway] = stamp
	} else {
		delete(v.heldBy, gateway)
	}
	return held != before, before
}

// forward has the gateway that puts writes in sequence deliver one. done is false if
// that is this one; then *c has the name that the write has everywhere.
func (p *peers) forward(ctx context.Context, c **groonga.Command) (answer groonga.Answer, done bool, err error) {
	for _, s := range p.list {
		if s.Addr > p.d.cfg.Self {
			return groonga.Answer{}, false, nil
		}
		lost, ok := p.usable(s)
		if !ok {
			continue
		}
		if (*c).ID == "" {
			named := *(*c)
			p.d.writes.mu.Lock()
			named.ID = p.d.writes.newID()
			p.d.writes.mu.Unlock()
			*c = &named
		}
		fctx, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(p.d.ctx, cancel)
		go func() {
			select {
			case <-lost:
				cancel()
			case <-fctx.Done():
			}
		}()
		answer, err := p.d.cfg.PeerClient.Forward(fctx, s.Addr, *c)
		stop()
		cancel()
		if err == nil || said(err) {
			return answer, true, err
		}
		if ctx.Err() != nil {
			return groonga.Answer{}, true, ctx.Err()
		}
		p.d.log.Info("gateway that puts writes in sequence does not answer", "peer", s.Addr, "error", err)
	}
	return groonga.Answer{}, false, nil
}

// said reports whether an error is another gateway's answer, which stands.
func said(err error) bool {
	for _, known := range []error{
		ErrNoReplica, ErrOverload, groonga.ErrNotSupported, ErrForbidden, ErrUnknownDataset, ErrAnswerTooLong,
		ErrTimeout, ErrNoBuffer, ErrUnconfirmed, ErrBufferFull, groonga.ErrBadCommand, groonga.ErrTooLong, ErrWriteTooLarge,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// usable reports whether writes may be forwarded to a peer: it answers, and the list
// does not say that its node is dead.
func (p *peers) usable(s *peerState) (lost <-chan struct{}, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !s.reachable {
		return nil, false
	}
	view := p.d.cfg.List.Current()
	if e := view.Get(s.Name); e != nil && view.Version() != 0 && !isAlive(e) {
		return nil, false
	}
	return s.lost, true
}
