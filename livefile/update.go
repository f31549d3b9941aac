package livefile

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/ibuki-dev/ibuki/atomicfile"
	"github.com/ibuki-dev/ibuki/live"
)

// Clocks are a cluster's Lamport clocks of user events and queries: each is above
// every time it has seen. 0: not known.
type Clocks struct{ Event, Query uint64 }

// Cluster is what an agent says of its cluster.
type Cluster struct {
	// Entries are all members. Where Since is zero, it is what the file said, or now.
	Entries []live.Entry
	// View is all members in place of Entries, from somebody who knows all of it.
	View   *live.View
	Clocks Clocks
}

// Result is what an update came to.
type Result struct {
	Changed  bool       // the file was written
	View     *live.View // the list, all nodes, with those Excluded that are
	Excluded []string   // the names that are taken out, also of unknown nodes; sorted
}

// Update follows the order and writes the list, if it is another than the file's.
//
// Any number of processes may do so at once. Each asks only when it has the lock, so
// that who writes later knows what is newer; who is killed half-way leaves the
// file as it was. ctx bounds the wait for the lock, and ask. With an error there may be a
// result all the same, if the list itself could be written.
func (t *Target) Update(ctx context.Context, order Order, ask func(context.Context) (Cluster, error)) (Result, error) {
	return t.update(ctx, order, ask, t.Render)
}

func (t *Target) update(ctx context.Context, order Order, ask func(context.Context) (Cluster, error),
	render func(*live.View) ([]byte, error)) (Result, error) {
	unlock, err := lock(ctx, t.Path)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	cluster, err := ask(ctx)
	if err != nil {
		return Result{}, err
	}
	atomicfile.Clean(t.Path)
	atomicfile.Clean(excludedPath(t.Path))
	now := time.Now()
	x, orderErr := t.follow(now, &order, cluster.Clocks)
	view := cluster.View
	if view == nil {
		t.fillSince(now, cluster.Entries)
		var list live.List
		view = list.Load(now, cluster.Entries)
	}
	r := Result{View: x.on(view), Excluded: x.names()}
	text, err := render(r.View)
	if err == nil {
		r.Changed, err = replace(t.Path, text)
	}
	return r, errors.Join(orderErr, err)
}

// follow follows an order and returns who is excluded then. With an error the list
// can still be written: one without what was ordered is better than an old one.
func (t *Target) follow(now time.Time, order *Order, clocks Clocks) (exclusions, error) {
	x, err := readExclusions(t.Path)
	if err != nil {
		return nil, err // and what is in the file stays for whoever broke it
	}
	if x.apply(now, order, clocks) {
		err = x.write(t.Path)
	}
	return x, err
}

// fillSince takes from the file since when things are as they are, where the agent
// does not say it: Serf's does not. Formats that cannot be read have no such times,
// or else they would change each time.
func (t *Target) fillSince(now time.Time, entries []live.Entry) {
	switch t.Format {
	case "", live.FormatLiveNodes, live.FormatAllNodes:
	default:
		return
	}
	var was map[string]live.Entry
	for i := range entries {
		e := &entries[i]
		if !e.Since.IsZero() {
			continue
		}
		if was == nil {
			was = t.inFile()
		}
		e.Since = now
		if old, ok := was[e.Name]; ok && old.Status == e.Status && !old.Since.IsZero() {
			e.Since = old.Since
		}
	}
}

// inFile is the list as the file has it; empty if there is none that is good.
func (t *Target) inFile() map[string]live.Entry {
	was := make(map[string]live.Entry)
	text, _, err := read(t.Path, nil)
	if err != nil {
		return was
	}
	entries, _ := live.Parse(text)
	for _, e := range entries {
		was[e.Name] = e
	}
	return was
}

// AnswerMax is how long an answer to a query may be by default, in bytes: Serf's
// limit is 1024, and the answer's own header has to fit in too.
const AnswerMax = 896

// answer is what a query about the list is answered with.
type answer struct {
	Nodes    int      `json:"nodes"` // all that are known
	NumAlive int      `json:"num_alive"`
	Alive    []string `json:"alive"`
	Excluded []string `json:"excluded"`
	Cut      bool     `json:"cut,omitempty"` // not all names fit in
}

// Answer is the list as a line of JSON of at most limit bytes; names that do not fit
// in are left out, and it says so.
func (r *Result) Answer(limit int) []byte {
	a := answer{Alive: []string{}, Excluded: r.Excluded}
	if r.View != nil {
		a.Nodes, a.NumAlive = r.View.Len(), r.View.NumAlive()
		for e := range r.View.Alive() {
			a.Alive = append(a.Alive, e.Name)
		}
	}
	for {
		text, err := json.Marshal(&a)
		if err != nil || len(text) <= limit {
			return text
		}
		a.Cut = true
		switch n := len(a.Alive); {
		case n > 0:
			a.Alive = a.Alive[:n*9/10]
		case len(a.Excluded) > 0:
			a.Excluded = a.Excluded[:len(a.Excluded)*9/10]
		default:
			return text
		}
	}
}
