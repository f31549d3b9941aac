package handler

import (
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/serf"
)

// OneOf says among which nodes one runs a handler.
type OneOf struct {
	// tags are what a node's tags have to match to be one of them; none: all are.
	tags []tagExpr
	// covered is how long after an event others stand in for a node that fails.
	covered time.Duration
}

type tagExpr struct {
	key, text string
	expr      *regexp.Regexp
}

// defaultCovered is OneOf.covered if nothing is said: longer than it takes to
// notice that a node has failed.
const defaultCovered = 30 * time.Second

// NewOneOf makes a OneOf of the nodes whose tags match the regular expressions as
// a whole. A node without a tag has the empty one. covered 0: 30 s.
func NewOneOf(tags map[string]string, covered time.Duration) (*OneOf, error) {
	if covered < 0 || covered > time.Hour {
		return nil, fmt.Errorf("covered is %v, not 0 to 1h", covered)
	}
	if covered == 0 {
		covered = defaultCovered
	}
	o := &OneOf{covered: covered}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		expr, err := regexp.Compile("^(?:" + tags[key] + ")$")
		if err != nil {
			return nil, fmt.Errorf("tag '%s': '%s' is no regular expression", key, tags[key])
		}
		o.tags = append(o.tags, tagExpr{key, tags[key], expr})
	}
	return o, nil
}

// String is the same for what means the same.
func (o *OneOf) String() string {
	if o == nil {
		return "all"
	}
	s := o.covered.String()
	for _, t := range o.tags {
		s += fmt.Sprintf(" %q=%q", t.key, t.text)
	}
	return s
}

func (o *OneOf) matches(e *live.Entry) bool {
	for _, t := range o.tags {
		value, _ := e.Tag(t.key)
		if !t.expr.MatchString(value) {
			return false
		}
	}
	return true
}

// ranked is how many nodes are remembered for an event: as many may fail one
// after the other until nobody is left who knows of it.
const ranked = 8

// rank are the nodes that are to run a handler for an event, the first one
// first: by the highest hash of event and name (rendezvous hashing), so that
// nodes with the same list agree without a word, and the events spread evenly.
func (o *OneOf) rank(view *live.View, event string) []string {
	type place struct {
		score uint64
		name  string
	}
	var best []place
	h := fnv.New64a()
	for e := range view.Alive() {
		if !o.matches(e) {
			continue
		}
		h.Reset()
		_, _ = h.Write([]byte(e.Name))
		_, _ = h.Write([]byte{0})
		_, _ = h.Write([]byte(event))
		p := place{mixed(h.Sum64()), e.Name}
		i, _ := slices.BinarySearchFunc(best, p, func(a, b place) int {
			if a.score != b.score {
				if a.score > b.score {
					return -1
				}
				return 1
			}
			return strings.Compare(a.name, b.name)
		})
		if i < ranked {
			best = slices.Insert(best, i, p)
			best = best[:min(len(best), ranked)]
		}
	}
	names := make([]string, len(best))
	for i, p := range best {
		names[i] = p.name
	}
	return names
}

// mixed spreads a hash over all its bits: FNV alone leaves the upper ones to the
// beginning of what it reads. (The finalizer of SplitMix64.)
func mixed(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// shared is an event that another node is to handle, in case that it fails.
type shared struct {
	r     *runner
	j     *Job
	order []string
	until time.Time
}

// maxShared bounds how many events are kept so; the oldest go first.
const maxShared = 4096

// share gives a job to the one node that is to run it: to the runner if that is
// this node, else it is kept in case that the other one fails (P168). The caller
// holds the handlers' mu.
func (h *Set) share(r *runner, j *Job) {
	if len(j.Event.Members) == 0 {
		h.shareOne(r, j, eventKey(r, &j.Event, ""))
		return
	}
	// Nodes may hear of members together or one by one: each member is decided
	// by itself, and those that fall to this node are handled together.
	var mine []serf.Member
	for i := range j.Event.Members {
		m := j.Event.Members[i : i+1 : i+1]
		part := *j
		part.Event.Members = m
		if h.shareIn(r, &part, eventKey(r, &j.Event, m[0].Name)) {
			mine = append(mine, m[0])
		}
	}
	if len(mine) > 0 {
		part := *j
		part.Event.Members = mine
		r.add(&part)
	}
}

func (h *Set) shareOne(r *runner, j *Job, key string) {
	if h.shareIn(r, j, key) {
		r.add(j)
	}
}

// shareIn reports whether this node is to run the job; if not, it is kept.
func (h *Set) shareIn(r *runner, j *Job, key string) bool {
	order := r.spec.OneOf.rank(h.View(), key)
	if len(order) == 0 {
		h.logger.Debug(fmt.Sprintf("agent: Script '%s' is to run on one of several nodes, none of which is alive", r.spec.Command))
		return false
	}
	if order[0] == j.self.Name {
		return true
	}
	if !slices.Contains(order, j.self.Name) {
		return false // it will never be this node's
	}
	now := time.Now()
	h.shared = slices.DeleteFunc(h.shared, func(s shared) bool { return now.After(s.until) })
	if len(h.shared) >= maxShared {
		h.shared = slices.Delete(h.shared, 0, 1)
	}
	h.shared = append(h.shared, shared{r: r, j: j, order: order, until: now.Add(r.spec.OneOf.covered)})
	return false
}

// eventKey is the same at every node for one event and handler.
func eventKey(r *runner, e *serf.Event, member string) string {
	switch e.Type {
	case serf.EventUser:
		return fmt.Sprintf("%s\x00%s\x00%s\x00%d\x00%s", r.spec.Command, e.Type, e.Name, e.LTime, e.Payload)
	case serf.EventQuery:
		return fmt.Sprintf("%s\x00%s\x00%s\x00%d\x00%d", r.spec.Command, e.Type, e.Name, e.Query.LTime, e.Query.ID)
	}
	return fmt.Sprintf("%s\x00%s\x00%s", r.spec.Command, e.Type, member)
}

// MembersChanged stands in for nodes that have failed while they may have been
// running something. It is called by the loop.
func (h *Set) MembersChanged() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.shared) == 0 || h.stopped {
		return
	}
	view, now := h.View(), time.Now()
	h.shared = slices.DeleteFunc(h.shared, func(s shared) bool {
		if now.After(s.until) {
			return true
		}
		for _, name := range s.order {
			if name == s.j.self.Name {
				h.logger.Info(fmt.Sprintf("agent: Running script '%s' here, because %s has failed", s.r.spec.Command, s.order[0]))
				s.r.add(s.j)
				return true
			}
			if e := view.Get(name); e != nil && e.Status != live.Failed {
				return false // that one does it, or has done it
			}
		}
		return true
	})
}
