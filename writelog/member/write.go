package member

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/writelog"
)

const (
	// leaderWait is how long a write waits for a leader before it is refused.
	leaderWait = 800 * time.Millisecond
	// again is after how long a write is proposed again that met no leader.
	again = 10 * time.Millisecond
	// MaxWriting bounds the writes of this gateway's clients that are under way.
	MaxWriting = 4096
)

// Write puts a write into the log and returns the answer of each share when it may be
// acknowledged. catalog is the View.CatalogAt by which the shares were made, request the client's own
// id of it, or "". The errors are
// ErrNoMajority, ErrFull, ErrStopped, those of package writelog, and ctx's: after
// ErrUnconfirmed and ctx's the write may be done, and then before any that this gateway
// proposes later.
func (m *Member) Write(ctx context.Context, shares []writelog.Share, catalog uint64, request string) ([]writelog.Answer, error) {
	if len(request) > writelog.MaxRequest {
		request = request[:writelog.MaxRequest]
	}
	if err := m.session(ctx); err != nil {
		return nil, err
	}
	e := &writelog.Entry{Op: writelog.OpWrite, Request: request, Shares: shares, Catalog: catalog}
	m.mu.Lock()
	if len(m.waiting) >= MaxWriting {
		m.mu.Unlock()
		return nil, writelog.ErrBusy
	}
	m.number++
	e.ID = writelog.WriteID{Member: m.id, Boot: m.boot, Number: m.number}
	m.waiting[e.ID.Number] = true
	e.Floor = m.floor()
	m.mu.Unlock()
	answers, err := m.seeThrough(ctx, e)
	m.mu.Lock()
	delete(m.waiting, e.ID.Number)
	floor := m.floor()
	m.mu.Unlock()
	if errors.Is(err, writelog.ErrUnconfirmed) || err != nil && ctx.Err() != nil {
		m.giveUp(floor)
	}
	return answers, err
}

// floor is the lowest number that a client waits for. mu is held.
func (m *Member) floor() uint64 {
	floor := m.number + 1
	for n := range m.waiting { // order-free: the least
		floor = min(floor, n)
	}
	return floor
}

// seeThrough proposes an entry, to whoever leads, until its outcome is known. It has the
// same name each time, so it is executed once at most.
func (m *Member) seeThrough(ctx context.Context, e *writelog.Entry) ([]writelog.Answer, error) {
	sent := false
	leader, since := m.View().Leader, m.cfg.Now() // who leads, and since when that has not helped
	for {
		v := m.View()
		if v.Leader != leader {
			leader, since = v.Leader, m.cfg.Now()
		}
		if tried := m.cfg.Now() - since; tried > leaderWait && leader == "" || tried > 2*leaderWait || v.Fault != "" {
			if sent {
				return nil, writelog.ErrUnconfirmed
			}
			return nil, ErrNoMajority
		}
		if m.wayTo(v) != "" {
			answers, err := m.ask(ctx, v, e)
			switch {
			case err == nil, errors.Is(err, writelog.ErrDropped), errors.Is(err, writelog.ErrAnswerGone), errors.Is(err, writelog.ErrOtherCatalog):
				return answers, err
			case errors.Is(err, ErrFull) && !sent:
				return nil, err
			case errors.Is(err, writelog.ErrNotLeader), errors.Is(err, writelog.ErrBusy):
				// Nothing was proposed.
			default:
				sent = true
			}
		}
		if err := m.pause(ctx, v); err != nil {
			return nil, err
		}
	}
}

// pause waits a moment, or until something has changed.
func (m *Member) pause(ctx context.Context, v *View) error {
	timer := time.NewTimer(again)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-m.ctx.Done():
		return ErrStopped
	case <-v.changed:
	case <-timer.C:
	}
	return nil
}

