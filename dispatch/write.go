package dispatch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// The pace of writes.
const (
	// unconfirmedAfter is how long a write waits while none of a slice's replicas can
	// be reached at all.
	unconfirmedAfter = 3 * time.Second
	drainFirst       = 20 * time.Millisecond
	// catchUpDelay is what a write waits more while a replica that is there again gets
	// what it has missed: else those who write might be faster for ever.
	catchUpDelay = 5 * time.Millisecond
	drainLimit   = time.Second
)

// job is a share of a write that a client waits for.
type job struct {
	id      string
	command *groonga.Command
	volumes []*volume
	changed chan struct{} // holds one: something has happened

	// Guarded by writer.mu.
	answers map[*volume]groonga.Answer
	faulted map[*volume]groonga.Answer // what a server of it said that could not take it, a fault of its host
	first   time.Time                  // when the first replica had it
	ticket  Ticket
}

func (j *job) poke() {
	select {
	case j.changed <- struct{}{}:
	default:
	}
}

// writer puts writes in sequence: all go through the buffer, and from there to each
// server in the same order.
type writer struct {
	d      *Dispatcher
	buffer *Buffer
	boot   string
	state  stateFile

	mu      sync.Mutex
	jobs    map[string]*job
	refused map[string]map[*volume]groonga.Answer // by share: no server could take it, and these have not dropped it yet
	number  uint64
	stamp   int64      // of the last write
	seen    idSet      // writes of other gateways' clients that were done here
	pushing sync.Mutex // held while it is being made known who is behind
	saving  sync.Mutex // held while that is written down, so that the newest is the last
}

// write delivers a write: here, or by the gateway that puts them in sequence.
func (d *Dispatcher) write(ctx context.Context, ds *dataset, c *groonga.Command) (groonga.Answer, error) {
	if d.logged != nil {
		return d.logged.write(ctx, ds, c)
	}
	if d.cfg.Buffer == nil {
		return groonga.Answer{}, ErrNoBuffer
	}
	shares, err := ds.shares(c)
	if err != nil {
		return groonga.Answer{}, err
	}
	if !c.Forwarded {
		answer, done, err := d.peers.forward(ctx, &c)
		if done {
			return answer, err
		}
	}
	return d.writes.do(ctx, ds, c, shares)
}

// do records the shares of a write, has them delivered and waits for that.
func (w *writer) do(ctx context.Context, ds *dataset, c *groonga.Command, shares []share) (groonga.Answer, error) {
	if c.ID != "" {
		w.remember(c.ID)
	}
	if len(shares) == 0 { // a load of nothing still has an answer
		shares = ds.everywhere(c)[:1]
	}
	jobs := make([]*job, 0, len(shares))
	for _, s := range shares {
		w.awaitReplica(ctx, s)
		j, err := w.begin(ds, s)
		if err != nil {
			return groonga.Answer{}, err
		}
		jobs = append(jobs, j)
	}
	answers := make([]groonga.Answer, len(jobs))
	var failed error
	for i, j := range jobs {
		var err error
		if answers[i], err = w.wait(ctx, j); err != nil && failed == nil {
			failed = err
		}
	}
	if failed != nil {
		return groonga.Answer{}, failed
	}
	return combineWrites(c, shares, answers), nil
}

// replicaPoll is how often it is looked whether a replica is there again.
const replicaPoll = 5 * time.Millisecond

// awaitReplica gives a share that has no live and complete replica as long as a write may wait
// for one: an agent that was started anew lists itself alone until it has joined.
func (w *writer) awaitReplica(ctx context.Context, s share) {
	for begun := time.Now(); time.Since(begun) < w.d.cfg.WriteWait; {
		w.mu.Lock()
		able := w.able(s)
		w.mu.Unlock()
		if able {
			return
		}
		select {
		case <-time.After(replicaPoll):
		case <-ctx.Done():
			return
		case <-w.d.ctx.Done():
			return
		}
	}
}

// able reports whether a server of the share can take it now. The caller holds mu.
func (w *writer) able(s share) bool {
	return slices.ContainsFunc(s.volumes, func(v *volume) bool { return !v.behind && w.reachable(v) })
}

