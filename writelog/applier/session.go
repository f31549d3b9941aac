package applier

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// session is what an applier does between two fences: one loop that decides, and a goroutine for each command
// that is under way.
type session struct {
	*Applier
	asker

	queue   *queue
	tables  tables
	base    Position // who we are, for each position that is written
	process string   // when the server was started
	young   bool     // and that was within the last second: another one may say the same
	doubt   uint64   // entries up to here may have been done before the host was booted

	running      int
	unrepeatable int     // of these, what may not be done twice
	held         *Hold   // nothing of the latter is begun
	ready        []*task // the positions that they waited for are written
	results      chan result
	waiting      sync.WaitGroup

	intents map[uint64]*opened // begun before this session, by index
	slots   map[int]bool       // numbers of intents that are in use

	applied   int // entries, in this session
	began     bool
	unsettled int // entries of loads that failed together and are not done yet
	prefix    uint64
	save      writing // the position
	flush     writing // the durable position
}

// opened is an intent whose command may have been begun.
type opened struct {
	intent intent
	slot   int
}

// writing is how one of the positions stands: which entries it has, and who waits for it.
type writing struct {
	number  uint64 // of the last one, of all sessions
	busy    bool
	taken   int // how many entries were applied when the one that is written now was taken
	has     int // the same of the last one that was written
	last    time.Time
	waiting []*task
	current []*task
}

// task is work under way, through its steps.
type task struct {
	work
	class class
	slot  int
	step  step
	needs int // positions that it still waits for
}

type step uint8

const (
	before step = iota // until the position says what came before it
	doing
	after // until the position says that it is done
)

// result is what came of something that ran beside the loop.
type result struct {
	task   *task // nil for a position
	save   bool
	flush  bool
	at     Position
	answer groonga.Answer
	again  *intent // the server could not do it: this stands
	dump   []byte  // the schema after a command of which nobody knows what it changed
	err    error
}

func (s *session) run(ctx context.Context) error {
	s.asker = asker{s.cfg.Server}
	s.results = make(chan result)
	s.intents, s.slots = make(map[uint64]*opened), make(map[int]bool)
	ctx, cancel := context.WithCancel(ctx)
	defer s.endHold()
	defer s.waiting.Wait()
	defer cancel()
	why, err := s.start(ctx)
	if err != nil {
		return err
	}
	s.began = true
	s.cfg.Events.State(Up, why)
	s.cfg.Events.Prefix(s.queue.prefix)
	s.prefix = s.queue.prefix
	return s.loop(ctx)
}

// start fences the server, judges its position and learns its tables.
func (s *session) start(ctx context.Context) (why string, err error) {
	f, dump, err := s.fence(ctx)
	if err != nil {
		return "", err
	}
	l := &logState{cluster: s.cfg.Cluster, epoch: s.cfg.Epoch, began: s.cfg.EpochBegan, boot: s.cfg.Boot, term: s.cfg.Source.Term, last: s.cfg.Source.Last(), since: s.cfg.Since, founding: s.cfg.Founding, partial: s.cfg.Partial}
	l.first, l.begins = s.cfg.Source.First()
	b, err := f.judge(l)
	if err != nil {
		return "", err
	}
	p := b.position
	s.base = Position{Cluster: s.cfg.Cluster, Epoch: s.cfg.Epoch, Boot: s.cfg.Boot, Nonce: f.nonce}
	if f.nonce == "" {
		s.base.Nonce = s.cfg.Nonce
		if err := s.set(ctx, KeyNonce, s.base.Nonce); err != nil {
			return "", err
		}
	}
	s.doubt = p.Doubt
	if err := s.set(ctx, keyServer, s.process); err != nil {
		return "", err
	}
	var groups *groups
	if s.tables, groups, err = learn(dump); err != nil {
		return "", err
	}
	if err := s.readIntents(ctx, dump, &p); err != nil {
		return "", err
	}
	s.queue = newQueue(groups, p)
	if b.fresh {
		s.flush.number++
		if err := s.writeDurable(ctx, s.position(), s.flush.number); err != nil {
			return "", err
		}
	}
	// From now on an empty one is not what the log begins with.
	s.cfg.Founding, s.cfg.Partial = false, s.cfg.Partial || b.why == AsItWas
	s.save.number++
	return b.why, s.writePosition(ctx, s.current(p), s.save.number)
}

// current is a position of the log with what this session adds to it.
func (s *session) current(p Position) Position {
	p.Cluster, p.Epoch, p.Boot, p.Nonce, p.Doubt = s.base.Cluster, s.base.Epoch, s.base.Boot, s.base.Nonce, 0
	if s.doubt > p.Index {
		p.Doubt = s.doubt
	}
	return p
}

func (s *session) position() Position {
	p := s.current(s.queue.position())
	p.fit()
	return p
}

func (s *session) loop(ctx context.Context) error {
	s.flush.last = time.Now()
	s.flush.has = -1 // what sessions before have applied may not be on the disk
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := s.fill(); err != nil {
			return err
		}
		for _, t := range s.ready {
			s.do(ctx, t)
		}
		s.ready = nil
		s.holding()
		wake := s.begin(ctx)
		s.positions(ctx)
		timer.Reset(max(0, s.due(wake)))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case why := <-s.again:
			return errors.New(why)
		case h := <-s.holds:
			s.hold(h)
		case <-s.more:
		case <-timer.C:
		case r := <-s.results:
			if err := s.take(r); err != nil {
				return err
			}
		}
	}
}

