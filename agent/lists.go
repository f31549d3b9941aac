package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/livefile"
	"github.com/ibuki-dev/ibuki/printable"
	"github.com/ibuki-dev/ibuki/serf"
)

func (c *Config) validateLists() (faults []error) {
	paths := make(map[string]bool)
	for i := range c.LiveNodes {
		t := &c.LiveNodes[i]
		if err := t.Validate(); err != nil {
			faults = append(faults, fmt.Errorf("live-node list %s: %w", t.Path, OneLineError(err)))
		}
		dir := filepath.Dir(t.Path)
		if info, err := os.Stat(dir); t.Path != "" && (err != nil || !info.IsDir()) {
			faults = append(faults, fmt.Errorf("live-node list %s: there is no directory %s", t.Path, dir))
		}
		if paths[t.Path] {
			faults = append(faults, fmt.Errorf("live-node list %s is named twice", t.Path))
		}
		paths[t.Path] = true
	}
	return faults
}

// keepLists begins to write the files of the live-node list. They are written beside
// the loop, which only puts orders into a queue that may be full.
func (a *Agent) keepLists() {
	if len(a.cfg.LiveNodes) == 0 {
		return
	}
	a.lists = livefile.Keep(a.ctx, livefile.KeeperConfig{
		List: &a.list, Targets: a.cfg.LiveNodes, Clocks: a.listClocks, Report: a.reportList, Remark: a.remarkList,
	})
	a.wg.Go(a.lists.Wait)
}

// listClocks are the clocks by which orders are dated.
func (a *Agent) listClocks(ctx context.Context) livefile.Clocks {
	var s serf.Stats
	if a.do(ctx, func(time.Time) { s = a.machine.Stats() }) != nil {
		return livefile.Clocks{}
	}
	return livefile.Clocks{Event: uint64(s.EventTime), Query: uint64(s.QueryTime)}
}

func (a *Agent) reportList(t *livefile.Target, fault error) {
	k := troubleKey{kind: "list", what: t.Path}
	if fault == nil {
		a.faults.ledger.over(k)
		a.logger.Info(fmt.Sprintf("agent: live-node list %s can be written again", t.Path))
		return
	}
	a.faults.ledger.add(time.Now(), k, fault.Error())
	a.logger.Error(fmt.Sprintf("agent: live-node list %s: %s", t.Path, fault))
}

func (a *Agent) remarkList(t *livefile.Target, r live.Remark) {
	a.logger.Warn(fmt.Sprintf("agent: live-node list %s: %s is %s", t.Path, printable.Line(r.Node), r.Text))
}

// orderLists follows user events and queries that are about the files. The loop
// calls it; it does not wait. It reports whether they will answer.
func (a *Agent) orderLists(e *serf.Event) bool {
	if a.lists == nil || e.Type != serf.EventUser && e.Type != serf.EventQuery {
		return false
	}
	order, ok, err := livefile.ParseOrder(e.Name, e.Payload)
	if !ok {
		return false
	}
	order.LTime = uint64(e.LTime)
	order.Clock = livefile.EventClock
	if err != nil {
		a.logger.Warn("agent: " + printable.Line(err.Error()))
	}
	var done func(livefile.Result, error)
	if e.Type == serf.EventQuery {
		order.Clock = livefile.QueryClock
		id := e.Query
		done = func(r livefile.Result, updateErr error) { a.answerList(id, r, errors.Join(err, updateErr)) }
	}
	if !a.lists.Order(order, done) {
		a.logger.Warn(fmt.Sprintf("agent: live-node lists do not keep up: '%s' is dropped", printable.Line(e.Name)))
		return false
	}
	return e.Type == serf.EventQuery
}

// answerList answers a query about the list with what it is now.
func (a *Agent) answerList(id serf.QueryID, r livefile.Result, err error) {
	limit := livefile.AnswerMax
	if own := a.cfg.QueryResponseSizeLimit; own > 0 {
		limit = max(own-(1024-livefile.AnswerMax), 0)
	}
	text, outcome := r.Answer(limit), serf.Outcome{Known: true}
	if err != nil {
		outcome.Exit = 1
		text, _ = json.Marshal(map[string]string{"error": err.Error()}) // of strings: does not fail
	}
	if err := a.respondToQuery(id, text, outcome); err != nil && !errors.Is(err, ErrStopped) {
		a.logger.Warn("agent: failed to answer for the live-node list", "err", err)
	}
}