// ask proposes an entry to the leader of a view, and no longer than it leads.
func (m *Member) ask(ctx context.Context, v *View, e *writelog.Entry) ([]writelog.Answer, error) {
	if v.Leader == m.cfg.Name {
		return m.propose(ctx, e)
	}
	via := m.wayTo(v)
	switch {
	case via == "":
		return nil, writelog.ErrNotLeader
	case via == v.Leader && e.Op == writelog.OpWrite:
		return m.askLeader(ctx, v, e)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.ctx, cancel)()
	done := make(chan struct{})
	defer close(done)
	m.start(func() {
		for of := v; ; of = m.View() {
			select {
			case <-done:
				return
			case <-of.changed:
			case <-time.After(lookEvery):
			}
			if m.over(v, via) {
				cancel()
				return
			}
		}
	})
	answer, _, err := m.cfg.Transport.Ask(ctx, via, encodeRequest(&request{From: m.id, Cluster: v.Cluster, Propose: e.Encode(), Relay: via != v.Leader}))
	if err != nil {
		return nil, errors.Join(writelog.ErrUnconfirmed, err)
	}
	r, err := decodeReply(answer)
	if err != nil {
		return nil, errors.Join(writelog.ErrUnconfirmed, err)
	}
	return r.Answers, faultOf(r.Code)
}

// over reports whether there is no use in waiting any longer for what a gateway was asked
// when a view held.
func (m *Member) over(v *View, via string) bool {
	now := m.View().Leader
	return now != "" && now != v.Leader || via == v.Leader && now == "" || !m.Reaches(via)
}

// asked is a write that another member was asked for.
type asked struct {
	member uint64
	result chan *outcome // holds one
}

// asking are the writes that other members were asked for.
type asking struct {
	mu   sync.Mutex
	list map[writelog.WriteID]*asked
}

func (l *asking) begin(id writelog.WriteID, a *asked) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list[id] = a
}

func (l *asking) end(id writelog.WriteID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.list, id)
}

// answered takes the outcome of a write from a member.
func (l *asking) answered(from uint64, o *outcome) {
	l.mu.Lock()
	a := l.list[o.ID]
	l.mu.Unlock()
	if a == nil || a.member != from {
		return // nobody waits for it, or another one was asked since
	}
	select {
	case a.result <- o:
	default: // it came twice
	}
}

// sendAgain is after how long a write is sent again to the same leader: it, or its outcome, may
// have been lost with a stream. It is done once.
const sendAgain = time.Second

// askLeader sends a write to the leader of a view, on the stream to it.
func (m *Member) askLeader(ctx context.Context, v *View, e *writelog.Entry) ([]writelog.Answer, error) {
	s := m.peers.to(v.leader)
	if s == nil || s.name != v.Leader {
		m.do(func(time.Duration) {
			if m.machine != nil {
				m.sender(v.leader)
			}
		})
		return nil, writelog.ErrNotLeader // in a moment
	}
	a := &asked{member: v.leader, result: make(chan *outcome, 1)}
	m.asked.begin(e.ID, a)
	defer m.asked.end(e.ID)
	text := e.Encode()
	s.push(queued{write: text})
	look := time.NewTimer(lookEvery)
	defer look.Stop()
	again := m.cfg.Now() + sendAgain
	twice := false
	for of := v; ; of = m.View() {
		select {
		case o := <-a.result:
			err := faultOf(o.Code)
			if twice && (errors.Is(err, writelog.ErrNotLeader) || errors.Is(err, writelog.ErrBusy) || errors.Is(err, ErrFull)) {
				err = writelog.ErrUnconfirmed // the other one may have been taken
			}
			return o.Answers, err
		case <-ctx.Done():
			return nil, errors.Join(writelog.ErrUnconfirmed, ctx.Err())
		case <-m.ctx.Done():
			return nil, errors.Join(writelog.ErrUnconfirmed, ErrStopped)
		case <-of.changed:
		case <-look.C:
			look.Reset(lookEvery)
		}
		if m.over(v, v.Leader) {
			return nil, writelog.ErrUnconfirmed
		}
		if m.cfg.Now() >= again {
			again, twice = m.cfg.Now()+sendAgain, true
			s.push(queued{write: text})
		}
	}
}

// lookEvery is how often a write that waits looks whether its way to the leader is cut.
const lookEvery = 50 * time.Millisecond

// wayTo is the gateway to ask: the leader, or while it is not known or the path to it is
// cut another one, that passes the write on. "" is none.
func (m *Member) wayTo(v *View) string {
	if v.Leader == m.cfg.Name || v.Leader != "" && m.Reaches(v.Leader) {
		return v.Leader
	}
	for _, name := range v.Members {
		if name != m.cfg.Name && name != v.Leader && m.Reaches(name) {
			return name
		}
	}
	return ""
}

// Reaches reports whether another gateway took what was sent to it last.
func (m *Member) Reaches(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.beyond[name]
}