// begin records a share before anything is sent (the intent), for all its servers.
func (w *writer) begin(ds *dataset, s share) (*job, error) {
	j := &job{command: s.command, volumes: s.volumes, changed: make(chan struct{}, 1),
		answers: make(map[*volume]groonga.Answer), faulted: make(map[*volume]groonga.Answer)}
	w.mu.Lock()
	if !w.able(s) {
		w.mu.Unlock()
		return nil, ErrNoReplica
	}
	j.id = w.newID()
	w.stamp = max(w.stamp+1, time.Now().UnixNano())
	stamp := w.stamp
	w.jobs[j.id] = j
	w.mu.Unlock()
	e := entry{stamp: stamp, id: j.id, command: s.command.Clone()}
	e.command.Dataset = ds.name
	addrs := make([]string, len(s.volumes))
	for i, v := range s.volumes {
		addrs[i] = v.addr
	}
	ticket, err := w.buffer.Append(e.encode(), addrs...)
	if err != nil {
		w.end(j)
		return nil, err
	}
	w.mu.Lock()
	j.ticket = ticket
	w.mu.Unlock()
	for _, v := range s.volumes {
		w.wake(v)
	}
	return j, nil
}

// reachable reports whether a server can be given writes now.
func (w *writer) reachable(v *volume) bool { return v.listed.Load() && v.state() != down }

func (w *writer) end(j *job) {
	w.mu.Lock()
	delete(w.jobs, j.id)
	w.mu.Unlock()
}

// wait returns when a share may be acknowledged: a replica has it, and each other
// one has it too or is known to be behind.
func (w *writer) wait(ctx context.Context, j *job) (groonga.Answer, error) {
	start := time.Now()
	timer := time.NewTimer(w.d.cfg.WriteWait)
	defer timer.Stop()
	for {
		open, answer, got, first := w.look(j)
		if got && len(open) > 0 && time.Since(first) >= w.d.cfg.WriteWait {
			w.fallBehind(open)
			open = nil
		}
		if got && len(open) == 0 {
			w.end(j)
			if w.catchingUp(j) {
				time.Sleep(catchUpDelay)
			}
			return answer, nil
		}
		if !got && len(open) == 0 && time.Since(start) > unconfirmedAfter || time.Since(start) > w.d.cfg.WriteTimeout {
			w.end(j)
			return groonga.Answer{}, ErrUnconfirmed
		}
		timer.Reset(max(w.d.cfg.WriteWait-time.Since(first), time.Millisecond))
		if !got {
			timer.Reset(w.d.cfg.WriteWait)
		}
		select {
		case <-j.changed:
		case <-timer.C:
		case <-ctx.Done():
			w.end(j)
			return groonga.Answer{}, ctx.Err()
		case <-w.d.ctx.Done():
			w.end(j)
			return groonga.Answer{}, ErrStopped
		}
	}
}

// catchingUp reports whether one of a share's servers is there and lacks writes.
func (w *writer) catchingUp(j *job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range j.volumes {
		if v.behind && v.state() == up && v.listed.Load() {
			return true
		}
	}
	return false
}

// look finds how a share stands: open are the servers that do not have it and are
// not known to be behind. Those that cannot be reached now are made known to be.
func (w *writer) look(j *job) (open []*volume, answer groonga.Answer, got bool, first time.Time) {
	var gone []*volume
	w.mu.Lock()
	for _, v := range j.volumes {
		if a, ok := j.answers[v]; ok {
			if !got || a.Code == 0 && answer.Code != 0 {
				answer = a
			}
			got = true
			continue
		}
		switch {
		case v.behind && v.told:
		case v.behind || !w.reachable(v):
			gone = append(gone, v)
		default:
			open = append(open, v)
		}
	}
	first = j.first
	w.mu.Unlock()
	w.fallBehind(gone)
	return open, answer, got, first
}

// wake has a server's sender look for what there is to do.
func (w *writer) wake(v *volume) {
	select {
	case v.more <- struct{}{}:
	default:
	}
}

// away wakes all who wait for a server, because one cannot be given writes now.
func (w *writer) away() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, j := range w.jobs { // order-free: each is told
		j.poke()
	}
}

// sender delivers what waits for one server, in order, one write at a time.
func (w *writer) sender(v *volume) {
	pause := drainFirst
	for {
		wait := w.drain(v)
		var again <-chan time.Time
		if wait {
			again = time.After(pause)
			pause = min(2*pause, drainLimit)
		} else {
			pause = drainFirst
		}
		select {
		case <-w.d.ctx.Done():
			return
		case <-v.more:
		case <-again:
		}
	}
}

// drain delivers as long as it goes. again tells that it is to be tried soon although
// nobody may say so.
func (w *writer) drain(v *volume) (again bool) {
	for n := 0; w.d.ctx.Err() == nil; n++ {
		if !w.reachable(v) {
			return false
		}
		p, ok, err := w.buffer.Next(v.addr)
		if err != nil {
			if !errors.Is(err, ErrBufferClosed) {
				w.d.log.Error("writes for a server cannot be read", "volume", v.addr, "error", err)
				w.fallBehind([]*volume{v})
			}
			return true
		}
		if !ok {
			w.complete(v)
			return false
		}
		e, err := decodeEntry(p.Data)
		if err != nil {
			w.d.log.Error("write of no known form is left out", "volume", v.addr, "write", p.Seq, "error", err)
			_ = w.buffer.Delivered(v.addr, p.Ticket)
			continue
		}
		if w.notYet(v, e.stamp) {
			if n > 0 {
				w.d.start(w.d.peers.push) // now it may be another gateway's turn
			}
			return true
		}
		if !w.deliver(v, p.Ticket, e) {
			return true
		}
	}
	return false
}

