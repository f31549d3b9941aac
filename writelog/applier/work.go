package applier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// HostFault reports whether a return code speaks of the server's machine and not of the
// command: I/O errors, no memory, no space, locks.
func HostFault(code int) bool {
	switch code {
	case -6, -10, -12, -13, -14, -16, -23, -24, -27, -29, -34, -35, -37, -53, -55:
		return true
	}
	return false
}

// answered handles the answer to a task.
func (s *session) answered(r result) error {
	t := r.task
	if t.items[0].Command.Name == pauses {
		r.answer = s.pause(t.items[0])
	}
	if HostFault(r.answer.Code) && !s.accept(t, r.answer) {
		s.later(t, r)
		return nil
	}
	if len(t.items) > 1 {
		answers := t.batch.answers(r.answer)
		if answers == nil {
			s.unsettle(t)
			return nil
		}
		for i, it := range t.items {
			s.done(it, answers[i])
		}
		s.finish(t)
		return nil
	}
	if err := s.learn(t, r); err != nil {
		return err
	}
	s.done(t.items[0], r.answer)
	if err := s.found(t.items[0].Command); err != nil {
		return err
	}
	if t.class == blind {
		s.finish(t)
		return nil
	}
	t.step = after
	t.needs = s.await(t)
	return nil
}

func (s *session) accept(t *task, a groonga.Answer) bool {
	it := t.items[0]
	if question(it.Command) {
		return true // nobody is to wait for it to be asked again
	}
	return s.cfg.Accept != nil && len(t.items) == 1 && s.cfg.Accept(it.Index, a, it.tries+1)
}

// later has a task's entries be tried again, after a pause. Those of their group wait behind them.
func (s *session) later(t *task, r result) {
	for _, it := range t.items {
		pause := s.cfg.RetryMax
		if it.tries < 16 {
			pause = min(pause, s.cfg.RetryMin<<it.tries)
		}
		it.tries++
		it.running, it.single, it.after = false, it.single || it.tries > 2, time.Now().Add(pause)
	}
	if t.slot >= 0 {
		s.intents[t.items[0].Index] = &opened{*r.again, t.slot}
	}
	s.ended(t)
	s.cfg.Events.State(Up, fmt.Sprintf("entry %d (%s) is tried again: the server answers %d", t.items[0].Index, t.items[0].Command.Name, r.answer.Code))
}

// unsettle has loads that failed together be done again one by one.
func (s *session) unsettle(t *task) {
	for _, it := range t.items {
		it.running, it.single, it.settles = false, true, true
	}
	s.running--
	if s.unsettled == 0 {
		s.cfg.Events.State(Unsettled, fmt.Sprintf("loads into %s are done again one by one", t.items[0].Command.Get("table")))
	}
	s.unsettled += len(t.items)
}

// done notes that an entry is applied.
func (s *session) done(it *item, a groonga.Answer) {
	it.applied = true
	s.applied++
	s.cfg.Events.Applied(it.Index, a)
	if it.settles {
		it.settles = false
		if s.unsettled--; s.unsettled == 0 {
			s.cfg.Events.State(Up, "")
		}
	}
}

// finish takes a task's entries out of the queue: their group goes on.
func (s *session) finish(t *task) {
	s.queue.remove(t.items)
	s.ended(t)
	if t.slot >= 0 {
		delete(s.intents, t.items[0].Index)
		delete(s.slots, t.slot)
	}
	s.advanced()
}

// ended notes that a task does not run any more.
func (s *session) ended(t *task) {
	s.running--
	if t.class != blind {
		s.unrepeatable--
	}
}

// learn notes what a schema command has changed.
func (s *session) learn(t *task, r result) error {
	if r.dump != nil {
		tables, groups, err := learn(r.dump)
		if err != nil {
			return err
		}
		s.tables = tables
		s.queue.relearn(groups)
	} else if r.answer.Code == 0 {
		s.tables.done(t.items[0].Command)
	}
	return nil
}