// reached notes whether a gateway took what was sent to it.
func (m *Member) reached(name string, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ok {
		delete(m.beyond, name)
		return
	}
	m.beyond[name] = true
}

// waiter waits for the outcome of a write: a client of this gateway, or another member.
type waiter struct {
	result chan writelog.Outcome // holds one
	member uint64
}

// propose has this member, which leads, put an entry into the log, and waits.
func (m *Member) propose(ctx context.Context, e *writelog.Entry) ([]writelog.Answer, error) {
	w := waiter{result: make(chan writelog.Outcome, 1)}
	if !m.do(func(now time.Duration) { m.proposeNow(now, e, w) }) {
		return nil, ErrStopped
	}
	select {
	case o := <-w.result:
		return o.Answers, o.Err
	case <-ctx.Done():
		m.do(func(time.Duration) {
			m.waiters[e.ID] = slices.DeleteFunc(m.waiters[e.ID], func(o waiter) bool { return o == w })
			if len(m.waiters[e.ID]) == 0 {
				delete(m.waiters, e.ID)
			}
		})
		return nil, errors.Join(writelog.ErrUnconfirmed, ctx.Err())
	case <-m.ctx.Done():
		return nil, ErrStopped
	}
}

// proposeNow proposes an entry. It is the loop's.
func (m *Member) proposeNow(now time.Duration, e *writelog.Entry, w waiter) {
	err := writelog.ErrNotLeader
	switch {
	case e.Op == writelog.OpWrite && m.store.Size() >= m.cfg.MaxBytes:
		err = ErrFull
	case m.machine != nil:
		err = m.machine.Propose(now, e)
	}
	if err != nil || e.Op != writelog.OpWrite {
		w.tell(m, &writelog.Outcome{ID: e.ID, Err: err})
	} else if !slices.Contains(m.waiters[e.ID], w) {
		m.waiters[e.ID] = append(m.waiters[e.ID], w)
	}
}

// tell says how a write ended to all that wait for it. It is the loop's.
func (m *Member) tell(o *writelog.Outcome) {
	for _, w := range m.waiters[o.ID] {
		w.tell(m, o)
	}
	delete(m.waiters, o.ID)
}

// tell is the loop's of a member.
func (w waiter) tell(m *Member, o *writelog.Outcome) {
	if w.result != nil {
		w.result <- *o
		return
	}
	said := &outcome{ID: o.ID, Answers: o.Answers}
	if o.Err != nil {
		said.Code = codeOf(o.Err)
	}
	if s := m.sender(w.member); s != nil {
		s.push(queued{outcome: said})
	}
}

// session opens this process's session, once.
func (m *Member) session(ctx context.Context) error {
	if m.opened() {
		return nil
	}
	begun := m.cfg.Now()
	select {
	case m.opening <- struct{}{}:
		defer func() { <-m.opening }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for !m.opened() {
		v := m.View()
		if m.cfg.Now()-begun > leaderWait {
			return ErrNoMajority
		}
		if m.wayTo(v) != "" {
			_, _ = m.ask(ctx, v, &writelog.Entry{Op: writelog.OpOpen, ID: writelog.WriteID{Member: m.id, Boot: m.boot}})
		}
		if err := m.pause(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// opened reports whether the log has this process's session, as far as this member has
// taken it over.
func (m *Member) opened() bool {
	if m.isOpen.Load() {
		return true
	}
	result := make(chan bool, 1)
	m.do(func(time.Duration) {
		if m.machine == nil {
			result <- false
			return
		}
		s, ok := m.machine.State().Sessions[m.id]
		result <- ok && s.Boot == m.boot
	})
	select {
	case ok := <-result:
		if ok {
			m.isOpen.Store(true)
		}
		return ok
	case <-m.ctx.Done():
		return false
	}
}

// giveUp has the log know that writes below a number are over, so that one that was sent
// and got stuck is not done when it arrives after all.
func (m *Member) giveUp(floor uint64) {
	e := &writelog.Entry{Op: writelog.OpFloor, ID: writelog.WriteID{Member: m.id, Boot: m.boot}, Floor: floor}
	m.start(func() {
		ctx, cancel := context.WithTimeout(m.ctx, time.Minute)
		defer cancel()
		for ctx.Err() == nil {
			v := m.View()
			if m.wayTo(v) != "" {
				if _, err := m.ask(ctx, v, e); err == nil {
					return
				}
			}
			if m.pause(ctx, v) != nil {
				return
			}
		}
	})
}