// deliver sends one write. It is false if the server has to be tried again.
func (w *writer) deliver(v *volume, t Ticket, e *entry) bool {
	answer, dropped := w.drop(e.id, v)
	if dropped {
		return w.delivered(v, t, e, answer)
	}
	answer, err := w.send(v, e.command)
	if err != nil {
		if w.d.ctx.Err() == nil {
			w.d.failed(v, err)
			w.away()
		}
		return false
	}
	if hostFault(answer.Code) && !w.shared(e.id, v, answer) {
		w.fallBehind([]*volume{v})
		w.d.log.Warn("server could not take a write; it is tried again", "volume", v.addr, "command", e.command.Name, "code", answer.Code)
		return false
	}
	return w.delivered(v, t, e, answer)
}

// delivered marks a write as done with at one server.
func (w *writer) delivered(v *volume, t Ticket, e *entry, answer groonga.Answer) bool {
	v.delivered.Add(1)
	if err := w.buffer.Delivered(v.addr, t); err != nil {
		w.d.log.Warn("mark of a delivered write", "volume", v.addr, "error", err)
	}
	w.mu.Lock()
	v.head = 0
	w.mu.Unlock()
	w.settle(v, e, answer)
	return true
}

// settle gives the answer of a server to the one who waits, and compares it with
// those of the others.
func (w *writer) settle(v *volume, e *entry, answer groonga.Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[e.id]
	if j == nil {
		return
	}
	for _, o := range j.volumes {
		if other, ok := j.answers[o]; ok && !sameResult(other, answer) {
			v.mismatches.Add(1)
			w.d.log.Warn("replicas answer a write differently", "command", e.command.Name, "table", e.command.Get("table"),
				"volume", v.addr, "code", answer.Code, "other", o.addr, "otherCode", other.Code)
			break
		}
	}
	j.answers[v] = answer
	if j.first.IsZero() {
		j.first = time.Now()
	}
	j.poke()
}

// sameResult compares two answers to one write, without the times in them.
func sameResult(a, b groonga.Answer) bool {
	if a.Code != b.Code {
		return false
	}
	x, err1 := groonga.Result(a.Body)
	y, err2 := groonga.Result(b.Body)
	return err1 != nil || err2 != nil || a.Code != 0 || string(x) == string(y)
}

// shared reports whether every server of a share failed by a fault of its host: then
// that is the answer. Until each has, no server drops the write, since one that takes
// it makes it a write that all have to have.
func (w *writer) shared(id string, v *volume, answer groonga.Answer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[id]
	if j == nil {
		return false
	}
	j.faulted[v] = answer
	left := make(map[*volume]groonga.Answer)
	for _, o := range j.volumes {
		fault, ok := j.faulted[o]
		if _, answered := j.answers[o]; answered || !ok {
			return false
		}
		if o != v {
			left[o] = fault
		}
	}
	if len(left) > 0 {
		w.refused[id] = left
	}
	return true
}

// drop reports whether a server need not try a write again, because none could take
// it and its client was answered so.
func (w *writer) drop(id string, v *volume) (groonga.Answer, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	answer, ok := w.refused[id][v]
	if ok {
		delete(w.refused[id], v)
		if len(w.refused[id]) == 0 {
			delete(w.refused, id)
		}
	}
	return answer, ok
}

// hostFault reports whether a return code speaks of the server's machine and not of
// the command: I/O errors, no memory, no space, locks.
func hostFault(code int) bool {
	switch code {
	case -6, -10, -12, -13, -14, -16, -23, -24, -27, -29, -34, -35, -37, -53, -55:
		return true
	}
	return false
}

// send sends one command and waits for its answer, however long it takes: the
// watchdog has the server asked whether it is there if it is silent.
func (w *writer) send(v *volume, c *groonga.Command) (groonga.Answer, error) {
	a := &attempt{volume: v, start: time.Now()}
	v.begin(a)
	w.d.watch.begun()
	answer, reused, err := a.run(c, false)
	if err != nil && reused && !a.interrupted() {
		answer, _, err = a.run(c, true)
	}
	v.end(a)
	if err == nil {
		v.lastAnswer.Store(int64(time.Since(w.d.epoch)))
		v.answers.Add(1)
		if v.state() == late {
			v.setState(up, time.Now(), "")
		}
	}
	return answer, err
}