// perform does what a task is, beside the loop.
func (s *session) perform(ctx context.Context, t *task, open *opened, doubtful bool) (r result) {
	it := t.items[0]
	switch {
	case t.batch != nil:
		r.answer, r.err = s.server.Do(ctx, t.batch.command())
		return r
	case it.Command.Name == differs, it.Command.Name == pauses:
		return result{answer: doneAnswer(0)} // what follows from it comes after that
	case t.class == blind:
		r.answer, r.err = s.server.Do(ctx, it.Command)
		return r
	case open != nil:
		r = s.resolve(ctx, t, &open.intent)
	case doubtful && !t.class.schema():
		r.err = s.suspect(t, "was perhaps done before the host was booted")
	default:
		r = s.intend(ctx, t)
	}
	if r.err == nil && it.reach.all && t.class >= once && it.Command.Name != "load" {
		r.dump, r.err = s.ask(ctx, "dump", "dump_records", "no")
	}
	return r
}

// suspect is the fault of an entry of which nobody can tell what was done.
func (s *session) suspect(t *task, why string) error {
	c := t.items[0].Command
	what := c.Name
	for _, arg := range []string{"table", "name", "target_name"} {
		if v := c.Get(arg); v != "" {
			what += " " + v
		}
	}
	return fmt.Errorf("%w: entry %d (%.100s) %s", ErrSuspect, t.items[0].Index, what, why)
}

// intend writes the intent down, and does the command.
func (s *session) intend(ctx context.Context, t *task) (r result) {
	i, err := s.evidence(ctx, t)
	if err != nil {
		return result{err: err}
	}
	if err := s.set(ctx, fmt.Sprint(keyIntent, t.slot), sealed(i.Index, i.encode())); err != nil {
		return result{err: err}
	}
	if t.class.schema() {
		if err := s.sync(ctx); err != nil {
			return result{err: flushFault(err)}
		}
	}
	return s.execute(ctx, t, i, t.items[0].Command)
}

// execute does a command whose intent stands.
func (s *session) execute(ctx context.Context, t *task, i *intent, c *groonga.Command) (r result) {
	if t.class >= once {
		i.Sent = true
		if r.err = s.set(ctx, fmt.Sprint(keyIntent, t.slot), sealed(i.Index, i.encode())); r.err != nil {
			return r
		}
	}
	dense, err := s.loosen(ctx, t)
	if err != nil {
		return result{err: err}
	}
	r.answer, r.err = s.server.Do(ctx, c)
	r.again = i
	if r.err == nil && r.answer.Code == 0 {
		r.err = s.tighten(ctx, c, dense)
	}
	if t.class >= once && r.err == nil && !HostFault(r.answer.Code) {
		// The position that says so is written later: what is known must not be forgotten before.
		i.Done, i.Code = true, r.answer.Code
		r.err = s.set(ctx, fmt.Sprint(keyIntent, t.slot), sealed(i.Index, i.encode()))
	}
	return r
}

// evidence asks the database what there is before a command.
func (s *session) evidence(ctx context.Context, t *task) (*intent, error) {
	c := t.items[0].Command
	i := &intent{Index: t.items[0].Index, Sum: sum(c), Boot: s.cfg.Boot}
	switch {
	case t.class == count:
		return i, s.counted(ctx, c.Get("table"), i)
	case t.class >= once:
		started, up, err := s.started(ctx)
		if err != nil {
			return nil, err
		}
		if up > 0 {
			i.Started = started // else the next one may say the same
		}
		o, err := s.objects(ctx)
		if err != nil {
			return nil, err
		}
		here, there := named(c)
		i.Here, i.There = o.shape(here), o.shape(there)
	}
	return i, nil
}

// counted notes how many records a table without keys has.
func (s *session) counted(ctx context.Context, table string, i *intent) error {
	n, err := s.records(ctx, table)
	if fault := (*answered)(nil); errors.As(err, &fault) {
		return nil // the server will not take the load either
	} else if err != nil {
		return err
	}
	dense, err := s.dense(ctx, table)
	i.Records, i.Dense = n, dense != ""
	if !s.young {
		i.Started = s.process
	}
	return err
}

