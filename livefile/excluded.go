package livefile

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/live"
)

// exclusions are the nodes that operators have taken out of a list, by name, and
// those that they have put back, so that an old order is known as such. They are
// kept beside the list, in FILE.excluded.
type exclusions map[string]*exclusion

type exclusion struct {
	Excluded bool      `json:"excluded"`
	Since    time.Time `json:"since"`
	// The Lamport times of the last orders; 0: none.
	EventTime uint64 `json:"event_ltime,omitempty"`
	QueryTime uint64 `json:"query_ltime,omitempty"`
}

const (
	// maxExclusions is how many names are remembered. What was put back longest
	// ago is forgotten first.
	maxExclusions = 10_000
	// maxExclusionsFile bounds the file, in bytes.
	maxExclusionsFile = 16 << 20
)

func excludedPath(list string) string { return list + ".excluded" }

// readExclusions returns none if there is no file.
func readExclusions(list string) (exclusions, error) {
	x := make(exclusions)
	path := excludedPath(list)
	text, info, err := read(path, nil)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return x, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case info.Size() > maxExclusionsFile:
		return nil, fmt.Errorf("%s: %w", path, live.ErrTooLarge)
	}
	if err := json.Unmarshal(text, &x); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for name, e := range x { // order-free: each for itself
		if e == nil {
			delete(x, name)
		}
	}
	return x, nil
}

// apply follows an order and reports whether that changed anything. clocks are
// what the cluster's clocks say now.
func (x exclusions) apply(now time.Time, o *Order, clocks Clocks) (changed bool) {
	changed = x.forgetTimes(clocks)
	o.names(func(node string, exclude bool) {
		e := x[node]
		if e == nil {
			e = &exclusion{}
		}
		last := e.last(o.Clock)
		if last != nil && o.LTime <= *last {
			return
		}
		if last != nil {
			*last = o.LTime
		}
		if e.Excluded != exclude || e.Since.IsZero() {
			e.Excluded, e.Since = exclude, now.UTC()
		}
		x[node] = e
		changed = true
	})
	if changed {
		x.bound()
	}
	return changed
}

// last is the time of the last order by that clock.
func (e *exclusion) last(c Clock) *uint64 {
	switch c {
	case EventClock:
		return &e.EventTime
	case QueryClock:
		return &e.QueryTime
	}
	return nil
}

// forgetTimes forgets times that the clocks have not reached: the whole cluster was
// started anew, and they begin again.
func (x exclusions) forgetTimes(clocks Clocks) (changed bool) {
	for _, e := range x { // order-free: each for itself
		if clocks.Event != 0 && e.EventTime >= clocks.Event {
			e.EventTime, changed = 0, true
		}
		if clocks.Query != 0 && e.QueryTime >= clocks.Query {
			e.QueryTime, changed = 0, true
		}
	}
	return changed
}

// bound forgets the oldest of those that were put back if there are too many.
func (x exclusions) bound() {
	over := len(x) - maxExclusions
	if over <= 0 {
		return
	}
	names := slices.SortedFunc(maps.Keys(x), func(a, b string) int {
		ea, eb := x[a], x[b]
		if ea.Excluded != eb.Excluded {
			if eb.Excluded {
				return -1
			}
			return 1
		}
		return cmp.Or(ea.Since.Compare(eb.Since), cmp.Compare(a, b))
	})
	for _, name := range names[:over] {
		delete(x, name)
	}
}

// write puts them beside the list.
func (x exclusions) write(list string) error {
	text, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return err
	}
	_, err = replace(excludedPath(list), append(text, '\n'))
	return err
}

// on is the view with the excluded marked. If nobody who is alive would be left, they
// stay: a list without a node helps nobody, and readers do not believe it.
func (x exclusions) on(view *live.View) *live.View {
	left := view.NumAlive()
	var out []live.Entry
	for _, name := range x.names() {
		e := view.Get(name)
		if e == nil {
			continue
		}
		if e.Status == live.Alive {
			left--
		}
		excluded := *e
		excluded.Status, excluded.Since = live.Excluded, x[name].Since
		out = append(out, excluded)
	}
	if len(out) == 0 || left == 0 && view.NumAlive() > 0 {
		return view
	}
	return view.With(out...)
}

// names are those that are excluded, sorted.
func (x exclusions) names() []string {
	all := []string{}
	for _, name := range slices.Sorted(maps.Keys(x)) {
		if x[name].Excluded {
			all = append(all, name)
		}
	}
	return all
}