// fill reads entries as long as there are some and there is room.
func (s *session) fill() error {
	for !s.queue.full(s.cfg.MaxEntries, s.cfg.MaxBytes) {
		fed, fits, committed := s.Applier.take(s.queue.read)
		if fits {
			s.queue.push(max(committed, s.queue.read), fed...)
			break
		}
		if committed <= s.queue.read {
			break
		}
		entries, upTo, err := s.cfg.Source.Entries(s.queue.read, s.cfg.MaxBytes/4)
		if errors.Is(err, ErrCompacted) {
			return fmt.Errorf("%w: it has come to entry %d: %v", ErrSuspect, s.queue.read, err)
		} else if err != nil {
			return fmt.Errorf("log: %w", err)
		}
		if upTo <= s.queue.read {
			break
		}
		s.queue.push(upTo, entries...)
	}
	s.advanced()
	return nil
}

// advanced says how far the prefix has come.
func (s *session) advanced() {
	if s.queue.prefix > s.prefix {
		s.prefix = s.queue.prefix
		s.cfg.Events.Prefix(s.prefix)
	}
}

// begin starts what may be done now.
func (s *session) begin(ctx context.Context) (wake time.Time) {
	now := time.Now()
	list, wake := s.queue.next(s.tables, now, s.cfg.Parallel-s.running)
	s.heldUp(now)
	for _, w := range list {
		t := &task{work: *w, slot: -1}
		s.running++
		if w.batch == nil {
			t.class = s.tables.class(w.items[0].Command)
		}
		if t.class != blind {
			s.unrepeatable++
			t.slot = s.slot(w.items[0].Index)
			t.needs = s.await(t)
		}
		if t.needs == 0 {
			s.do(ctx, t)
		}
	}
	return wake
}

// slot finds a number for an intent: the one that it has, or a new one.
func (s *session) slot(index uint64) int {
	if o := s.intents[index]; o != nil {
		return o.slot
	}
	n := 0
	for s.slots[n] {
		n++
	}
	s.slots[n] = true
	return n
}

// await has a task wait for the positions that it needs, if they do not have all that was applied.
func (s *session) await(t *task) (needs int) {
	if s.save.has < s.applied {
		s.save.waiting = append(s.save.waiting, t)
		needs++
	}
	if t.class.schema() && s.flush.has < s.applied {
		s.flush.waiting = append(s.flush.waiting, t)
		needs++
	}
	return needs
}

// do runs a task's commands beside the loop.
func (s *session) do(ctx context.Context, t *task) {
	t.step = doing
	open := s.intents[t.items[0].Index]
	doubtful := open == nil && t.items[0].Index <= s.doubt
	s.spawn(ctx, func() result {
		r := s.perform(ctx, t, open, doubtful)
		r.task = t
		return r
	})
}

// spawn runs f beside the loop, which hears its result unless it has ended.
func (s *session) spawn(ctx context.Context, f func() result) {
	s.waiting.Go(func() {
		r := f()
		select {
		case s.results <- r:
		case <-ctx.Done():
		}
	})
}

// positions writes those that somebody waits for or whose time has come.
func (s *session) positions(ctx context.Context) {
	now := time.Now()
	if w := &s.save; !w.busy && (len(w.waiting) > 0 || w.has < s.applied && now.Sub(w.last) >= s.cfg.SaveEvery) {
		w.begin(s.applied, now)
		at, number := s.position(), w.number
		s.spawn(ctx, func() result { return result{save: true, at: at, err: s.writePosition(ctx, at, number)} })
	}
	if w := &s.flush; !w.busy && (len(w.waiting) > 0 || w.has < s.applied && now.Sub(w.last) >= s.cfg.FlushEvery) {
		w.begin(s.applied, now)
		at, number := s.position(), w.number
		s.spawn(ctx, func() result { return result{flush: true, at: at, err: s.writeDurable(ctx, at, number)} })
	}
}

func (w *writing) begin(applied int, now time.Time) {
	w.number++
	w.busy, w.taken, w.last = true, applied, now
	w.current, w.waiting = w.waiting, nil
}

// due is how long the loop may wait.
func (s *session) due(wake time.Time) time.Duration {
	now, least := time.Now(), time.Hour
	if !wake.IsZero() {
		least = min(least, wake.Sub(now))
	}
	if !s.save.busy && s.save.has < s.applied {
		least = min(least, s.save.last.Add(s.cfg.SaveEvery).Sub(now))
	}
	if !s.flush.busy && s.flush.has < s.applied {
		least = min(least, s.flush.last.Add(s.cfg.FlushEvery).Sub(now))
	}
	return least
}

// take handles a result.
func (s *session) take(r result) error {
	switch {
	case r.err != nil:
		return r.err
	case r.save:
		s.written(&s.save, &r.at)
		return nil
	case r.flush:
		durable := r.at.Index
		if h := s.held; h != nil && h.given {
			durable = min(durable, h.Position.Index) // the log is kept from there on
		}
		s.cfg.Events.Durable(durable)
		s.written(&s.flush, &r.at)
		return nil
	}
	return s.answered(r)
}

// written has those go on who waited for a position.
func (s *session) written(w *writing, at *Position) {
	w.busy, w.has = false, w.taken
	ready := w.current
	w.current = nil
	for _, t := range ready {
		if t.step == after && !at.Covers(t.items[0].Index) {
			w.waiting = append(w.waiting, t) // it did not fit
			continue
		}
		if t.needs--; t.needs > 0 {
			continue
		}
		if t.step == before {
			s.ready = append(s.ready, t)
		} else {
			s.finish(t)
		}
	}
}