// resolve finds out what a command left that was perhaps begun, and brings it to its end.
func (s *session) resolve(ctx context.Context, t *task, i *intent) result {
	c := t.items[0].Command
	switch {
	case i.Sum != sum(c):
		return result{err: s.suspect(t, "is not the command that its intent in the database is about")}
	case !t.class.schema() && i.Boot != s.cfg.Boot:
		return result{err: s.suspect(t, "was under way when the host ended")}
	case t.class == count:
		return s.resolveCount(ctx, t, i)
	case t.class == again:
		return s.execute(ctx, t, i, c)
	}
	o, err := s.objects(ctx)
	if err != nil {
		return result{err: err}
	}
	started, _, err := s.started(ctx)
	if err != nil {
		return result{err: err}
	}
	here, there := named(c)
	switch i.judge(t.class, o.shape(here), o.shape(there), s.cfg.Boot, started) {
	case redo:
		return s.execute(ctx, t, i, c)
	case done:
		return result{answer: doneAnswer(i.Code), again: i}
	}
	return result{err: s.suspect(t, "was under way when the server ended, or cannot be told to be done or not")}
}

// resolveCount goes on with a load into a table without keys.
func (s *session) resolveCount(ctx context.Context, t *task, i *intent) (r result) {
	c := t.items[0].Command
	rows, err := readRows(c)
	if err != nil {
		return result{err: err}
	}
	now, err := s.records(ctx, c.Get("table"))
	if err != nil {
		return result{err: err}
	}
	in, mend, v := i.rest(len(rows.Rows), now, s.process)
	switch {
	case v == undecided:
		return result{err: s.suspect(t, fmt.Sprintf("was under way at a crash; there were %d records, and there are %d after a load of %d", i.Records, now, len(rows.Rows)))}
	case in == 0:
		return s.execute(ctx, t, i, c)
	}
	r = result{again: i, answer: (&groonga.LoadResult{Status: 200}).Answer(c.Form())}
	if mend {
		again, err := rows.mend(c, in-1, now)
		if err != nil {
			return result{err: err}
		}
		if r.answer, r.err = s.server.Do(ctx, again); r.err != nil || r.answer.Code != 0 && HostFault(r.answer.Code) {
			return r
		}
	}
	fault := r.answer
	if in < len(rows.Rows) {
		if r.answer, r.err = s.server.Do(ctx, rows.Command(c, rows.Rows[in:])); r.err != nil {
			return r
		}
	}
	if r.answer.Code == 0 && fault.Code != 0 {
		r.answer = fault
	}
	r.answer = loaded(c, r.answer, len(rows.Rows))
	return r
}

// doneAnswer is the answer to a command of which the database says that it was done, and nobody has
// the server's own answer.
func doneAnswer(code int) groonga.Answer {
	return groonga.Answer{Status: 200, ContentType: groonga.JSONType, Code: code, Body: fmt.Appendf(nil, "[[%d,0.0,0.0],%t]", code, code == 0)}
}

// flushFault is what a failed io_flush means: what was not written is lost, and no later one brings it back.
func flushFault(err error) error {
	if fault := (*answered)(nil); errors.As(err, &fault) {
		return fmt.Errorf("%w: it could not be written to the disk: %v", ErrSuspect, err)
	}
	return err
}

// writePosition writes what is applied into the database, if it still is the same one.
func (s *session) writePosition(ctx context.Context, at Position, number uint64) error {
	nonce, err := s.get(ctx, KeyNonce)
	if err != nil {
		return err
	}
	if nonce != s.base.Nonce {
		return errors.New("the server has another database than before")
	}
	return s.put(ctx, keyPosition, number, at.Encode())
}

// writeDurable forces to the disk what is applied, and then the position that says so.
func (s *session) writeDurable(ctx context.Context, at Position, number uint64) error {
	if err := s.syncAll(ctx); err != nil {
		return flushFault(err)
	}
	if err := s.put(ctx, keyDurable, number, at.Encode()); err != nil {
		return err
	}
	return flushFault(s.sync(ctx))
}

// markSuspect leaves the reason in the database, so that the next start knows it.
func (s *session) markSuspect(ctx context.Context, why error) {
	if !s.began {
		return // whoever begins again finds it again
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := s.set(ctx, keySuspect, fmt.Sprintf("%.1000s", why)); err == nil {
		_ = s.sync(ctx) // the fault stands whether or not it is on the disk
	}
}
